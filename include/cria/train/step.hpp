#pragma once
/// The training step:
///
///   TrainStep step(model, batch, {.max_norm = 1.0, .threads = 4});
///   for (...) {
///     ...                                    // the batch's next inputs and targets
///     step.add(batch, rng.split(iteration));
///     const double loss = step.update(optimizer).loss;
///   }

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/backend/cpu/feed.hpp"
#include "cria/backend/cpu/replay.hpp"
#include "cria/core/check.hpp"
#include "cria/core/profile.hpp"
#include "cria/dist/communicator.hpp"
#include "cria/dist/exchange.hpp"
#include "cria/dist/parameter_owners.hpp"
#include "cria/nn/dropout.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/optim/adamw.hpp"
#include "cria/optim/grad_scaler.hpp"
#include "cria/train/batch.hpp"
#include "cria/train/data_parallel.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/feed.hpp"
#include "cria/backend/cuda/replay.hpp"
#include "cria/dist/nccl.hpp"
#endif

namespace cria {

struct TrainStepOptions {
  std::int64_t micro_batches = 1;  // batches whose gradients are summed up before an update
  double max_norm = 0;             // the gradient is scaled down to this L2 norm; 0: it is not
  int threads = 1;                 // that chunks of a batch are computed on; a device is driven by one
  /// A divisor of `threads`. Each replica of the model has gradients of its own, so that with many threads
  /// and a large model several may share one, see DataParallel.
  int threads_per_replica = 1;
  /// On the CPU: the gradient is summed up along one binary tree over the step's chunks, whose size depends on
  /// the length of examples alone, so its bits depend neither on `threads` nor on how the step's examples are
  /// divided into micro-batches of whole chunks (DataParallel::for_each_leaf).
  bool reproducible = false;
  bool replay = false;  // on a GPU: forward and backward are one CUDA graph, see Replay
  /// Processes that train the model together, each on its own part of the step's examples, in the order of
  /// their ranks; none: this one alone. They update it alike, so their models stay the same, bit for bit. A
  /// reproducible step of 2^n chunks has the same bits on any number of processes. On GPUs each has its own
  /// (cuda::use_device), gradients are exchanged by NCCL, and the program links cria::nccl (Exchange).
  Communicator* processes = nullptr;
  /// Each process updates the parameters that it owns alone, by an optimiser of those, and the others get their
  /// values (ParameterOwners): the same bits, for a part of the optimiser's memory. None: each updates all.
  const ParameterOwners* owners = nullptr;
  /// Processes exchange gradients as bfloat16: half the bytes. Sums then depend on the number of processes.
  bool bfloat16_exchange = false;
};

struct TrainStepResult {
  double loss;           // the mean over all that the micro-batches count
  double gradient_norm;  // before clipping; not finite if the update was left out for that
  double loss_scale;     // that the gradients were computed with
};

/// Where the time of steps goes, by operation.
struct StepProfile {
  Profile chunks;  // that replicas compute each on its own, in seconds of all replicas together
  Profile rest;    // chunks that all threads work on together, sums of gradients, and the update
};

/// What a model learns from a batch: forward and backward by chunks on several threads (DataParallel), loss
/// scaling for float16 parameters, gradients that are summed up over micro-batches, clipping, the update.
///
/// M is any module with loss(inputs, targets), the mean loss of examples: a tensor of shape [] from tensors
/// [n, ...] of X and [n, ...] of Y, whatever n is. Of targets that are tokens it is the mean over those that
/// are not ignored_target, as that of cross_entropy. Results depend on the number of replicas through the
/// order of sums alone, unless they are to be reproducible, and on nothing else that is not given.
///
/// After an exception a step is forgotten: the gradients are gone, the parameters, the buffers and the loss
/// scale are what they were, and it may be begun again. (A device reports late what went wrong: its update
/// may be done by then.)
template <class M, class B = DefaultBackend, class X = std::int32_t, class Y = X>
class TrainStep {
  using Inputs = Tensor<X, B>;
  using Targets = Tensor<Y, B>;
  using Loss = std::remove_cvref_t<decltype(std::declval<const M&>().loss(std::declval<const Inputs&>(),
                                                                          std::declval<const Targets&>()))>;
  using A = typename Loss::value_type;

