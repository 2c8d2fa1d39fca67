// That sums of 16-bit products stay float until they are complete, however cuBLAS splits them.

#include "cria/backend/cuda/blas.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/cria.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(blas)

using namespace cria;

namespace {

// 17 * 17 + 1 = 290 is a bfloat16, 17 * 17 = 289 is not: a rounded part would make it 288 in the end.
template <class Multiply>
void check_sum(Multiply multiply) {
  const std::vector<bfloat16> values{bfloat16(17.0f), bfloat16(1.0f)};
  BOOST_TEST(static_cast<float>(multiply(values).to_vector().at(0)) == 290.0f);
}

}  // namespace

BOOST_AUTO_TEST_CASE(parts_of_a_product_are_not_rounded) {
  check_sum([](const auto& values) {
    Parameter<bfloat16> weight({1, 2});
    weight.value().assign(values);
    return linear(Tensor<bfloat16>::from({1, 2}, values), weight);
  });
}

BOOST_AUTO_TEST_CASE(parts_of_a_batched_product_are_not_rounded) {
  check_sum([](const auto& values) {
    return matmul(Tensor<bfloat16>::from({1, 1, 2}, values), Tensor<bfloat16>::from({1, 2, 1}, values));
  });
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
