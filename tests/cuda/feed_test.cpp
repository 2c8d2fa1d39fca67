#include "cria/backend/cuda/feed.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <vector>

#include "cria/backend/cuda/staging.hpp"
#include "cria/cria.hpp"
#include "support/error_message.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(feed)

using namespace cria;

#ifdef CRIA_CUDA_EMULATION
/// Nothing runs before somebody waits for it.
struct LazyStreams {
  LazyStreams() { cuda_emulation::set_streams(cuda_emulation::Streams::lazy); }
  ~LazyStreams() { cuda_emulation::set_streams(cuda_emulation::Streams::synchronous); }
};
#else
struct LazyStreams {};
#endif

BOOST_FIXTURE_TEST_CASE(work_sees_the_values_of_its_own_call, LazyStreams) {
  constexpr std::int64_t size = 3000;
  Feed<float, Cuda> feed({size});
  std::vector<float> values(size);
  std::vector<Tensor<float>> sums;
  for (int call = 0; call < 7; ++call) {
    std::iota(values.begin(), values.end(), static_cast<float>(call));
    const auto& x = feed(values);
    sums.push_back(sum(x * 2.0f));  // the host goes on at once and overwrites `values`
  }
  for (int call = 0; call < 7; ++call) {
    const float want = static_cast<float>(size * (size - 1)) + 2.0f * static_cast<float>(call * size);
    BOOST_TEST(sums[static_cast<std::size_t>(call)].item() == want, boost::test_tools::tolerance(1e-5f));
  }
}

BOOST_FIXTURE_TEST_CASE(staged_arrays_are_copied_before_their_place_is_used_again, LazyStreams) {
  std::vector<Tensor<float>> copies;
  for (int call = 0; call < 9; ++call) {
    const std::size_t size = call == 6 ? 1000 : 100;
    std::vector<float> values(size, static_cast<float>(call));
    copies.push_back(Tensor<float>::empty({static_cast<std::int64_t>(size)}));
    cria::cuda::Staging::of_thread().copy(copies.back().mutable_vec().data, values.data(),
                                          size * sizeof(float));
    std::fill(values.begin(), values.end(), -1.0f);
  }
  for (int call = 0; call < 9; ++call) {
    const auto got = copies[static_cast<std::size_t>(call)].to_vector();
    BOOST_TEST((got == std::vector<float>(got.size(), static_cast<float>(call))), "call " << call);
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_values_must_be_the_shapes) {
  Feed<float, Cuda> feed({2, 3});
  BOOST_TEST(test::error_message<ShapeError>([&] { feed(std::vector<float>(5)); }) ==
             "Feed: 5 values were given for shape [2, 3]");
}

BOOST_FIXTURE_TEST_CASE(a_call_that_fails_leaves_the_values_before_it_alone, LazyStreams) {
  Feed<float, Cuda> feed({2});
  std::vector<Tensor<float>> sums{sum(feed(std::vector<float>{1, 2}) * 2.0f)};
  BOOST_CHECK_THROW(feed(std::vector<float>(5)), ShapeError);
  // Each call but the first two waits for an earlier copy, which must have waited for the work before it.
  for (int i = 0; i < 3; ++i) sums.push_back(sum(feed(std::vector<float>{30, 40}) * 2.0f));
  BOOST_TEST(sums[0].item() == 6.0f);
  for (std::size_t i = 1; i < sums.size(); ++i) BOOST_TEST(sums[i].item() == 140.0f);
}

// The tensors of a Feed may get memory that was freed while work that reads it is on its way.
BOOST_FIXTURE_TEST_CASE(work_before_the_first_call_reads_what_it_should, LazyStreams) {
  const bool before = cria::cuda::allocator().pass_through();
  cria::cuda::allocator().set_pass_through(false);
  constexpr std::int64_t size = 3000;
  std::vector<Tensor<float>> doubled;
  {
    const auto x = Tensor<float>::full({size}, 1.0f), y = Tensor<float>::full({size}, 2.0f);
    Cuda::synchronize();
    doubled = {x * 2.0f, y * 2.0f};
  }
  {
    Feed<float, Cuda> feed({size});
    for (int call = 0; call < 4; ++call) feed(std::vector<float>(size, 42.0f));
  }
  BOOST_TEST((doubled[0].to_vector() == std::vector<float>(size, 2.0f)));
  BOOST_TEST((doubled[1].to_vector() == std::vector<float>(size, 4.0f)));
  cria::cuda::allocator().set_pass_through(before);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
