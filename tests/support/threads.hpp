#pragma once
/// Whether results depend on the number of threads.

#include <omp.h>

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "support/compare.hpp"

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

/// `f` returns Values; they must be the same bits on one, two and three threads.
template <class F>
void check_threads_do_not_matter(F f) {
  const Values one = on_threads(1, f);
  for (const int threads : {2, 3}) {
    const Values several = on_threads(threads, f);
    BOOST_REQUIRE_EQUAL(several.size(), one.size());
    std::size_t different = 0;
    for (std::size_t i = 0; i < one.size(); ++i) {
      different += std::bit_cast<std::uint64_t>(one[i]) != std::bit_cast<std::uint64_t>(several[i]);
    }
    BOOST_TEST(different == 0u,
               different << " of " << one.size() << " elements differ on " << threads << " threads");
  }
}

}  // namespace cria::test
