// What tests/ops/attention_test.cpp cannot know: rows that no part of a tensor has.
#include "cria/backend/cpu/attention.hpp"

#include <boost/test/unit_test.hpp>

#include "support/attention_kernel.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(attention)

using namespace cria;
using cria::test::run_attention_kernel;
using cria::test::Spacing;

// Also of an odd number of elements, where pairs of them cannot be used where they lie.
BOOST_AUTO_TEST_CASE(rows_may_be_apart) {
  const cria::test::AttentionSizes sizes{2, 40, 70, 4, 2, 6};
  const auto check = [&]<class T>(T) {
    for (const bool fresh : {true, false}) {
      const auto want = run_attention_kernel<T, Cpu>(sizes, fresh);
      for (const Spacing& spacing : {Spacing{0, 8}, Spacing{0, 3}, Spacing{1, 0}}) {
        BOOST_TEST((run_attention_kernel<T, Cpu>(sizes, fresh, spacing) == want));
      }
    }
  };
  check(float{});
  check(bfloat16{});
  check(float16{});
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
