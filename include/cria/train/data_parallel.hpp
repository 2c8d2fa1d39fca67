#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "cria/core/threads.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

/// How many examples of `length` targets a chunk of a batch should have: about 1,024 targets for each thread
/// of a replica, so that activations stay in its cache, but no more than every replica's even share.
inline std::int64_t examples_of_a_chunk(std::int64_t batch, std::int64_t length, std::int64_t replicas,
                                        std::int64_t threads_per_replica = 1) {
  return std::clamp<std::int64_t>(1024 * threads_per_replica / std::max<std::int64_t>(length, 1), 1,
                                  std::max<std::int64_t>(batch / replicas, 1));
}

/// How many of `chunks` chunks replicas compute on their own: all of them, or as many as they share evenly if
/// the rest would leave half of the replicas idle or more.
inline std::int64_t chunks_on_replicas(std::int64_t chunks, std::int64_t replicas) {
  const std::int64_t rest = chunks % replicas;
  return 2 * rest <= replicas ? chunks - rest : chunks;
}

/// Trains one model on several threads: replicas of it run forward and backward on chunks of the batch of
/// their own, and each adds to gradients of its own. There is one barrier a step, working sets stay in cache,
/// and memory does not depend on the batch size. A replica is worked on by one thread, with kernels of one
/// thread, or by a group of threads that share its kernels: there are then fewer gradients. Chunks that are
/// too few for the replicas, like a batch of one sequence, are left to kernels of all threads. The model must
/// outlive this object.
template <class M>
class DataParallel {
 public:
  /// Both at least 1. The first replica is `model` itself; the others share its parameters' values. They have
  /// buffers of their own, which for_each_chunk starts with what `model` has in its own: what stays there is
  /// from the first replica's chunks.
  DataParallel(M& model, int replicas, int threads_per_replica = 1)
      : model_(model), threads_per_replica_(threads_per_replica) {
    for (int i = 1; i < replicas; ++i) {
      replicas_.push_back(model);
      nn::for_each_value(replicas_.back(), [&](const std::string&, auto& field) {
        const auto original = field;
        if constexpr (requires { field.with_own_gradient(); }) {
          field = field.with_own_gradient();
          reductions_.push_back(
              std::make_unique<ReductionOf<std::remove_cvref_t<decltype(field)>>>(original, field));
        } else {
          field = field.clone();
          buffer_copies_.push_back([original, own = field]() mutable { own.copy_from(original); });
        }
      });
    }
  }

  int replicas() const { return static_cast<int>(replicas_.size()) + 1; }

  /// Calls work(model, chunk) for every chunk: for chunks_on_replicas() of them on all replicas at once, then
  /// for the rest one by one on the calling thread. Which replica gets which chunk depends on the number of
  /// replicas alone. The first exception that `work` throws is thrown again here, and all gradients are
  /// forgotten, those of chunks and steps before as well, so that the step may be begun once more.
  template <class F>
  void for_each_chunk(std::int64_t chunks, F work) {
    const std::int64_t shared = chunks_on_replicas(chunks, replicas());
    for (auto& copy : buffer_copies_) copy();
    try {
      run_on_groups(replicas(), threads_per_replica_, [&](int replica) {
        M& own = replica == 0 ? model_ : replicas_[static_cast<std::size_t>(replica - 1)];
        for (std::int64_t chunk = shared * replica / replicas(); chunk < shared * (replica + 1) / replicas();
             ++chunk) {
          work(own, chunk);
        }
      });
      for (std::int64_t chunk = shared; chunk < chunks; ++chunk) work(model_, chunk);
    } catch (...) {
      clear_gradients();
      throw;
    }
  }

  /// The same for a function that gives a number: returns their sum, in the order of the chunks.
  template <class F>
  double run(std::int64_t chunks, F work) {
    std::vector<double> results(static_cast<std::size_t>(chunks));
    for_each_chunk(chunks, [&](M& model, std::int64_t chunk) {
      results[static_cast<std::size_t>(chunk)] = work(model, chunk);
    });
    double sum = 0;
    for (const double result : results) sum += result;
    return sum;
  }

  /// Adds the replicas' gradients to the model's, in a fixed order, and clears them. Each thread adds a slice
  /// of every gradient, of all replicas one after the other: all threads meet once, however many replicas
  /// there are, and a slice of the sum stays in a thread's cache.
  void reduce_gradients() {
    if (reductions_.empty()) return;
    for (auto& reduction : reductions_) reduction->begin();
    const int threads = replicas() * threads_per_replica_;
    run_on_threads(threads, [&](int thread) {
      for (auto& reduction : reductions_) reduction->add(thread, threads);
    });
    for (auto& reduction : reductions_) reduction->end();
    detail::end_of_operation("reduce_gradients");
  }

  /// Forgets the gradients of the model and of the replicas.
  void clear_gradients() {
    nn::zero_grad(model_);
    for (M& replica : replicas_) nn::zero_grad(replica);
  }

 private:
  /// A parameter of a replica, whose gradient is added to the model's.
  struct Reduction {
    virtual ~Reduction() = default;
    virtual void begin() = 0;
    virtual void add(int part, int parts) const = 0;  // several at once
    virtual void end() = 0;
  };

  template <class P>
  class ReductionOf;
  template <class T, class B>
  class ReductionOf<Parameter<T, B>> final : public Reduction {
   public:
    ReductionOf(const Parameter<T, B>& model, const Parameter<T, B>& replica) : to_(model), from_(replica) {}

    /// If the model has no gradient yet, it takes this one, with its memory.
    void begin() override {
      if (!to_.has_grad() && from_.has_grad()) {
        accumulate(sink(to_), from_.grad());
        from_.clear_grad();
      }
      x_ = {};
      if (!from_.has_grad()) return;
      const auto x = from_.grad();
      x_ = x.vec();
      sum_ = sink(to_).vec();
    }
    void add(int part, int parts) const override {
      if (!x_) return;
      const auto begin_of = [&](std::int64_t i) { return x_.size * i / parts; };
      const std::int64_t begin = begin_of(part), size = begin_of(part + 1) - begin;
      kernel_for<ops::Accumulate, B>::add(Vec<const A>{x_.data + begin, size},
                                          Gradient<Vec<A>>{{sum_.data + begin, size}, sum_.fresh});
    }
    void end() override { from_.clear_grad(); }

   private:
    using A = acc_t<T>;

    Parameter<T, B> to_, from_;
    Vec<const A> x_;
    Gradient<Vec<A>> sum_;
  };

  M& model_;
  int threads_per_replica_;
  std::vector<M> replicas_;                             // but the first
  std::vector<std::unique_ptr<Reduction>> reductions_;  // one for each parameter of each replica
  std::vector<std::function<void()>> buffer_copies_;    // one for each buffer of each replica
};

}  // namespace cria
