#include "training_run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "cria/io/checkpoint_folder.hpp"
#include "evaluation.hpp"
#include "processes.hpp"
#include "sample_text.hpp"
#include "tokenizer.hpp"

namespace pretrain {

namespace {

/// Times that a run goes back to a checkpoint.
constexpr int most_rollbacks = 3;

cria::Schedule schedule_of(const TrainOptions& options) {
  namespace schedule = cria::schedule;
  const double most = options.learning_rate, least = options.min_lr;
  const std::int64_t warmup = options.warmup_iters, last = options.lr_decay_iters;
  if (!options.decay_lr) return schedule::constant(most);
  if (options.schedule == "wsd") {
    return schedule::warmup_stable_decay(most, least, warmup, options.cooldown_iters, last);
  }
  const auto rise = schedule::linear(0, most, warmup);
  if (options.schedule == "constant") return schedule::then(rise, warmup, schedule::constant(most));
  const std::int64_t fall = std::max<std::int64_t>(last - warmup, 0);
  return schedule::then(rise, warmup,
                        options.schedule == "linear" ? schedule::linear(most, least, fall)
                                                     : schedule::cosine(most, least, fall));
}

/// Those of all processes.
Fingerprints fingerprints_of(const Corpus& corpus, const TrainOptions& options) {
  const Fingerprints fingerprints = corpus.fingerprints();
  check_same_data(options, fingerprints);
  return fingerprints;
}

}  // namespace

TrainingRun::TrainingRun(const TrainOptions& options)
    : options_(options),
      schedule_(schedule_of(options)),
      out_dir_(options.out_dir),
      corpus_(options.data_dir, options.vocab_size, options.max_seq_len),
      fingerprints_(fingerprints_of(corpus_, options)),
      stream_(corpus_.training, options.max_seq_len, cria::Rng(options.seed).split(1)),
      batch_(options.batch()),
      step_(training_step(options)),
      state_(starting_state()),
      log_(options_, corpus_, state_.iteration) {}

/// That of the checkpoint, which is loaded, or of a new run.
RunState TrainingRun::starting_state() {
  if (options_.is_first()) lock_.emplace(out_dir_);
  // Found only now, when no other run can be changing it.
  if (const auto checkpoint = starting_point(options_)) {
    const RunState state = load_checkpoint(*checkpoint, *step_, options_, fingerprints_);
    stream_.seek(state.data);
    has_checkpoint_ = true;
    return state;
  }
  // Or the run before would seem to have been this one until this one saves.
  if (options_.overwrite && options_.is_first()) {
    for (const char* name : {"ckpt", "best"}) cria::io::remove_folder(out_dir_ / name);
  }
  return {};
}

void TrainingRun::train() {
  if (state_.iteration > options_.max_iters && !options_.eval_only) {
    std::printf("nothing to train: the run in %s has done iteration %lld, and --max_iters is %lld\n",
                options_.out_dir.c_str(), static_cast<long long>(state_.iteration - 1),
                static_cast<long long>(options_.max_iters));
    return;
  }
  log_.begin(*step_);
  const StopSignal stop;
  do {
    const bool writes = options_.sample_interval > 0 && state_.iteration % options_.sample_interval == 0;
    if (writes && !options_.eval_only) write_sample();
    if (state_.iteration % options_.eval_interval == 0 || options_.eval_only) {
      progress_.reset();  // an evaluation has a bar of its own
      evaluate_and_save(stop);
    }
    if (any_of(options_.processes, stop.requested())) return save_and_say_how_to_go_on();
    if (options_.eval_only) break;
    iterate();
    writer_.check();
  } while (state_.iteration <= options_.max_iters);
  progress_.reset();
  if (!options_.eval_only) save_latest_if_finite();
  log_.draw(/*goes_on=*/false);
  log_.end(state_.iteration, state_.best_val_loss);
}

/// Forward and backward of all micro-batches, and the update.
void TrainingRun::iterate() {
  const std::int64_t it = state_.iteration, tokens = options_.tokens_per_iteration();
  const double learning_rate = schedule_(it);
  const cria::Rng noise = cria::Rng(options_.seed).split(2).split(static_cast<std::uint64_t>(it));
  if (!progress_) {
    progress_.emplace("training", (options_.max_iters + 1) * tokens, " tokens", it * tokens,
                      std::chrono::seconds(30), began_);
  }

  const auto start = std::chrono::steady_clock::now();
  // Each process has a part of the iteration's sequences: the first ones have the first.
  const std::int64_t micro_batches = options_.gradient_accumulation_steps;
  for (std::int64_t i = 0; i < micro_batches * options_.process_count(); ++i) {
    stream_.next(batch_.size(), batch_.inputs, batch_.targets);
    if (i / micro_batches != options_.rank()) continue;
    step_->add(batch_, noise, log_.profile(it));
    const std::int64_t done = i % micro_batches + 1;
    progress_->update(it * tokens + done * options_.batch_size * options_.max_seq_len);
  }
  const cria::TrainStepResult result = step_->update(learning_rate, log_.profile(it));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;

  ++state_.iteration;
  log_.iteration(it, result, learning_rate, taken.count(), *progress_);
  // A float16 gradient may overflow as long as there is a scale to lower.
  const bool is_finite =
      std::isfinite(result.loss) && (std::isfinite(result.gradient_norm) || result.loss_scale > 1.0);
  if (!divergence_.note(it, result.loss, is_finite, options_.max_nonfinite_iters)) return;
  if (options_.on_divergence == "stop") fail_diverged();
  if (options_.on_divergence == "rollback") go_back();
}

/// By the first process: the others wait for it in the next iteration.
void TrainingRun::write_sample() {
  progress_.reset();
  if (!options_.is_first()) return;
  log_.sample(state_.iteration, sample_text(*step_, Tokenizer(corpus_.tokenizer_model), options_));
}

/// To the latest checkpoint, but not in the data. What diverges again and again does so whatever the data.
void TrainingRun::go_back() {
  if (!has_checkpoint_ || rollbacks_ == most_rollbacks) fail_diverged();
  ++rollbacks_;
  progress_.reset();
  writer_.wait();
  state_ = load_checkpoint(find_checkpoint(out_dir_ / "ckpt"), *step_, options_, fingerprints_);
  log_.rollback(state_.iteration, divergence_.sentence());
  divergence_ = {};
}

/// Leaves no trace if it was stopped: a run that goes on evaluates first.
void TrainingRun::evaluate_and_save(const StopSignal& stop) {
  const std::int64_t it = state_.iteration;
  const auto losses = evaluate(*step_, corpus_, options_, batch_, stop);
  if (!losses) return;
  log_.evaluation(it, *losses);
  log_.draw(/*goes_on=*/!options_.eval_only);
  const bool is_finite =
      std::isfinite(losses->validation) && std::isfinite(losses->training) && divergence_.is_absent();
  const bool improved = is_finite && losses->validation < state_.best_val_loss;
  if (improved) state_.best_val_loss = losses->validation;
  if (it > 0 && !options_.eval_only && is_finite && (improved || options_.always_save_checkpoint)) {
    std::printf("saving checkpoint to %s\n", options_.out_dir.c_str());
    std::fflush(stdout);
    // Best first: ckpt knows best_val_loss, so that a run resumed from it would not save this best again.
    save(improved ? std::vector<std::string>{"best", "ckpt"} : std::vector<std::string>{"ckpt"});
  }
}

void TrainingRun::save(const std::vector<std::string>& names) {
  writer_.wait();
  state_.data = stream_.position();
  std::vector<std::filesystem::path> folders;
  for (const std::string& name : names) folders.push_back(out_dir_ / name);
  const auto replacement = std::make_shared<CheckpointReplacement>(folders, options_);
  auto contents = checkpoint_contents(*step_, state_, options_, fingerprints_, corpus_.tokenizer_model);
  if (options_.async_save) {
    contents.detach();
    writer_.start([replacement, contents = std::move(contents)] { replacement->write(contents); });
  } else {
    replacement->write(contents);
  }
  has_checkpoint_ = true;
  rollbacks_ = 0;
}

/// A checkpoint of a run that diverges would take the place of one that did not yet. An update can also have
/// spoiled the weights after the last finite loss.
void TrainingRun::save_latest_if_finite() {
  if (divergence_.is_absent() && step_->has_finite_weights()) {
    save({"ckpt"});
    return writer_.wait();
  }
  std::printf("the loss or a weight is no finite number: %s is left as it was\n",
              (out_dir_ / "ckpt").c_str());
}

void TrainingRun::save_and_say_how_to_go_on() {
  const auto next = static_cast<long long>(state_.iteration);
  progress_.reset();
  log_.draw(/*goes_on=*/false);
  if (state_.iteration == log_.first()) {
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

void TrainingRun::fail_diverged() {
  progress_.reset();
  log_.draw(/*goes_on=*/false);
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
  const std::string again =
      rollbacks_ > 0 ? ", also after going back " + std::to_string(rollbacks_) + " times" : std::string();
  throw std::runtime_error(divergence_.sentence() + again + "; " + advice);
}

}  // namespace pretrain
