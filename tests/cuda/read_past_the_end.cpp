// A kernel of the library that reads past the end of its tensor. It runs alone: flavours that watch kernels
// end there.

#include <boost/test/unit_test.hpp>
#include <memory>

#include "cria/ops/reduce.hpp"

BOOST_AUTO_TEST_SUITE(kernels, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(read_past_the_end) {
  using namespace cria;
  const auto short_of_memory = cria::detail::TensorAccess::tensor<float, Cuda>(
      {64}, std::make_shared<cria::detail::Storage<float, Cuda>>(32));
  BOOST_TEST(sum(short_of_memory).item() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
