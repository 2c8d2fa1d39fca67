// Rows whose sums need as much shared memory as a block gets without asking, and more than a device has.

#include <boost/test/unit_test.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(shared_memory)

namespace {

using namespace cria;

/// rms_norm of two rows of `size` values and its gradients, of x and of the weight.
template <class B>
std::vector<std::vector<float>> normalize(std::int64_t size) {
  std::vector<float> values(static_cast<std::size_t>(2 * size));
  Rng rng(1);
  for (float& value : values) value = static_cast<float>(rng.normal());
  const auto x = Tensor<float, B>::from({2, size}, values).set_requires_grad();
  const Parameter<float, B> weight({size}, 1.0);
  const auto y = rms_norm(x, weight);
  backward(sum(square(y)));
  return {y.to_vector(), x.grad().to_vector(), weight.grad().to_vector()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(static_arrays_count_beside_the_dynamic_ones) {
  for (const std::int64_t size : {12'256, 12'288, 16'384}) {  // 47.9, 48 and 64 KiB
    const auto got = normalize<Cuda>(size), want = normalize<Cpu>(size);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const test::Values ours(got[i].begin(), got[i].end()), others(want[i].begin(), want[i].end());
      test::check_close("rms_norm of " + std::to_string(size), ours, others, 1e-4);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_thread_that_needs_less_leaves_others_what_they_have) {
  const auto want = normalize<Cuda>(16'384);
  std::thread([] { normalize<Cuda>(12'288); }).join();
  BOOST_TEST((normalize<Cuda>(16'384) == want));
}

BOOST_AUTO_TEST_CASE(more_than_the_device_has_is_refused_with_a_sentence) {
  const std::string message = test::error_message<BackendError>([] { normalize<Cuda>(100'000); });
  BOOST_TEST(message.starts_with("cuda: a kernel at rms_norm.cuh:"), message);
  BOOST_TEST(message.ends_with(" bytes of shared memory for a block; the device has " +
                               std::to_string(cria::cuda::device().shared_memory) +
                               ", so the last dimension is too long for it"),
             message);
}

BOOST_AUTO_TEST_CASE(more_blocks_than_a_launch_can_have_are_refused) {
  BOOST_TEST(test::error_message<BackendError>(
                 [] { cria::cuda::Grid(std::int64_t{1} << 32, cria::cuda::Place("x.cuh", 7)); }) ==
             "cuda: 4294967296 blocks were asked for at x.cuh:7; a launch has at most 2147483647, so this "
             "tensor is too "
             "large");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
