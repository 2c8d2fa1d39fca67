#pragma once

#include <optional>
#include <tuple>
#include <utility>

#include "cria/backend/cuda/graph.hpp"
#include "cria/core/operations.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

/// For small models, whose kernels take less time than handing each of them to the device: the first call
/// calls the work, since it makes what is made once; the second captures it in a CUDA graph, which all
/// further ones replay on copies of their arguments.
template <class Result, class... X>
class Replay<Cuda, Result(X...)> {
 public:
  explicit Replay(bool with_graph) : with_graph_(with_graph) {}

  /// A graph needs the caching allocator.
  static bool is_possible() { return !cuda::allocator().pass_through(); }
  bool replays() const { return with_graph_; }

  /// All on one thread and one stream. Throws what Graph::capture does.
  template <class Work>
  Result operator()(double key, Work work, const X&... x) {
    if (!with_graph_ || !std::exchange(has_run_, true)) return work(x...);
    if (!graph_.is_captured() || key != key_) {
      if (!arguments_) arguments_.emplace(memory_for(x)...);
      key_ = key;
      graph_.capture([&] { result_ = std::apply(work, *arguments_); });
    }
    std::apply([&](auto&... arguments) { (put(x, arguments), ...); }, *arguments_);
    graph_.replay();
    return result_.template to<Cuda>();  // the next replay overwrites it
  }

  void reset() {
    graph_.discard();
    has_run_ = false;
  }

 private:
  template <class T>
  static Tensor<T, Cuda> memory_for(const Tensor<T, Cuda>& x) {
    return Tensor<T, Cuda>::empty(x.shape());
  }
  static Tensor<Rng, Cuda> memory_for(const Rng&) { return Tensor<Rng, Cuda>::empty({}); }

  template <class T>
  static void put(const Tensor<T, Cuda>& x, Tensor<T, Cuda>& memory) {
    Cuda::copy(memory.mutable_vec().data, x.vec().data, static_cast<std::size_t>(x.size()) * sizeof(T));
  }
  static void put(const Rng& x, Tensor<Rng, Cuda>& memory) { Cuda::fill(memory.mutable_vec().data, 1, x); }

  bool with_graph_;
  bool has_run_ = false;
  std::optional<std::tuple<decltype(memory_for(std::declval<const X&>()))...>> arguments_;
  cuda::Graph graph_;
  double key_ = 0;
  Result result_;
};

}  // namespace cria
