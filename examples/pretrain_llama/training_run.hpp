#pragma once
/// A training run, for every backend: nvcc compiles it for the GPU.

#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numbers>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint.hpp"
#include "corpus.hpp"
#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "folder_lock.hpp"
#include "memory_plan.hpp"
#include "micro_step.hpp"
#include "progress.hpp"
#include "speed_of_light.hpp"
#include "step_profile.hpp"
#include "stop_signal.hpp"
#include "token_batch.hpp"

namespace pretrain {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What the run will take. (Where it is defined, the CPU's products are those that the CPU trains with.)
MemoryPlan memory_of(const TrainOptions& options);

/// Mean loss of the first `batches` batches of a fixed order of `shards`, without gradients and dropout. No
/// value if it was to stop before the last of them.
template <class T, class B>
std::optional<double> estimate_loss(cria::nn::DataParallel<cria::nn::LlamaForCausalLM<T, B>>& parallel,
                                    const Corpus::Shards& shards, Batch& batch, TokenTransfer<B>& transfer,
                                    std::int64_t batches, const StopSignal& stop, const char* label) {
  cria::io::TokenStream stream(shards, batch.length, cria::Rng(42));
  Progress progress(label, batches);
  double sum = 0;
  for (std::int64_t i = 0; i < batches; ++i) {
    if (stop.requested()) return {};
    batch.fetch(stream);
    sum += parallel.run(batch.chunks(), [&](const auto& model, std::int64_t chunk) {
      const cria::NoGrad guard;
      const auto tokens = transfer(batch, chunk);
      return static_cast<double>(model.loss(tokens.inputs, tokens.targets).item()) * batch.weight(chunk);
    });
    progress.update(i + 1);
  }
  return sum / static_cast<double>(batches);
}

/// A training run in one dtype on one backend.
template <class T, class B>
class Run {
  using Model = cria::nn::LlamaForCausalLM<T, B>;
  using Loss = cria::Tensor<cria::acc_t<T>, B>;

 public:
  explicit Run(const TrainOptions& options)
      : options_(options),
        out_dir_(options.out_dir),
        corpus_(options.data_dir, options.vocab_size, options.max_seq_len),
        fingerprints_(corpus_.fingerprints()),
        stream_(corpus_.training, options.max_seq_len, cria::Rng(options.seed).split(1)),
        model_(options.model()),
        optimizer_(model_, {.learning_rate = options.learning_rate,
                            .beta1 = options.beta1,
                            .beta2 = options.beta2,
                            .weight_decay = options.weight_decay}),
        scaler_({.enabled = std::is_same_v<T, cria::float16>}),
        parallel_(model_, static_cast<int>(options.threads)),
        profile_(options.profile, options.threads),
        batch_(options),
        transfer_(batch_),
        micro_step_(model_, batch_, options),
        losses_(static_cast<std::size_t>(options.gradient_accumulation_steps * batch_.chunks())) {
    lock_.emplace(out_dir_);
    // Found only now, when no other process can be changing it.
    if (const auto checkpoint = starting_point(options)) {
      state_ = load_checkpoint(*checkpoint, model_, optimizer_, options_, fingerprints_);
      scaler_.set_state(state_.scaler);
      stream_.seek(state_.data);
      has_checkpoint_ = true;
    } else {
      if (options.overwrite) {  // or the run before would seem to have been this one until this one saves
        for (const char* name : {"ckpt", "best"}) cria::io::remove_folder(out_dir_ / name);
      }
      initialize(model_, cria::Rng(options.seed).split(0),
                 options.init == "llama2c" ? cria::nn::ResidualScaling::llama2c
                                           : cria::nn::ResidualScaling::output_projections);
    }
    metrics_.emplace(out_dir_ / "metrics.jsonl", state_.iteration);
  }

  void train() {
    if (state_.iteration > options_.max_iters && !options_.eval_only) {
      std::printf("nothing to train: the run in %s has done iteration %lld, and --max_iters is %lld\n",
                  options_.out_dir.c_str(), static_cast<long long>(state_.iteration - 1),
                  static_cast<long long>(options_.max_iters));
      return;
    }
    const cria::WarmupCosine schedule{options_.learning_rate, options_.min_lr, options_.warmup_iters,
                                      options_.lr_decay_iters};
    describe();
    const StopSignal stop;
    first_ = state_.iteration;
    while (true) {
      const std::int64_t it = state_.iteration;
      const double lr = options_.decay_lr ? schedule(it) : options_.learning_rate;
      optimizer_.set_learning_rate(lr);

      if (it % options_.eval_interval == 0 || options_.eval_only) {
        progress_.reset();  // an evaluation has a bar of its own
        evaluate(stop);
      }
      if (stop.requested()) return save_and_say_how_to_go_on();
      if (options_.eval_only) break;

      if (!progress_) {
        const std::int64_t tokens = tokens_per_iteration();
        progress_.emplace("training", (options_.max_iters + 1) * tokens, " tokens", it * tokens);
      }
      const auto start = Clock::now();
      for (std::int64_t micro = 0; micro < options_.gradient_accumulation_steps; ++micro) {
        batch_.fetch(stream_);
        forward_backward(it, micro);
        progress_->update(it * tokens_per_iteration() +
                          (micro + 1) * options_.batch_size * options_.max_seq_len);
      }
      // Not from the start: waiting for the other threads' chunks would count to the first operation here.
      const auto timed = it > first_ ? profile_.iteration() : std::nullopt;  // the first one also warms up
      parallel_.reduce_gradients();
      const double loss_scale = scaler_.scale();
      micro_step_.update(
          [&] { optimizer_.step({.loss_scale = loss_scale, .max_norm = options_.grad_clip}); });
      // All has been submitted; only now does the host wait for a device.
      const double loss = mean_loss(), norm = optimizer_.gradient_norm();
      scaler_.update(norm);

      const double seconds = seconds_since(start);
      ++state_.iteration;
      log(it, it - first_, loss, lr, seconds, norm, loss_scale);
      // A float16 gradient may overflow as long as there is a scale to lower.
      note_loss(it, loss, std::isfinite(loss) && (std::isfinite(norm) || loss_scale > 1.0));
      if (state_.iteration > options_.max_iters) break;
    }
    progress_.reset();
    if (!options_.eval_only) save_latest_if_finite();
    summarize();
  }

 private:
  /// Throws std::runtime_error after too many iterations in a row whose loss or gradient is not finite.
  void note_loss(std::int64_t it, double loss, bool is_finite) {
    if (is_finite) {
      nonfinite_iters_ = 0;
      last_finite_ = {it, loss};
      return;
    }
    if (++nonfinite_iters_ != options_.max_nonfinite_iters) return;
    progress_.reset();
    char last[96] = "it never was";
    if (last_finite_) {
      std::snprintf(last, sizeof(last), "the last finite loss was %.4f at iteration %lld",
                    last_finite_->second, static_cast<long long>(last_finite_->first));
    }
    const auto number = [](double value) { return nlohmann::json(value).dump(); };
    std::string advice = "try a lower --learning_rate (now " + number(options_.learning_rate) +
                         "), a longer --warmup_iters (now " + std::to_string(options_.warmup_iters) + ") or ";
    advice += options_.grad_clip > 0 ? "a smaller --grad_clip (now " + number(options_.grad_clip) + ")"
                                     : std::string("--grad_clip=1");
    if (has_checkpoint_) {
      advice +=
          ", from the checkpoint before that, " + (out_dir_ / "ckpt").string() + ", by --init_from=resume";
    }
    // A checkpoint has its dtype for good.
    if (options_.dtype != "float32") advice += ", or a new run with --dtype=float32";
    throw std::runtime_error("training has diverged: since iteration " +
                             std::to_string(it + 1 - nonfinite_iters_) +
                             " the loss or its gradient is no finite number, and " + last + "; " + advice);
  }

  /// A checkpoint of a run that diverges would take the place of one that did not yet. An update can also
  /// have spoiled the weights after the last finite loss.
  void save_latest_if_finite() {
    if (nonfinite_iters_ == 0 && has_finite_weights(model_)) return save("ckpt");
    std::printf("the loss or a weight is no finite number: %s is left as it was\n",
                (out_dir_ / "ckpt").c_str());
  }

  /// Adds the gradients of one micro-batch and notes the losses of its chunks.
  void forward_backward(std::int64_t it, std::int64_t micro) {
    const double share = 1.0 / static_cast<double>(options_.gradient_accumulation_steps);
    const cria::Rng noise = cria::Rng(options_.seed).split(2).split(static_cast<std::uint64_t>(it));
    parallel_.for_each_chunk(batch_.chunks(), [&](Model& model, std::int64_t chunk) {
      const auto timed = it > first_ ? profile_.chunk() : std::nullopt;
      const auto scale = static_cast<float>(scaler_.scale() * batch_.weight(chunk) * share);
      losses_[static_cast<std::size_t>(micro * batch_.chunks() + chunk)] = micro_step_(
          model, transfer_(batch_, chunk),
          noise.split(static_cast<std::uint64_t>(micro)).split(static_cast<std::uint64_t>(chunk)), scale);
    });
  }

  /// The iteration's loss, after its last micro-batch.
  double mean_loss() {
    const double share = 1.0 / static_cast<double>(options_.gradient_accumulation_steps);
    double sum = 0;
    for (std::int64_t micro = 0; micro < options_.gradient_accumulation_steps; ++micro) {
      double of_batch = 0;
      for (std::int64_t chunk = 0; chunk < batch_.chunks(); ++chunk) {
        const Loss& loss = losses_[static_cast<std::size_t>(micro * batch_.chunks() + chunk)];
        of_batch += static_cast<double>(loss.item()) * (batch_.weight(chunk) * share);
      }
      sum += of_batch;
    }
    return sum;
  }

  /// Leaves no trace if it was stopped: a run that goes on evaluates first.
  void evaluate(const StopSignal& stop) {
    const std::int64_t it = state_.iteration;
    const auto of_training = estimate_loss(parallel_, corpus_.training, batch_, transfer_,
                                           options_.eval_iters, stop, "evaluating train");
    const auto of_validation = estimate_loss(parallel_, corpus_.validation, batch_, transfer_,
                                             options_.eval_iters, stop, "evaluating val");
    if (!of_training || !of_validation) return;
    const double train_loss = *of_training, val_loss = *of_validation;
    std::printf("step %lld: train loss %.4f, val loss %.4f\n", static_cast<long long>(it), train_loss,
                val_loss);
    const auto bits = bits_per_byte(val_loss);
    if (bits) {
      std::printf("  val bits per byte %.4f", *bits);
      if (corpus_.floor) {
        std::printf(", floor %.4f nats per token (%.4f bits per byte), %.4f nats above it", *corpus_.floor,
                    *bits_per_byte(*corpus_.floor), val_loss - *corpus_.floor);
      }
      std::printf("\n");
    }
    std::fflush(stdout);
    nlohmann::ordered_json line = {{"iter", it}, {"train_loss", train_loss}, {"val_loss", val_loss}};
    line["val_bits_per_byte"] = bits ? nlohmann::ordered_json(*bits) : nlohmann::ordered_json();
    metrics_->write(line);
    last_val_loss_ = val_loss;

    const bool is_finite = std::isfinite(val_loss) && std::isfinite(train_loss) && nonfinite_iters_ == 0;
    const bool improved = is_finite && val_loss < state_.best_val_loss;
    if (improved) state_.best_val_loss = val_loss;
    if (it > 0 && !options_.eval_only && is_finite && (improved || options_.always_save_checkpoint)) {
      std::printf("saving checkpoint to %s\n", options_.out_dir.c_str());
      std::fflush(stdout);
      // Best first: ckpt knows best_val_loss, so that a run resumed from it would not save this best again.
      if (improved) save("best");
      save("ckpt");
    }
  }

  void log(std::int64_t it, std::int64_t local, double loss, double lr, double seconds, double norm,
           double loss_scale) {
    const auto tokens = static_cast<double>(tokens_per_iteration());
    if (local >= 5) {
      const double mfu = flops_per_token() * tokens / seconds / peak_flops_;
      running_mfu_ = running_mfu_ < 0 ? mfu : 0.9 * running_mfu_ + 0.1 * mfu;
    }
    if (local > 0) {
      trained_tokens_ += tokens;
      trained_seconds_ += seconds;
    }
    if (it % options_.log_interval == 0) {
      progress_->around([&] {
        std::printf("%lld | loss %.4f | lr %e | %.2fms | mfu %.2f%%\n", static_cast<long long>(it), loss, lr,
                    seconds * 1e3, running_mfu_ < 0 ? -100.0 : std::min(100.0, running_mfu_ * 100));
        std::fflush(stdout);
      });
    }
    metrics_->write(
        {{"iter", it},
         {"loss", loss},
         {"lr", lr},
         {"ms", seconds * 1e3},
         {"mfu", running_mfu_ < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(running_mfu_)},
         {"sol", speed_of_light_share(tokens, seconds)},
         {"tokens_per_s", tokens / seconds},
         {"grad_norm", norm},
         {"loss_scale", loss_scale}});
  }

  std::int64_t tokens_per_iteration() const {
    return options_.batch_size * options_.gradient_accumulation_steps * options_.max_seq_len;
  }

  /// 6 per parameter and token, and attention's products: the usual estimate, Chowdhery et al. 2022, appendix
  /// B.
  double flops_per_token() const {
    const auto& c = model_.config;
    return 6.0 * static_cast<double>(cria::nn::parameter_count(model_)) +
           12.0 * static_cast<double>(c.num_hidden_layers * c.hidden_size * options_.max_seq_len);
  }

  /// The time that the matrix products take alone over the time it took.
  double speed_of_light_share(double tokens, double seconds) const {
    return std::min(1.0, tokens * light_.seconds_per_token / seconds);
  }

  std::optional<double> bits_per_byte(double nats_per_token) const {
    if (!corpus_.validation_bytes_per_token) return {};
    return nats_per_token / std::numbers::ln2 / *corpus_.validation_bytes_per_token;
  }

  void save_and_say_how_to_go_on() {
    const auto next = static_cast<long long>(state_.iteration);
    progress_.reset();
    if (state_.iteration == first_) {
      std::printf("stopped before iteration %lld; nothing was trained\n", next);
      return;
    }
    save_latest_if_finite();
    if (!has_checkpoint_) {
      std::printf("stopped after iteration %lld; nothing was saved\n", next - 1);
      return;
    }
    std::printf(
        "stopped after iteration %lld; go on with: pretrain_llama train --init_from=resume --out_dir=%s\n",
        next - 1, options_.out_dir.c_str());
  }

  void save(const char* name) {
    state_.optimizer_steps = optimizer_.steps();
    state_.scaler = scaler_.state();
    state_.data = stream_.position();
    save_checkpoint(out_dir_ / name, model_, optimizer_, state_, options_, fingerprints_,
                    corpus_.tokenizer_model);
    has_checkpoint_ = true;
  }

  void describe() {
    const auto decayed = optimizer_.decayed(), rest = optimizer_.not_decayed();
    std::printf("num decayed parameter tensors: %lld, with %lld parameters\n",
                static_cast<long long>(decayed.tensors), static_cast<long long>(decayed.values));
    std::printf("num non-decayed parameter tensors: %lld, with %lld parameters\n",
                static_cast<long long>(rest.tensors), static_cast<long long>(rest.values));
    std::printf("tokens per iteration: %lld\n", static_cast<long long>(tokens_per_iteration()));
    std::printf("%s on %s, %lld threads, products by %s\n", options_.dtype.c_str(), options_.device.c_str(),
                static_cast<long long>(options_.threads), products_by<T, B>().c_str());
    if (!options_.eval_only) {
      light_ = measured_speed_of_light<T, B>(model_.config, options_.max_seq_len,
                                             batch_.chunk_size * options_.max_seq_len, options_.threads);
      peak_flops_ = options_.peak_flops > 0 ? options_.peak_flops : light_.peak_flops;
      std::printf("peak %.1f GFLOP/s (%s), matrix products alone: %.0f tokens/s\n", peak_flops_ * 1e-9,
                  options_.peak_flops > 0 ? "given" : "measured", 1 / light_.seconds_per_token);
    }
    std::printf("memory:\n%s", memory_of(options_).table().c_str());
    if (state_.iteration > 0) {
      std::printf("resuming at iteration %lld\n", static_cast<long long>(state_.iteration));
    }
    std::fflush(stdout);
  }

  void summarize() const {
    const auto first = static_cast<long long>(first_), next = static_cast<long long>(state_.iteration);
    if (next > first) {
      std::printf("done: iterations %lld to %lld", first, next - 1);
    } else {
      std::printf("done: evaluated before iteration %lld", next);
    }
    if (trained_seconds_ > 0) {
      std::printf(", %.0f tokens/s, %.1f%% of the matrix products' speed", trained_tokens_ / trained_seconds_,
                  100 * speed_of_light_share(trained_tokens_, trained_seconds_));
    }
    std::printf("\n");
    const auto print = [&](const char* name, double value) {
      std::printf("  %-22s %.4f nats per token", name, value);
      if (const auto bits = bits_per_byte(value)) std::printf(", %.4f bits per byte", *bits);
      std::printf("\n");
    };
    if (last_val_loss_) print("last validation loss", *last_val_loss_);
    if (std::isfinite(state_.best_val_loss)) print("best validation loss", state_.best_val_loss);
    if (corpus_.floor) print("floor of the corpus", *corpus_.floor);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("  %-22s %.1f MB\n", "peak memory", static_cast<double>(usage.ru_maxrss) * 1024e-6);
    std::printf("  checkpoints and metrics are in %s\n", options_.out_dir.c_str());
    profile_.print(state_.iteration - 1 - first_, trained_seconds_);
  }

  TrainOptions options_;
  std::filesystem::path out_dir_;
  Corpus corpus_;
  std::optional<FolderLock> lock_;
  Fingerprints fingerprints_;
  cria::io::TokenStream stream_;
  Model model_;
  cria::AdamW<B> optimizer_;
  cria::GradScaler scaler_;
  cria::nn::DataParallel<Model> parallel_;
  StepProfile profile_;
  Batch batch_;
  TokenTransfer<B> transfer_;
  MicroStep<T, B> micro_step_;
  std::vector<Loss> losses_;  // of the iteration's chunks
  RunState state_;
  std::optional<cria::io::MetricsLog> metrics_;
  std::optional<double> last_val_loss_;
  std::optional<Progress> progress_;                            // while it trains
  bool has_checkpoint_ = false;                                 // of this run
  std::int64_t nonfinite_iters_ = 0;                            // in a row, up to now
  std::optional<std::pair<std::int64_t, double>> last_finite_;  // iteration and loss
  std::int64_t first_ = 0;                                      // iteration of this process
  SpeedOfLight light_;
  double peak_flops_ = 0;
  double running_mfu_ = -1;
  double trained_tokens_ = 0, trained_seconds_ = 0;
};

/// Trains in the dtype that the options name, on backend B.
template <class B>
void train_on(const TrainOptions& options) {
  if (options.dtype == "bfloat16") {
    Run<cria::bfloat16, B>(options).train();
  } else if (options.dtype == "float16") {
    Run<cria::float16, B>(options).train();
  } else {
    Run<float, B>(options).train();
  }
}

}  // namespace pretrain
