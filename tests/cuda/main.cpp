#define BOOST_TEST_MODULE cria
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>

#include "cria/backend/cuda/blas.hpp"

namespace {

/// Where there is no device to be tested, the program says why and ends with the code that ctest takes for skipped.
struct NeedsDevice {
  NeedsDevice() {
    try {
      cria::cuda::device();
    } catch (const cria::BackendError& error) {
      std::printf("skipped: %s\n", error.what());
      std::exit(77);
    }
    cria::cuda::allow_tf32(false);  // or tolerances of float32 would have to be those of TF32
  }
};

BOOST_TEST_GLOBAL_FIXTURE(NeedsDevice);

}  // namespace
