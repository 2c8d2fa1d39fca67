// Threads with streams of their own, which nothing orders.

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(streams)

namespace {

using namespace cria;
using cria::cuda::StreamScope;

struct Stream {
  cudaStream_t handle = nullptr;
  Stream() {
    cria::cuda::check("cudaStreamCreate", cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking));
  }
  ~Stream() { static_cast<void>(cudaStreamDestroy(handle)); }
};

/// Nothing runs before somebody waits for it, and nobody waits by giving memory back to the driver.
struct Lazy {
  const bool before = cria::cuda::allocator().pass_through();
  Lazy() {
    cria::cuda::allocator().set_pass_through(false);
#ifdef CRIA_CUDA_EMULATION
    cuda_emulation::set_streams(cuda_emulation::Streams::lazy);
#endif
  }
  ~Lazy() {
#ifdef CRIA_CUDA_EMULATION
    cuda_emulation::set_streams(cuda_emulation::Streams::synchronous);
#endif
    cria::cuda::allocator().set_pass_through(before);
  }
};

template <class B>
Tensor<float, B> rotated() {
  constexpr float theta = 4321.0f;  // that no other test has
  const auto x = Tensor<float, B>::full({1, 6, 1, 4}, 1.0f);
  return cria::rope(x, 0, theta);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_rotation_table_is_there_for_every_stream, Lazy) {
  const auto want = rotated<Cpu>().to_vector();
  const Stream asks_first, reads;
  {
    const StreamScope scope(asks_first.handle);
    rotated<Cuda>();  // and does not wait
  }
  const StreamScope scope(reads.handle);
  const auto got = rotated<Cuda>().to_vector();
  for (std::size_t i = 0; i < want.size(); ++i) {
    BOOST_TEST(got[i] == want[i], boost::test_tools::tolerance(1e-5f));
  }
}

BOOST_FIXTURE_TEST_CASE(a_bad_index_is_reported_where_its_stream_is_waited_for, Lazy) {
  const Parameter<float, Cuda> weight = test::zeros({5, 4});
  Cuda::synchronize();
  const Stream own;
  const auto look_up = [&](std::int32_t token) {
    cria::embedding(Tensor<std::int32_t, Cuda>::from({1}, {token}), weight);
  };
  const auto message = [] { return test::error_message<ShapeError>([] { Cuda::synchronize(); }); };
  {
    const StreamScope scope(own.handle);
    look_up(7);
  }
  look_up(1);
  BOOST_TEST(message() == "(nothing thrown)");
  look_up(9);
  {
    const StreamScope scope(own.handle);
    BOOST_TEST(message() ==
               "embedding: token 7 at position 0 is outside the vocabulary; it must be in [0, 5)");
    BOOST_TEST(message() == "(nothing thrown)");
  }
  BOOST_TEST(message() == "embedding: token 9 at position 0 is outside the vocabulary; it must be in [0, 5)");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
