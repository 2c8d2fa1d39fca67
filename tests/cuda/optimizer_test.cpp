// That the host does not wait in a step of the optimiser, that steps stay out of graphs, and where arrays may
// begin.

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <span>
#include <vector>

#include "cria/backend/cuda/graph.hpp"
#include "cria/cria.hpp"
#include "support/error_message.hpp"
#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/counters.hpp"
#endif

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(optimizer)

namespace {

using namespace cria;

struct Model {
  cria::nn::Linear<float, Cuda> first{8, 16};
  cria::nn::Linear<bfloat16, Cuda> second{16, 4};
  static void visit(auto& self, auto&& field) {
    field("first", self.first);
    field("second", self.second);
  }
};

void differentiate(const Model& model) {
  const auto x = Tensor<float, Cuda>::full({3, 8}, 0.5f);
  backward(sum(square(model.second(cast<bfloat16>(model.first(x))))));
}

}  // namespace

#ifdef CRIA_CUDA_EMULATION
BOOST_AUTO_TEST_CASE(a_step_copies_nothing_from_or_to_pageable_memory) {
  Model model;
  cria::nn::initialize(model, Rng(1));
  AdamW<Cuda> optimizer(model);
  for (int step = 0; step < 8; ++step) {
    differentiate(model);
    Cuda::synchronize();
    cuda_emulation::reset_counters();
    optimizer.step({.max_norm = 1.0});
    Cuda::synchronize();
    std::uint64_t uploads = 0;
    for (const auto& counters : cuda_emulation::kernel_counters()) {
      if (counters.name == "memcpy to the device") uploads = counters.launches;
    }
    BOOST_TEST(uploads == 3u);  // the gradients, and the parameters of each dtype
    BOOST_TEST(cuda_emulation::pageable_copies() == (step == 0 ? 1u : 0u));  // the first looks at a matrix
  }
}
#endif

namespace {

/// The value after a step, each of whose arrays begins `offsets[i]` elements after a block of the allocator:
/// gradient, value, master copy, first and second moment.
template <class T>
std::vector<float> step_of_slices(const std::array<std::int64_t, 5>& offsets) {
  using Rule = cria::ops::AdamW;
  using Update = kernel_for<cria::ops::Update<Rule>, Cuda>;
  constexpr std::int64_t size = 9000;  // two chunks
  const auto ramp = [&]<class X>(X, std::size_t i, float factor) {
    std::vector<X> values(static_cast<std::size_t>(offsets[i]), X(0.0f));
    for (std::int64_t j = 0; j < size; ++j) values.push_back(X(factor * static_cast<float>(j % 100 + 1)));
    return Tensor<X, Cuda>::from({offsets[i] + size}, values);
  };
  const auto slice = [&]<class X>(Tensor<X, Cuda>& x, std::size_t i) {
    return Vec<X>{x.mutable_vec().data + offsets[i], size};
  };
  auto value = ramp(T(), 1, 1.0f);
  auto gradient = ramp(0.0f, 0, 0.5f), master = ramp(0.0f, 2, 1.0f), first = ramp(0.0f, 3, 0.1f),
       second = ramp(0.0f, 4, 0.2f);
  const cria::ops::UpdateTensor<Rule, T> tensor{
      slice(gradient, 0), slice(value, 1), slice(master, 2), {slice(first, 3), slice(second, 4)}, .1, .1};
  const ScratchMemory<double, Cuda> squares(1);
  const ScratchMemory<cria::ops::UpdateState<Rule>, Cuda> state(1);
  const cria::ops::UpdateState<Rule> before;
  Cuda::copy_from_host(state.data(), &before, sizeof(before));
  kernel_for<cria::ops::SumOfSquares, Cuda>::sum(std::span(&tensor.gradient, 1), squares.data());
  Update::begin({.9, .95, 1e-8}, {}, squares.vec(), state.data());
  Update::step(std::span(&tensor, 1), state.data());
  double sum = 0;
  Cuda::copy_to_host(&sum, squares.data(), sizeof(sum));
  BOOST_TEST(sum == 0.25 * 90 * 338350);  // 90 times the squares of 1 to 100
  const auto values = cast<float>(value).to_vector();
  return {values.begin() + offsets[1], values.end()};
}

}  // namespace

// Slices of larger arrays may begin anywhere.
BOOST_AUTO_TEST_CASE(arrays_need_not_begin_at_multiples_of_packs) {
  const auto check = []<class T>(T) {
    const auto aligned = step_of_slices<T>({});
    BOOST_TEST((aligned[0] < 1.0f && aligned.back() < 100.0f));
    // As the ramps do, the result repeats, beyond the first chunk too.
    BOOST_TEST(std::equal(aligned.begin() + 100, aligned.end(), aligned.begin()));
    BOOST_TEST((step_of_slices<T>({1, 1, 1, 1, 1}) == aligned));
    for (std::size_t i = 0; i < 5; ++i) {
      std::array<std::int64_t, 5> offsets{};
      offsets[i] = 1;
      BOOST_TEST((step_of_slices<T>(offsets) == aligned));
    }
  };
  check(float());
  check(bfloat16(0.0f));
}

BOOST_AUTO_TEST_CASE(a_step_cannot_be_captured) {
  const bool before = cria::cuda::allocator().pass_through();
  cria::cuda::allocator().set_pass_through(false);
  Model model;
  cria::nn::initialize(model, Rng(1));
  AdamW<Cuda> optimizer(model);
  differentiate(model);
  optimizer.step();  // the first one copies a matrix
  differentiate(model);
  cria::cuda::Graph graph;
  BOOST_TEST(test::error_message<BackendError>([&] { graph.capture([&] { optimizer.step(); }); }) ==
             "cuda: lists of tensors, as an optimiser's step has, cannot be captured in a graph");
  cria::cuda::allocator().set_pass_through(before);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
