#pragma once

#include <cstdlib>

#include "cria/cria.hpp"
#include "pretrain_llama/speed_of_light.hpp"

namespace cria::benchmarks {

#ifdef __x86_64__
#define CRIA_REGISTER "+v"
#else
#define CRIA_REGISTER "+w"
#endif

/// Operations a second that `threads` threads do at most in dtype T: of multiply-adds on registers, with
/// nothing to load, as matrix products have them. Takes some hundredths of a second. What a processor does at
/// most changes with its clock rate and its neighbours, so that this is measured beside what is compared with
/// it.
template <class T>
double register_peak(int threads) {
  using F = cpu::factor_t<T>;
  using A = cpu::sum_t<F>;
  constexpr int chains = 12, times = 1'000'000;  // more sums than an addition takes cycles
  constexpr auto lanes = static_cast<double>(cpu::lane_count<F> * cpu::numbers_in<F>);
  const F zeros[cpu::lane_count<F>] = {};
  const double seconds = pretrain::best_seconds({threads}, 4, [&](std::size_t) {
    cpu::Lanes<F> a[chains], b = cpu::load_lanes(zeros);
    cpu::Lanes<A> sums[chains] = {};
#pragma GCC unroll 12
    for (auto& factor : a) factor = b;
    for (int i = 0; i < times; ++i) {
#pragma GCC unroll 12
      for (int chain = 0; chain < chains; ++chain) {
        asm volatile("" : CRIA_REGISTER(a[chain]));  // the compiler does not know what is multiplied
        sums[chain] = cpu::multiply_add<F>(a[chain], b, sums[chain]);
      }
    }
#pragma GCC unroll 12
    for (const auto& sum : sums) {
      if (sum[0] != 0) std::abort();  // so that it is not left out
    }
  });
  return 2 * lanes * chains * times * threads / seconds;
}

#undef CRIA_REGISTER

}  // namespace cria::benchmarks