 public:
  /// For batches of the shapes of `batch`, those of one process. `model` must outlive this object. Throws
  /// ConfigError for options that cannot be.
  TrainStep(M& model, const Batch<X, Y>& batch, const TrainStepOptions& options = {})
      : options_(checked(options)),
        model_(model),
        parallel_(model, replicas(), options.threads_per_replica),
        shape_of_inputs_(batch.shape_of_inputs),
        shape_of_targets_(batch.shape_of_targets),
        chunk_size_(chunk_size(batch.size(), batch.shape_of_targets.size() / batch.size())),
        inputs_(batch.shape_of_inputs),
        targets_(batch.shape_of_targets),
        micro_step_(options.replay),
        scaler_({.enabled = has_float16_parameters(model)}),
        losses_(static_cast<std::size_t>(options.micro_batches * chunks())),
        counts_(losses_.size()) {
    if constexpr (Exchange<B>::is_possible) {
      if (options.processes) {
        exchange_.emplace(model, *options.processes, options.owners, options.bfloat16_exchange);
      }
    }
    nn::for_each_value(model, [&](const std::string&, auto& field) {
      if constexpr (requires { field.copy_from(field); }) {
        const auto before = field.clone();
        save_buffers_.push_back([from = field, to = before]() mutable { to.copy_from(from); });
        restore_buffers_.push_back([from = before, to = field]() mutable { to.copy_from(from); });
      }
    });
  }
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// Adds the gradients of the next micro-batch of this step. Dropout draws from noise.split(i) in the step's
  /// chunk number i, counted over all processes, so all micro-batches may have the same noise. Times go to
  /// `profile`, if there is one. Throws ShapeError if the batch has other shapes or does not hold as many
  /// values as they say, ConfigError if the step has all its micro-batches.
  void add(const Batch<X, Y>& batch, const Rng& noise, StepProfile* profile = nullptr) {
    check_shapes(batch);
    if (micro_batch_ == options_.micro_batches) {
      throw ConfigError("TrainStep::add: the step has all its " + std::to_string(options_.micro_batches) +
                        " micro-batches; update comes next");
    }
    follow_frozen_parameters();
    if (micro_batch_ == 0) {
      for (auto& save : save_buffers_) save();
    }
    forgotten_on_exception([&] {
      const auto add_chunk = [&](const M& model, std::int64_t chunk) {
        const auto timed = timed_chunk(profile, chunk);
        const auto i = static_cast<std::size_t>(micro_batch_ * chunks() + chunk);
        counts_[i] = count_of(batch, chunk);
        const auto scale =
            static_cast<A>(scaler_.scale() * (static_cast<double>(counts_[i]) / all_of_step()));
        losses_[i] = telling_chunk(chunk, [&] {
          return micro_step_(
              static_cast<double>(scale),
              [&](const Inputs& inputs, const Targets& targets, const auto& stream) {
                return differentiate(model, inputs, targets, stream, scale);
              },
              inputs_of(batch, chunk), targets_of(batch, chunk),
              noise.split(static_cast<std::uint64_t>(rank()) * losses_.size() + i));
        });
      };
      if (is_reproducible()) {
        parallel_.for_each_leaf(chunks(), add_chunk);
      } else {
        parallel_.for_each_chunk(chunks(), add_chunk);
      }
    });
    ++micro_batch_;
  }

