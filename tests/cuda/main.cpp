#define BOOST_TEST_MODULE cria
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>

#include "cria/ops/cross_entropy.hpp"

namespace {

/// Where there is no device to be tested, the program says why and ends with the code that ctest takes for
/// skipped.
struct NeedsDevice {
  NeedsDevice() {
    try {
      cria::cuda::device();
    } catch (const cria::BackendError& error) {
      std::printf("skipped: %s\n", error.what());
      std::exit(77);
    }
    cria::cuda::allow_tf32(false);  // or tolerances of float32 would have to be those of TF32
    cria::cuda::logits_at_once = 0;
    cria::cuda::fewest_logit_rows = 256;  // small tests have several chunks, too
    cria::cuda::Blas::of_stream();        // its workspace is not of the test that multiplies first
  }
};

BOOST_TEST_GLOBAL_FIXTURE(NeedsDevice);

}  // namespace
