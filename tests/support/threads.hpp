#pragma once
/// Whether results depend on the number of threads, or on a GPU on which of its threads comes first.

#include <omp.h>

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "support/compare.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif

namespace cria::test {

/// What `f` returns on `threads` OpenMP threads.
template <class F>
auto on_threads(int threads, F f) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  auto result = f();
  omp_set_num_threads(before);
  return result;
}

/// `f` returns Values; they must be the same bits on one, two and three threads, and where the backend is an
/// emulated GPU, whose threads have an order, in three orders.
template <class F>
void check_threads_do_not_matter(F f) {
  const Values first = on_threads(1, f);
  const auto check_same = [&](const Values& other, const char* where) {
    BOOST_REQUIRE_EQUAL(other.size(), first.size());
    std::size_t different = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
      different += std::bit_cast<std::uint64_t>(first[i]) != std::bit_cast<std::uint64_t>(other[i]);
    }
    BOOST_TEST(different == 0u, different << " of " << first.size() << " elements differ " << where);
  };
#ifdef CRIA_CUDA_EMULATION
  using cuda_emulation::Order, cuda_emulation::set_order;
  set_order(Order::reverse);
  check_same(f(), "when threads run in reverse");
  for (const std::uint32_t seed : {1u, 2u}) {
    set_order(Order::random, seed);
    check_same(f(), "when threads run in a random order");
  }
  set_order(Order::forward);
#else
  check_same(on_threads(2, f), "on 2 threads");
  check_same(on_threads(3, f), "on 3 threads");
#endif
}

}  // namespace cria::test
