// That the host does not wait in a step of the optimiser, and that steps stay out of graphs.

#include <boost/test/unit_test.hpp>

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
BOOST_AUTO_TEST_CASE(a_step_copies_nothing_from_pageable_memory) {
  Model model;
  cria::nn::initialize(model, Rng(1));
  AdamW<Cuda> optimizer(model);
  for (int step = 0; step < 8; ++step) {
    differentiate(model);
    Cuda::synchronize();
    cuda_emulation::reset_counters();
    optimizer.step({.max_norm = 1.0});
    Cuda::synchronize();
    std::uint64_t uploads = 0, pageable = 0;
    for (const auto& counters : cuda_emulation::kernel_counters()) {
      if (counters.name == "memcpy to the device") uploads = counters.launches;
      if (counters.name == "memcpy to the device from pageable memory") pageable = counters.launches;
    }
    BOOST_TEST(uploads == 4u);  // two lists for each dtype
    BOOST_TEST(pageable == 0u);
  }
}
#endif

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
