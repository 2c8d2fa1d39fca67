#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
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
      : model_(model), groups_(replicas), threads_per_group_(threads_per_replica) {
    make_replicas(static_cast<std::size_t>(replicas - 1));
  }

  int replicas() const { return groups_; }

  /// Calls work(model, chunk) for every chunk: for chunks_on_replicas() of them on all replicas at once, then
  /// for the rest one by one on the calling thread. Which replica gets which chunk depends on the number of
  /// replicas alone. The first exception that `work` throws is thrown again here, and all gradients are
  /// forgotten, those of chunks and steps before as well, so that the step may be begun once more.
  template <class F>
  void for_each_chunk(std::int64_t chunks, F work) {
    distribute(chunks, [&](int group, std::int64_t chunk) {
      work(group == 0 || group == groups_ ? model_ : replicas_[static_cast<std::size_t>(group - 1)], chunk);
    });
  }

  /// The same for work whose gradients reduce_gradients() is to sum up along one binary tree, a chunk being a
  /// leaf and the next call going on with the next leaf: the bits of the sum depend on the chunks alone, not
  /// on the number of replicas, nor on how chunks are divided among calls. What stays in the model's buffers
  /// is from the first chunk. A group of threads that has 2^n chunks then has up to 1 + n gradients at a time.
  template <class F>
  void for_each_leaf(std::int64_t chunks, F work) {
    const std::int64_t first = leaves_, own = (chunks + groups_ - 1) / groups_;
    // As many as hold sums at the same time: a part of the tree is up to two subtrees of each height.
    const auto height = [](std::int64_t leaves) {
      return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(leaves)));
    };
    make_replicas(static_cast<std::size_t>(groups_) * (2 * height(own) + 1) + height(first + chunks));
    free_.clear();
    for (M& replica : replicas_) {
      if (std::ranges::none_of(sums_, [&](const Sum& sum) { return sum.holder == &replica; })) {
        free_.push_back(&replica);
      }
    }
    std::vector<Sums> of_groups(static_cast<std::size_t>(groups_ + 1));
    distribute(chunks, [&](int group, std::int64_t chunk) {
      M& holder = first + chunk == 0 ? model_ : take_free();
      work(holder, chunk);
      push(of_groups[static_cast<std::size_t>(group)], {first + chunk, 1, &holder}, 1);
    });
    for (const Sums& sums : of_groups) {
      for (const Sum& sum : sums) push(sums_, sum, threads());
    }
    leaves_ += chunks;
  }

  /// The same as for_each_chunk for a function that gives a number: returns their sum, in the order of the
  /// chunks.
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

  /// Adds the replicas' gradients to the model's, in a fixed order, and clears them.
  void reduce_gradients() {
    for (; sums_.size() > 1; sums_.pop_back()) {
      add_gradients({sums_.back().holder}, *sums_.end()[-2].holder, threads());
    }
    sums_.clear();
    leaves_ = 0;
    std::vector<M*> all;
    for (M& replica : replicas_) all.push_back(&replica);
    add_gradients(all, model_, threads());
    detail::end_of_operation("reduce_gradients");
  }

  /// Forgets the gradients of the model and of the replicas.
  void clear_gradients() {
    nn::zero_grad(model_);
    for (M& replica : replicas_) nn::zero_grad(replica);
    sums_.clear();
    leaves_ = 0;
  }

 private:
  /// The sum of the gradients of the leaves [first, first + leaves), which `holder` has.
  struct Sum {
    std::int64_t first, leaves;
    M* holder;
  };
  using Sums = std::vector<Sum>;

  /// Calls work(group, chunk) for every chunk: those that no group takes are left to number groups_, on the
  /// calling thread.
  template <class F>
  void distribute(std::int64_t chunks, F work) {
    const std::int64_t shared = chunks_on_replicas(chunks, groups_);
    for (auto& copy : buffer_copies_) copy();
    try {
      run_on_groups(groups_, threads_per_group_, [&](int group) {
        for (std::int64_t chunk = shared * group / groups_; chunk < shared * (group + 1) / groups_; ++chunk) {
          work(group, chunk);
        }
      });
      for (std::int64_t chunk = shared; chunk < chunks; ++chunk) work(groups_, chunk);
    } catch (...) {
      clear_gradients();
      throw;
    }
  }

  /// Until there are `count` of them.
  void make_replicas(std::size_t count) {
    while (replicas_.size() < count) {
      replicas_.push_back(model_);
      nn::for_each_value(replicas_.back(), [&](const std::string&, auto& field) {
        const auto original = field;
        if constexpr (requires { field.with_own_gradient(); }) {
          field = field.with_own_gradient();
        } else {
          field = field.clone();
          buffer_copies_.push_back([original, own = field]() mutable { own.copy_from(original); });
        }
      });
    }
  }

  M& take_free() {
    const std::lock_guard lock(mutex_);
    M& replica = *free_.back();
    free_.pop_back();
    return replica;
  }

  /// Appends the next leaves' sum to others', and adds it up with the one before as long as both are halves of
  /// what lies above them in the tree.
  void push(Sums& sums, Sum next, int threads) {
    for (; !sums.empty(); sums.pop_back()) {
      const Sum& before = sums.back();
      if (before.leaves != next.leaves || before.first % (2 * next.leaves) != 0) break;
      add_gradients({next.holder}, *before.holder, threads);
      const std::lock_guard lock(mutex_);
      free_.push_back(next.holder);
      next = {before.first, 2 * next.leaves, before.holder};
    }
    sums.push_back(next);
  }

  /// Adds gradients to those of `to`, those of each model of `from` after those of the one before, and clears
  /// them. Each thread adds a slice of every gradient: all meet once, however many models and parameters there
  /// are, and a slice of the sum stays in a thread's cache.
  static void add_gradients(const std::vector<M*>& from, M& to, int threads) {
    std::vector<std::vector<void*>> sources(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      nn::for_each_parameter(*from[i],
                             [&](const std::string&, auto& parameter) { sources[i].push_back(&parameter); });
    }
    std::vector<std::function<void(int)>> slices;
    std::vector<std::function<void()>> ends;
    std::size_t index = 0;
    nn::for_each_parameter(to, [&]<class T, class B>(const std::string&, Parameter<T, B>& sum) {
      for (const auto& parameters : sources) {
        auto& source = *static_cast<Parameter<T, B>*>(parameters[index]);  // as the models are of one type
        if (!source.has_grad()) continue;
        if (!sum.has_grad()) {  // which takes this one, with its memory
          accumulate(sink(sum), source.grad());
          source.clear_grad();
          continue;
        }
        const auto gradient = source.grad();
        slices.push_back([threads, x = gradient.vec(), all = sink(sum).vec()](int thread) {
          using A = acc_t<T>;
          const auto begin_of = [&](std::int64_t i) { return x.size * i / threads; };
          const std::int64_t begin = begin_of(thread), size = begin_of(thread + 1) - begin;
          kernel_for<ops::Accumulate, B>::add(Vec<const A>{x.data + begin, size},
                                              Gradient<Vec<A>>{{all.data + begin, size}, false});
        });
        ends.push_back([&source] { source.clear_grad(); });
      }
      ++index;
    });
    if (slices.empty()) return;
    run_on_threads(threads, [&](int thread) {
      for (const auto& add : slices) add(thread);
    });
    for (const auto& end : ends) end();
  }

  int threads() const { return groups_ * threads_per_group_; }

  M& model_;
  int groups_, threads_per_group_;
  std::deque<M> replicas_;  // of which each group has one to begin with, but the first
  std::vector<std::function<void()>> buffer_copies_;  // one for each buffer of each replica
  Sums sums_;                                         // of the leaves so far, from the first one on
  std::int64_t leaves_ = 0;                           // how many these are
  std::mutex mutex_;
  std::vector<M*> free_;  // replicas that hold no gradient
};

}  // namespace cria