  /// Updates the model by `optimizer` (AdamW, or what has its step and gradient_norm), which clears the
  /// gradients. Throws ConfigError if a micro-batch is missing, and what optimizer.step throws.
  template <class Optimizer>
  TrainStepResult update(Optimizer& optimizer, StepProfile* profile = nullptr) {
    if (micro_batch_ != options_.micro_batches) {
      throw ConfigError("TrainStep::update: " + std::to_string(micro_batch_) + " of " +
                        std::to_string(options_.micro_batches) + " micro-batches were added");
    }
    TrainStepResult result{.loss = 0, .gradient_norm = 0, .loss_scale = scaler_.scale()};
    forgotten_on_exception([&] {
      const auto timed = timed_into(profile ? &profile->rest : nullptr);
      parallel_.reduce_gradients();
      const std::vector<double> counts = of_all_processes({counts_.begin(), counts_.end()});
      const double counted = std::max(std::accumulate(counts.begin(), counts.end(), 0.0), 1.0);
      const GradientScaling scaling{.loss_scale = result.loss_scale * (counted / all_of_step()),
                                    .max_norm = options_.max_norm};
      keeping_gradients([&] { step_of(optimizer, scaling); });
      // All has been submitted; only now does the host wait for a device.
      result.loss = sum_of_losses(counts) / counted;
      result.gradient_norm = optimizer.gradient_norm();
    });
    scaler_.update(result.gradient_norm);
    micro_batch_ = 0;
    return result;
  }

  /// The mean loss of a batch, without gradients and dropout, in this process alone. Throws ShapeError as add
  /// does.
  double loss(const Batch<X, Y>& batch) {
    check_shapes(batch);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(chunks()));
    const double sum = parallel_.run(chunks(), [&](const M& model, std::int64_t chunk) {
      const NoGrad guard;
      const Loss mean =
          telling_chunk(chunk, [&] { return model.loss(inputs_of(batch, chunk), targets_of(batch, chunk)); });
      const std::int64_t count = counts[static_cast<std::size_t>(chunk)] = count_of(batch, chunk);
      return static_cast<double>(mean.item()) * static_cast<double>(count);
    });
    return sum / std::max(std::accumulate(counts.begin(), counts.end(), 0.0), 1.0);
  }

  /// The loss scale and what it depends on: 1 for ever unless there are float16 parameters.
  GradScaler& scaler() { return scaler_; }
  const GradScaler& scaler() const { return scaler_; }

  /// Whether TrainStepOptions::replay can be true.
  static bool replay_is_possible() { return decltype(micro_step_)::is_possible(); }

  /// Examples that are computed at once.
  std::int64_t chunk_size() const { return chunk_size_; }

 private:
  static const TrainStepOptions& checked(const TrainStepOptions& options) {
    const auto require = [](bool allowed, const char* name, auto value, const std::string& rule) {
      check::option(allowed, "TrainStep", name, value, rule);
    };
    require(options.micro_batches >= 1, "micro_batches", options.micro_batches, "it must be at least 1");
    require(options.max_norm >= 0, "max_norm", options.max_norm, "it must be 0 or more");
    require(options.threads >= 1, "threads", options.threads, "it must be at least 1");
    require(std::is_same_v<B, Cpu> || options.threads == 1, "threads", options.threads,
            "a device is driven by one thread");
    if (options.processes) {
      require(Exchange<B>::is_possible, "processes", options.processes->size(),
              "GPUs exchange gradients by NCCL, for which a program links cria::nccl");
      detail::check_processes(options.processes->size());
    }
    if (options.owners && &options.owners->processes() != options.processes) {
      throw ConfigError("TrainStep: its owners are those of other processes; `processes` must be the same");
    }
    require(options.threads_per_replica >= 1 && options.threads % options.threads_per_replica == 0,
            "threads_per_replica", options.threads_per_replica,
            "it must be a divisor of threads = " + std::to_string(options.threads));
    return options;
  }

  static bool has_float16_parameters(const M& model) {
    bool found = false;
    nn::for_each_parameter(model, [&]<class T, class P>(const std::string&, const Parameter<T, P>&) {
      found = found || std::is_same_v<T, float16>;
    });
    return found;
  }

  int processes() const { return options_.processes ? options_.processes->size() : 1; }
  int rank() const { return options_.processes ? options_.processes->rank() : 0; }
  std::vector<double> of_all_processes(const std::vector<double>& own) const {
    return options_.processes ? all_gather(*options_.processes, own) : own;
  }

