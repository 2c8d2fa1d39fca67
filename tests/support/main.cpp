#define BOOST_TEST_MODULE cria
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>
#include <cstdlib>

/// With CRIA_TESTS_IN_PARALLEL_REGION in the environment all tests run inside a parallel region, as code of a
/// user may.
int main(int argc, char** argv) {
  int status = 1;
  const bool in_region = std::getenv("CRIA_TESTS_IN_PARALLEL_REGION") != nullptr;
#pragma omp parallel num_threads(2) if (in_region)
#pragma omp master
  status = boost::unit_test::unit_test_main(init_unit_test, argc, argv);
  return status;
}
