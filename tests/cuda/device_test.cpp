#include "cria/backend/cuda/device.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/embedding.hpp"
#include "cria/ops/reduce.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(device)

namespace {

using namespace cria;
using cria::test::error_message;

std::string version_message(int driver, int runtime) {
  return error_message<BackendError>([&] { cria::cuda::check_versions(driver, runtime); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(versions_of_driver_library_and_program_must_fit) {
  const int compiled = CUDART_VERSION;
  const std::string version = cria::cuda::version_text(compiled);
  BOOST_TEST(version_message(compiled, compiled) == "(nothing thrown)");
  BOOST_TEST(version_message(compiled + 1000, compiled) == "(nothing thrown)");
  BOOST_TEST(version_message(0, compiled) ==
             "cuda: this machine has no NVIDIA driver; install one, or use the CPU backend instead");
  BOOST_TEST(version_message(11040, compiled) ==
             "cuda: the driver supports CUDA 11.4 but the program needs CUDA " + version +
                 "; update the driver, or compile with an older toolkit");
  BOOST_TEST(version_message(compiled, 9020) == "cuda: the program was compiled with CUDA " + version +
                                                    " but runs with the library of CUDA 9.2; both must have "
                                                    "the same major version");
}

BOOST_AUTO_TEST_CASE(a_driver_may_find_no_device) {
  const auto message = [](cudaError_t status, int count) {
    return error_message<BackendError>([&] { cria::cuda::check_device_count(status, count); });
  };
  const std::string no_device =
      "cuda: the driver finds no device; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use the CPU backend";
  BOOST_TEST(message(cudaErrorNoDevice, 0) == no_device);
  BOOST_TEST(message(cudaSuccess, 0) == no_device);
  BOOST_TEST(message(cudaSuccess, 1) == "(nothing thrown)");
  BOOST_TEST(message(cudaErrorInitializationError, 0).ends_with("(cudaErrorInitializationError)"));
}

BOOST_AUTO_TEST_CASE(a_device_that_there_is_not_is_refused) {
  const int count = cria::cuda::device_count();
  for (const int number : {-1, count}) {
    BOOST_TEST(error_message<BackendError>([&] { cria::cuda::use_device(number); }) ==
               "cuda: there is no device " + std::to_string(number) + "; there are " + std::to_string(count) +
                   ", counted from 0");
  }
}

BOOST_AUTO_TEST_CASE(an_error_names_the_call_the_place_and_cudas_words) {
  const auto message = error_message<BackendError>([] {
    cria::cuda::check("cudaMalloc", cudaErrorInvalidValue, {"a/b.hpp", 7});
  });
  BOOST_TEST(message == "cuda: cudaMalloc at b.hpp:7 failed: invalid argument (cudaErrorInvalidValue)");
  const auto here = error_message<BackendError>([] { cria::cuda::check("cudaFree", cudaErrorUnknown); });
  BOOST_TEST(here.starts_with("cuda: cudaFree at device_test.cpp:"));
  BOOST_TEST(
      error_message<BackendError>([] {
        cria::cuda::check("cudaLaunchKernelEx", cudaErrorNoKernelImageForDevice, {"x.cuh", 1});
      })
          .ends_with("; the program has no code for this device, compile it with the device's number in "
                     "CMAKE_CUDA_ARCHITECTURES"));
}

// Whatever an asynchronous error is called, the call that returns it is innocent.
BOOST_AUTO_TEST_CASE(an_error_of_an_earlier_kernel_is_not_laid_to_the_call_that_returns_it) {
  for (const cudaError_t error :
       {cudaErrorIllegalAddress, cudaErrorLaunchTimeout, cudaErrorHardwareStackError,
        cudaErrorIllegalInstruction, cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace,
        cudaErrorInvalidPc, cudaErrorLaunchFailure}) {
    const auto message = error_message<BackendError>([&] { cria::cuda::check("cudaMemcpyAsync", error); });
    BOOST_TEST(message.ends_with("; a kernel that was launched before failed, run the program under "
                                 "compute-sanitizer to see which"),
               message);
  }
}

BOOST_AUTO_TEST_CASE(a_launch_that_is_refused_names_who_asked) {
  const auto message = error_message<BackendError>([] {
    cria::cuda::launch(cria::cuda::check_indices_kernel<false>, 1, 2048, 0, Vec<const std::int32_t>{}, 1, 0,
                       cria::cuda::IndexError::embedding_token, nullptr, nullptr, nullptr);
  });
  BOOST_TEST(message.starts_with("cuda: cudaLaunchKernelEx at device_test.cpp:"), message);
}

BOOST_AUTO_TEST_CASE(a_bad_index_is_reported_once_and_the_first_one) {
  const Parameter<float> weight = test::zeros({5, 4});
  cria::embedding(Tensor<std::int32_t>::from({3}, {0, 9, 8}), weight);
  cria::embedding(Tensor<std::int32_t>::from({1}, {-7}), weight);
  BOOST_TEST(error_message<ShapeError>([] { Cuda::synchronize(); }) ==
             "embedding: token 9 at position 1 is outside the vocabulary; it must be in [0, 5)");
  Cuda::synchronize();
}

BOOST_AUTO_TEST_CASE(a_bad_index_is_reported_by_whoever_reads_a_value) {
  const Parameter<float> weight = test::zeros({5, 1});
  const auto y = cria::embedding(Tensor<std::int32_t>::from({1}, {5}), weight);
  BOOST_TEST(error_message<ShapeError>([&] { y.item(); }).starts_with("embedding: token 5 at position 0"));
}

BOOST_AUTO_TEST_CASE(tensors_go_to_the_cpu_and_back) {
  const auto x = Tensor<float, Cpu>::from({2, 2}, {1, 2, 3, 4});
  const auto y = x.to<Cuda>();
  const auto z = y.to<Cuda>();
  BOOST_TEST(z.vec().data != y.vec().data);
  const auto back = z.to<Cpu>();
  BOOST_TEST(back.shape() == x.shape());
  BOOST_TEST(back.to_vector() == x.to_vector());
  BOOST_TEST(!back.requires_grad());
}

BOOST_AUTO_TEST_CASE(a_thread_can_have_a_stream_of_its_own) {
  cudaStream_t own = nullptr;
  cria::cuda::check("cudaStreamCreate", cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  {
    const cria::cuda::StreamScope scope(own);
    BOOST_TEST(cria::cuda::stream() == own);
    BOOST_TEST((Tensor<float>::from({2}, {1, 2}) + 1.0f).to_vector() == (std::vector<float>{2, 3}));
  }
  BOOST_TEST(cria::cuda::stream() == cria::cuda::process_stream());
  cria::cuda::check("cudaStreamDestroy", cudaStreamDestroy(own));
}

#ifdef CRIA_CUDA_EMULATION
BOOST_AUTO_TEST_CASE(a_missing_or_old_device_is_named) {
  using cuda_emulation::DeviceOverride, cuda_emulation::DeviceState;
  const auto message = [] { return error_message<BackendError>([] { cria::cuda::inspect_device(); }); };
  BOOST_TEST(message() == "(nothing thrown)");
  {
    const DeviceOverride none(DeviceState::none);
    BOOST_TEST(message().starts_with("cuda: this machine has no NVIDIA driver"), message());
  }
  {
    const DeviceOverride old(DeviceState::old_driver);
    BOOST_TEST(message().starts_with("cuda: the driver supports CUDA "), message());
  }
  {
    const DeviceOverride volta(DeviceState::present, 7, 0);
    BOOST_TEST(message().ends_with("has compute capability 7.0; at least 7.5 is needed (Turing, 2018)"),
               message());
  }
  const DeviceOverride turing(DeviceState::present, 7, 5);
  BOOST_TEST(message() == "(nothing thrown)");
}

BOOST_AUTO_TEST_CASE(nothing_is_read_before_it_is_there) {
  cuda_emulation::set_streams(cuda_emulation::Streams::lazy);
  auto x = Tensor<float>::from({3}, {1, 2, 3}).set_requires_grad();
  const auto y = sum(x * x);
  BOOST_TEST(y.item() == 14.0f);
  backward(y);
  BOOST_TEST(x.grad().to_vector() == (std::vector<float>{2, 4, 6}));
  cuda_emulation::set_streams(cuda_emulation::Streams::synchronous);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