  /// The sum of the processes' gradients, and the optimiser's step for what they share.
  template <class Optimizer>
  void step_of(Optimizer& optimizer, const GradientScaling& scaling) {
    if constexpr (Exchange<B>::is_possible) {
      if (exchange_) exchange_->sum_gradients(model_);
      if (options_.owners) {
        const auto sums = [this](const ParameterGroups<B>& own) { return exchange_->sums_of_squares(own); };
        if constexpr (requires { optimizer.step(scaling, sums); }) {
          optimizer.step(scaling, sums);
          return exchange_->gather_values(model_);
        } else {
          throw ConfigError(
              "TrainStep::update: the optimiser's step takes no sums of squares, as that of a class "
              "Optimizer does, so its state cannot have owners");
        }
      }
    }
    optimizer.step(scaling);
  }

  int replicas() const { return options_.threads / options_.threads_per_replica; }
  bool is_reproducible() const { return options_.reproducible && std::is_same_v<B, Cpu>; }
  /// Examples of a chunk of batches of `batch` of them, each with so many targets.
  std::int64_t chunk_size(std::int64_t batch, std::int64_t length) const {
    if (!std::is_same_v<B, Cpu>) return batch;  // a device has all its cores work on one chunk
    return is_reproducible() ? examples_of_a_chunk(batch, length, 1)
                             : examples_of_a_chunk(batch, length, replicas(), options_.threads_per_replica);
  }
  std::int64_t size() const { return shape_of_inputs_.dim(0); }
  std::int64_t chunks() const { return (size() + chunk_size_ - 1) / chunk_size_; }
  std::int64_t examples(std::int64_t chunk) const {
    return std::min(chunk_size_, size() - chunk * chunk_size_);
  }

  /// What the mean loss of a batch is a mean over, without what it ignores: targets, or examples where
  /// targets are no tokens.
  std::int64_t all() const { return counts_targets() ? shape_of_targets_.size() : size(); }
  bool counts_targets() const { return std::is_same_v<Y, std::int32_t> && shape_of_targets_.size() > 0; }
  /// How many of them a chunk has. One that is all of a step need not be weighed.
  std::int64_t count_of(const Batch<X, Y>& batch, std::int64_t chunk) const {
    if (losses_.size() == 1 && processes() == 1) return all();
    if (!counts_targets()) return examples(chunk);
    const std::span<const Y> targets = part(batch.targets, chunk);
    return std::count_if(targets.begin(), targets.end(), [](Y target) { return target != ignored_target; });
  }
  /// A chunk is weighed as if nothing was ignored in the step: what the whole has counted is known only when
  /// it is complete.
  double all_of_step() const { return static_cast<double>(all() * options_.micro_batches * processes()); }

  void check_shapes(const Batch<X, Y>& batch) const {
    if (batch.shape_of_inputs != shape_of_inputs_ || batch.shape_of_targets != shape_of_targets_) {
      throw ShapeError("TrainStep: the batch is " + to_string(batch.shape_of_inputs) + " and " +
                       to_string(batch.shape_of_targets) + "; the step was made for " +
                       to_string(shape_of_inputs_) + " and " + to_string(shape_of_targets_));
    }
    const auto inputs = static_cast<std::int64_t>(batch.inputs.size()),
               targets = static_cast<std::int64_t>(batch.targets.size());
    if (inputs != shape_of_inputs_.size() || targets != shape_of_targets_.size()) {
      throw ShapeError("TrainStep: the batch holds " + std::to_string(inputs) + " inputs and " +
                       std::to_string(targets) + " targets; its shapes are " + to_string(shape_of_inputs_) +
                       " and " + to_string(shape_of_targets_));
    }
  }

  /// A chunk's values of `values`.
  template <class V>
  std::span<const V> part(const std::vector<V>& values, std::int64_t chunk) const {
    const std::size_t row = values.size() / static_cast<std::size_t>(size());
    return std::span(values).subspan(static_cast<std::size_t>(chunk * chunk_size_) * row,
                                     static_cast<std::size_t>(examples(chunk)) * row);
  }
  /// The same on the backend.
  Inputs inputs_of(const Batch<X, Y>& batch, std::int64_t chunk) {
    return inputs_(part(batch.inputs, chunk));
  }
  Targets targets_of(const Batch<X, Y>& batch, std::int64_t chunk) {
    return targets_(part(batch.targets, chunk));
  }

