#define BOOST_TEST_MODULE cria
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "cria/backend/cpu/gemm.hpp"

/// With CRIA_TESTS_WITH_EIGEN in the environment no other library computes products. With
/// CRIA_TESTS_IN_PARALLEL_REGION in the environment all tests run inside a parallel region, as code of a user
/// may.
int main(int argc, char** argv) {
  if (std::getenv("CRIA_TESTS_WITH_EIGEN")) {
    cria::cpu::fast_product<float, float> = nullptr;
    cria::cpu::fast_product<cria::bfloat16, cria::bfloat16> = nullptr;
    cria::cpu::fast_product<cria::bfloat16, float> = nullptr;
  }
  int status = 1;
  const bool in_region = std::getenv("CRIA_TESTS_IN_PARALLEL_REGION") != nullptr;
#pragma omp parallel num_threads(2) if (in_region)
#pragma omp master
  status = boost::unit_test::unit_test_main(init_unit_test, argc, argv);
  return status;
}
