#include "cria/io/eigen.hpp"

#include <Eigen/SVD>
#include <boost/test/unit_test.hpp>

#include "cria/core/error.hpp"
#include "cria/ops/create.hpp"
#include "cria/ops/matmul.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(eigen)

using namespace cria;

BOOST_AUTO_TEST_CASE(a_matrix_is_decomposed_by_eigen_and_put_together_by_cria) {
  Rng rng(1);
  const auto x = randn<double, Cpu>({5, 3}, rng);
  const Eigen::JacobiSVD<cria::io::EigenMatrix<double>> svd(cria::io::as_eigen(x),
                                                            Eigen::ComputeThinU | Eigen::ComputeThinV);
  const auto u = cria::io::from_eigen(svd.matrixU() * svd.singularValues().asDiagonal());
  const auto v = cria::io::from_eigen(svd.matrixV().transpose());
  BOOST_TEST(u.shape() == Shape({5, 3}));
  cria::test::check_close("u s v^T", cria::test::to_values(matmul(u, v)), cria::test::to_values(x), 1e-12);
}

BOOST_AUTO_TEST_CASE(elements_lie_where_they_lie_in_the_tensor) {
  const auto x = Tensor<float, Cpu>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto matrix = cria::io::as_eigen(x);
  BOOST_TEST(matrix.data() == x.vec().data);
  BOOST_TEST(matrix(1, 0) == 4);
  BOOST_TEST(cria::io::from_eigen(matrix.transpose()).to_vector() == std::vector<float>({1, 4, 2, 5, 3, 6}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_no_matrix_is_refused) {
  const auto x = Tensor<float, Cpu>::zeros({2, 3, 4});
  BOOST_TEST(
      cria::test::error_message<ShapeError>([&] { cria::io::as_eigen(x); }).starts_with("as_eigen: x "));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