  /// Adds scale times the gradients of the mean loss, and returns that. `stream`: an Rng, or a tensor that
  /// holds one.
  template <class Stream>
  static Loss differentiate(const M& model, const Inputs& inputs, const Targets& targets,
                            const Stream& stream, A scale) {
    const nn::DropoutStream dropout(stream);
    const Loss loss = model.loss(inputs, targets);
    backward(loss, scale);
    return loss.detach();
  }

  /// A graph adds to the gradients of the parameters that were not frozen when it was captured, and to no
  /// others: where that has changed, it is captured again.
  void follow_frozen_parameters() {
    if (!micro_step_.replays()) return;
    std::vector<bool> trained;
    nn::for_each_parameter(model_, [&](const std::string&, const auto& parameter) {
      trained.push_back(parameter.requires_grad());
    });
    if (trained != trained_) micro_step_.reset();
    trained_ = std::move(trained);
  }

  /// Calls update(), which clears the gradients. A graph adds to them where they were when it was captured:
  /// for it they stay there, as zeros.
  template <class F>
  void keeping_gradients(F update) {
    if (!micro_step_.replays()) return update();
    std::vector<std::function<void()>> clearings;
    nn::for_each_parameter(model_, [&]<class T>(const std::string&, Parameter<T, B>& parameter) {
      if (!parameter.has_grad()) return;
      clearings.push_back([&parameter, gradient = parameter.grad()]() mutable {
        B::fill_zero(gradient.mutable_vec().data,
                     static_cast<std::size_t>(gradient.size()) * sizeof(acc_t<T>));
        parameter.set_grad(gradient);
      });
    });
    update();
    for (auto& clear : clearings) clear();
  }

  /// Of all processes' chunks, in their order, each times what it counts.
  double sum_of_losses(const std::vector<double>& counts) const {
    std::vector<double> own;
    for (const Loss& loss : losses_) own.push_back(static_cast<double>(loss.item()));
    const std::vector<double> losses = of_all_processes(own);
    return std::inner_product(losses.begin(), losses.end(), counts.begin(), 0.0);
  }

  /// loss(), of a chunk. What does not fit there says which examples these are: it counts from the first.
  template <class F>
  Loss telling_chunk(std::int64_t chunk, F loss) const {
    try {
      return loss();
    } catch (const ShapeError& error) {
      if (chunks() == 1) throw;
      const std::int64_t first = chunk * chunk_size_;
      throw ShapeError(std::string(error.what()) + " (of a part of the batch, its examples " +
                       std::to_string(first) + " to " + std::to_string(first + examples(chunk) - 1) + ")");
    }
  }

  template <class F>
  void forgotten_on_exception(F work) {
    try {
      work();
    } catch (...) {
      parallel_.clear_gradients();
      for (auto& restore : restore_buffers_) restore();
      micro_step_.reset();
      micro_batch_ = 0;
      throw;
    }
  }

  static std::optional<ProfileScope> timed_into(Profile* profile) {
    return profile ? std::optional<ProfileScope>(std::in_place, *profile) : std::nullopt;
  }
  std::optional<ProfileScope> timed_chunk(StepProfile* profile, std::int64_t chunk) const {
    if (!profile) return {};
    const bool is_shared = chunk >= chunks_on_replicas(chunks(), replicas());
    return timed_into(is_shared ? &profile->rest : &profile->chunks);
  }

  TrainStepOptions options_;
  M& model_;
  DataParallel<M> parallel_;
  Shape shape_of_inputs_, shape_of_targets_;
  std::int64_t chunk_size_;
  Feed<X, B> inputs_;
  Feed<Y, B> targets_;
  Replay<B, Loss(Inputs, Targets, Rng)> micro_step_;
  GradScaler scaler_;
  std::optional<Exchange<B>> exchange_;  // where there are other processes
  std::vector<bool> trained_;            // which parameters were not frozen in the last micro-batch
  std::vector<Loss> losses_;             // of the chunks of the micro-batches
  std::vector<std::int64_t> counts_;     // what these are means over
  std::int64_t micro_batch_ = 0;         // the step's next one
  std::vector<std::function<void()>> save_buffers_, restore_buffers_;  // one for each, as a step begins
};

}  // namespace cria
