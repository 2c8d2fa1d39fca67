#include "cria/core/threads.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(threads)

namespace {

using namespace cria;
using Counts = std::vector<int>;

/// How often run_on_threads(threads) called its body for each thread.
Counts calls(int threads) {
  Counts counts(static_cast<std::size_t>(threads));
  cria::run_on_threads(threads, [&](int thread) { ++counts[static_cast<std::size_t>(thread)]; });
  return counts;
}

/// Checks that every element of a large operation was computed.
void check_whole() {
  const auto y = Tensor<float>::full({1 << 20}, 3.0f) * 2;
  std::size_t wrong = 0;
  for (const float value : y.to_vector()) wrong += value != 6.0f;
  BOOST_TEST(wrong == 0u);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_thread_uses_as_many_as_it_was_told) {
  int one = 0, two = 0;
  std::thread([&] {
    use_threads(1);
    one = available_threads();
    use_threads(2);
    two = available_threads();
  }).join();
  BOOST_TEST(one == 1);
  BOOST_TEST(two == std::min(2, omp_get_thread_limit()));
}

BOOST_AUTO_TEST_CASE(bodies_run_once_each_whatever_threads_there_are) {
  for (const int threads : {1, 2, 7})
    BOOST_TEST((calls(threads) == Counts(static_cast<std::size_t>(threads), 1)));
}

BOOST_AUTO_TEST_CASE(bodies_run_once_each_inside_a_parallel_region) {
  std::vector<Counts> counts(2);
#pragma omp parallel num_threads(2)
  counts[static_cast<std::size_t>(omp_get_thread_num())] = calls(5);
  BOOST_TEST((counts[0] == Counts(5, 1)));
#pragma omp parallel num_threads(2)
#pragma omp single
  check_whole();
}

BOOST_AUTO_TEST_CASE(bodies_run_once_each_where_openmp_chooses_the_threads) {
  omp_set_dynamic(1);
  test::on_threads(8, [] {
    BOOST_TEST((calls(8) == Counts(8, 1)));
    check_whole();
    return 0;
  });
  BOOST_TEST(omp_get_dynamic() == 1);  // it is the user's
  omp_set_dynamic(0);
}

BOOST_AUTO_TEST_CASE(the_first_exception_comes_out_when_all_have_ended) {
  for (const int threads : {1, 4}) {
    std::atomic<int> ended = 0;
    const auto run = [&] {
      cria::run_on_threads(threads, [&](int thread) {
        ++ended;
        if (thread % 2 == 0) throw std::runtime_error("body " + std::to_string(thread));
      });
    };
    BOOST_TEST(test::error_message<std::runtime_error>(run) == "body 0");
    BOOST_TEST(ended == threads);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
