// That the host does not wait in a step of the optimiser, that steps stay out of graphs, and where arrays may
// begin.

#include <boost/test/unit_test.hpp>
#include <span>
#include <utility>
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
    BOOST_TEST(cuda_emulation::pageable_copies() == 0u);
  }
}
#endif

// Slices of larger arrays may begin anywhere.
BOOST_AUTO_TEST_CASE(arrays_need_not_begin_at_multiples_of_packs) {
  constexpr std::int64_t size = 9000;  // two chunks
  const auto ramp = [](float factor) {
    std::vector<float> values;
    for (std::int64_t i = 0; i <= size; ++i) values.push_back(factor * static_cast<float>(i % 100 + 1));
    return Tensor<float, Cuda>::from({size + 1}, values);
  };
  const auto step = [&](std::int64_t offset) {
    auto gradient = ramp(0.5f), value = ramp(1.0f), first = ramp(0.1f), second = ramp(0.2f);
    const auto slice = [&](Tensor<float, Cuda>& x) {
      return Vec<float>{x.mutable_vec().data + offset, size};
    };
    using Rule = cria::ops::AdamW;
    const cria::ops::UpdateTensor<Rule, float> tensor{
        slice(gradient), slice(value), {}, {slice(first), slice(second)}, .1, .1};
    const Rule rule{.9, .95, 1e-8};
    const ScratchMemory<double, Cuda> squares(1);
    const ScratchMemory<cria::ops::UpdateState<Rule>, Cuda> state(1);
    const cria::ops::UpdateState<Rule> before;
    Cuda::copy_from_host(state.data(), &before, sizeof(before));
    using Update = kernel_for<cria::ops::Update<Rule>, Cuda>;
    kernel_for<cria::ops::SumOfSquares, Cuda>::sum(std::span(&tensor.gradient, 1), squares.data());
    Update::begin(rule, {}, squares.vec(), state.data());
    Update::step(std::span(&tensor, 1), state.data());
    double sum = 0;
    Cuda::copy_to_host(&sum, squares.data(), sizeof(sum));
    auto values = value.to_vector();
    values.erase(offset == 0 ? values.end() - 1 : values.begin());
    return std::pair(sum, values);
  };
  const auto [sum, values] = step(1);
  BOOST_TEST(sum == 0.25 * 90 * 338350);  // 90 times the squares of 1 to 100
  const auto aligned = step(0).second;    // of the elements before
  for (std::size_t i = 0; i + 1 < values.size(); ++i) BOOST_TEST(values[i] == aligned[i + 1]);
}

BOOST_AUTO_TEST_CASE(a_step_cannot_be_captured) {
  const bool before = cria::cuda::allocator().pass_through();
  cria::cuda::allocator().set_pass_through(false);
  Model model;
  cria::nn::initialize(model, Rng(1));
  AdamW<Cuda> optimizer(model);
  differentiate(model);
  cria::cuda::Graph graph;
  BOOST_TEST(test::error_message<BackendError>([&] { graph.capture([&] { optimizer.step(); }); }) ==
             "cuda: lists of tensors, as an optimiser's step has, cannot be captured in a graph");
  cria::cuda::allocator().set_pass_through(before);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
