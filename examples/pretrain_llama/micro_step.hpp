#pragma once
/// Forward and backward of a chunk.

#include <string>
#include <utility>
#include <vector>

#include "token_batch.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/graph.hpp"
#endif

namespace pretrain {

/// Adds scale times the gradients of the chunk's mean loss, and returns that. Dropout draws from `noise`, an
/// Rng or a tensor that holds one.
template <class T, class B, class Noise>
cria::Tensor<cria::acc_t<T>, B> differentiate(const cria::nn::LlamaForCausalLM<T, B>& model,
                                              const ChunkTokens<B>& tokens, const Noise& noise, float scale) {
  const cria::nn::DropoutStream stream(noise);
  const auto loss = model.loss(tokens.inputs, tokens.targets);
  cria::backward(loss, scale);
  return loss.detach();
}

/// How a backend does that.
template <class T, class B>
struct MicroStep {
  using Model = cria::nn::LlamaForCausalLM<T, B>;

  MicroStep(const Model&, const Batch&, const TrainOptions&) {}

  /// Threads may call it at once, each with a replica of its own.
  auto operator()(const Model& model, const ChunkTokens<B>& tokens, const cria::Rng& noise,
                  float scale) const {
    return differentiate(model, tokens, noise, scale);
  }
  /// Calls step(), which uses up the gradients.
  template <class Step>
  void update(Step step) const {
    step();
  }
};

#ifdef CRIA_CUDA
/// On a GPU, for small models, by a CUDA graph: one call of the driver instead of one for each kernel.
template <class T>
class MicroStep<T, cria::Cuda> {
  using Model = cria::nn::LlamaForCausalLM<T, cria::Cuda>;
  using Loss = cria::Tensor<cria::acc_t<T>, cria::Cuda>;

 public:
  MicroStep(const Model& model, const Batch& batch, const TrainOptions& options)
      : model_(model),
        tokens_{cria::Tensor<std::int32_t, cria::Cuda>::empty({batch.size, batch.length}),
                cria::Tensor<std::int32_t, cria::Cuda>::empty({batch.size, batch.length})},
        with_graph_(options.cuda_graph == "on" || (options.cuda_graph == "auto" && !options.profile &&
                                                   !cria::cuda::allocator().pass_through() &&
                                                   cria::nn::parameter_count(model) < 100'000'000)) {}

  /// Only ever for the one model, as its memory is in the graph.
  Loss operator()(const Model&, const ChunkTokens<cria::Cuda>& tokens, const cria::Rng& noise, float scale) {
    const bool first = !std::exchange(has_run_, true);  // it makes what is made once
    if (!with_graph_ || first) return differentiate(model_, tokens, noise, scale);
    if (!graph_.is_captured() || scale != scale_) {
      scale_ = scale;
      graph_.capture([&] { loss_ = differentiate(model_, tokens_, noise_, scale); });
    }
    copy(tokens.inputs, tokens_.inputs);
    copy(tokens.targets, tokens_.targets);
    cria::Cuda::fill(noise_.mutable_vec().data, 1, noise);
    graph_.replay();
    return loss_.template to<cria::Cuda>();  // the next replay overwrites it
  }

  /// Calls step(), which uses up the gradients; with a graph they keep their memory, and are set to zero.
  template <class Step>
  void update(Step step) {
    if (!with_graph_) return step();
    std::vector<cria::Tensor<cria::acc_t<T>, cria::Cuda>> gradients;
    cria::nn::for_each_parameter(model_, [&](const std::string&, auto& p) { gradients.push_back(p.grad()); });
    step();
    std::size_t i = 0;
    cria::nn::for_each_parameter(model_, [&](const std::string&, auto& p) {
      auto& gradient = gradients[i++];
      cria::Cuda::fill_zero(gradient.mutable_vec().data,
                            static_cast<std::size_t>(gradient.size()) * sizeof(cria::acc_t<T>));
      p.set_grad(std::exchange(gradient, {}));
    });
  }

 private:
  static void copy(const cria::Tensor<std::int32_t, cria::Cuda>& from,
                   cria::Tensor<std::int32_t, cria::Cuda>& to) {
    cria::Cuda::copy(to.mutable_vec().data, from.vec().data,
                     static_cast<std::size_t>(from.size()) * sizeof(std::int32_t));
  }

  Model model_;  // shares the parameters and their gradients
  // What a replay reads: these, and the parameters.
  ChunkTokens<cria::Cuda> tokens_;
  cria::Tensor<cria::Rng, cria::Cuda> noise_ = cria::Tensor<cria::Rng, cria::Cuda>::empty({});
  bool with_graph_;
  bool has_run_ = false;
  cria::cuda::Graph graph_;
  float scale_ = 0;
  Loss loss_;
};
#endif

}  // namespace pretrain
