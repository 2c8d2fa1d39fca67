#include "cria/backend/cuda/allocator.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/core/tensor.hpp"
#include "support/error_message.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(allocator)

namespace {

using namespace cria;
using CachingAllocator = cria::CachingAllocator<cria::cuda::DeviceMemory>;

#ifdef CRIA_CUDA_EMULATION
/// A device with little memory, so that filling it takes little of the machine's.
struct SmallDevice {
  cuda_emulation::DeviceOverride device{cuda_emulation::DeviceState::present, 8, 0, std::uint64_t{256} << 20};
};
#else
struct SmallDevice {};
#endif

/// An allocator that caches, whatever the environment says.
struct Caching : CachingAllocator {
  Caching() { set_pass_through(false); }
  ~Caching() { release_cached(); }
};

}  // namespace

BOOST_AUTO_TEST_CASE(freed_blocks_are_used_again) {
  Caching memory;
  void* first = memory.allocate(1000);
  memory.deallocate(first, 1000);
  BOOST_TEST(memory.statistics().cached == 1024u);
  void* second = memory.allocate(900);  // of the same step of sizes
  BOOST_TEST(second == first);
  BOOST_TEST(memory.statistics().system_allocations == 1u);
  void* third = memory.allocate(1000);
  BOOST_TEST(third != second);
  BOOST_TEST(memory.statistics().in_use == 2048u);
  BOOST_TEST(memory.statistics().peak_in_use == 2048u);
  memory.deallocate(second, 900);
  memory.deallocate(third, 1000);
  BOOST_TEST(memory.statistics().in_use == 0u);
  memory.release_cached();
  BOOST_TEST(memory.statistics().cached == 0u);
}

BOOST_AUTO_TEST_CASE(a_block_stays_with_its_stream) {
  Caching memory;
  void* of_process = memory.allocate(100);
  memory.deallocate(of_process, 100);
  cudaStream_t other = nullptr;
  cria::cuda::check("cudaStreamCreate", cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  {
    const cria::cuda::StreamScope scope(other);
    void* of_other = memory.allocate(100);
    BOOST_TEST(of_other != of_process);
    memory.deallocate(of_other, 100);
  }
  BOOST_TEST(memory.allocate(100) == of_process);
  memory.deallocate(of_process, 100);
  cria::cuda::check("cudaStreamDestroy", cudaStreamDestroy(other));
}

BOOST_AUTO_TEST_CASE(every_request_reaches_the_driver_when_it_passes_through) {
  Caching memory;
  void* cached = memory.allocate(100);
  memory.set_pass_through(true);
  BOOST_TEST(memory.pass_through());
  void* direct = memory.allocate(100);
  BOOST_TEST(memory.statistics().in_use == 512u + 100);
  memory.deallocate(direct, 100);
  void* empty = memory.allocate(0);
  BOOST_TEST(empty != nullptr);
  memory.deallocate(empty, 0);
  BOOST_TEST(memory.statistics().cached == 0u);
  BOOST_TEST(memory.statistics().system_allocations == 3u);
  memory.deallocate(cached, 100);  // of the time before
  BOOST_TEST(memory.statistics().in_use == 0u);
  BOOST_TEST(memory.statistics().cached == 512u);
}

BOOST_AUTO_TEST_CASE(blocks_of_a_kept_stream_are_not_given_back) {
  Caching memory;
  cudaStream_t stream = nullptr;
  cria::cuda::check("cudaStreamCreate", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  memory.keep(stream);
  void* kept = nullptr;
  {
    const cria::cuda::StreamScope scope(stream);
    kept = memory.allocate(1000);
    memory.deallocate(kept, 1000);
  }
  void* other = memory.allocate(1000);
  BOOST_TEST(other != kept);
  memory.deallocate(other, 1000);
  memory.release_cached();
  BOOST_TEST(memory.statistics().cached == 1024u);
  const cria::cuda::StreamScope scope(stream);
  BOOST_TEST(memory.allocate(1000) == kept);
}

BOOST_FIXTURE_TEST_CASE(out_of_memory_says_what_was_asked_and_what_there_is, SmallDevice) {
  Caching memory;
  std::size_t free = 0, total = 0;
  cria::cuda::check("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
  const std::size_t mebi = std::size_t{1} << 20,
                    most = (total + mebi - 1) / mebi;  // rounded up in the message
  void* held = memory.allocate(3 * mebi);
  memory.keep(cria::cuda::stream());  // else cached blocks are given back first
  memory.deallocate(memory.allocate(5 * mebi), 5 * mebi);
  const std::string message =
      cria::test::error_message<BackendError>([&] { memory.allocate((most + 1000) * mebi / 512 * 512); });
  BOOST_TEST(message.starts_with("cuda: out of memory: "), message);
  BOOST_TEST(
      message.find(" were asked for, 3 MiB are in use by cria, 5 MiB are cached and ") != std::string::npos,
      message);
  BOOST_TEST(message.find(" of " + std::to_string(most) +
                          " MiB are free on the device; a smaller batch, shorter "
                          "sequences or recomputation need less") != std::string::npos,
             message);
  memory.deallocate(held, 3 * mebi);
  BOOST_TEST(memory.allocate(3 * mebi) == held);  // nothing was broken
  memory.deallocate(held, 3 * mebi);
}

BOOST_FIXTURE_TEST_CASE(cached_blocks_are_given_back_before_memory_runs_out, SmallDevice) {
  Caching memory;
  std::size_t free = 0, total = 0;
  cria::cuda::check("cudaMemGetInfo", cudaMemGetInfo(&free, &total));
  const std::size_t most = free / 4 * 3;
  void* large = memory.allocate(most);
  memory.deallocate(large, most);
  void* other =
      memory.allocate(most / 3 * 2);  // another step of sizes, and not enough room beside the cached block
  BOOST_TEST(memory.statistics().cached == 0u);
  memory.deallocate(other, most / 3 * 2);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
