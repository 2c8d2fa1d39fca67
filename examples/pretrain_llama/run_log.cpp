#include "run_log.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numbers>
#include <utility>
#include <vector>

#include "llama_model.hpp"
#include "memory_plan.hpp"
#include "report.hpp"
#include "step_profile.hpp"

namespace pretrain {

RunLog::RunLog(const TrainOptions& options, const Corpus& corpus, std::int64_t first)
    : options_(options),
      corpus_(corpus),
      first_(first),
      replicas_(replicas_of(options)),
      flops_per_token_(model_costs(options).flops_per_token(options.max_seq_len)),
      out_dir_(options.out_dir),
      metrics_file_(out_dir_ / "metrics.jsonl") {
  if (!options.is_first()) return;
  metrics_.emplace(metrics_file_, first);
  events_.emplace(out_dir_, first);
}

void RunLog::begin(const TrainingStep& step) {
  const ModelDescription model = step.describe();
  std::printf("num decayed parameter tensors: %lld, with %lld parameters\n",
              static_cast<long long>(model.decayed.tensors), static_cast<long long>(model.decayed.values));
  std::printf("num non-decayed parameter tensors: %lld, with %lld parameters\n",
              static_cast<long long>(model.not_decayed.tensors),
              static_cast<long long>(model.not_decayed.values));
  std::printf("tokens per iteration: %lld\n", static_cast<long long>(options_.tokens_per_iteration()));
  const std::string in_groups =
      replicas_.threads > 1 ? " in groups of " + std::to_string(replicas_.threads) : std::string();
  const std::string of_processes =
      options_.processes ? std::to_string(options_.process_count()) + " processes of " : std::string();
  std::printf("%s on %s, %s%lld threads%s, products by %s\n", options_.dtype.c_str(), options_.device.c_str(),
              of_processes.c_str(), static_cast<long long>(options_.threads), in_groups.c_str(),
              model.products_by.c_str());
  if (!options_.eval_only) {
    light_ = step.speed_of_light();
    // Measured in all processes at the same time.
    light_.seconds_per_token /= static_cast<double>(options_.process_count());
    light_.peak_flops *= static_cast<double>(options_.process_count());
    peak_flops_ = options_.peak_flops > 0 ? options_.peak_flops : light_.peak_flops;
    std::printf("peak %.1f GFLOP/s (%s), matrix products alone: %.0f tokens/s\n", peak_flops_ * 1e-9,
                options_.peak_flops > 0 ? "given" : "measured", 1 / light_.seconds_per_token);
  }
  std::printf("memory%s:\n%s", options_.processes ? " of each process" : "",
              memory_of(options_).table().c_str());
  if (metrics_) write_facts(model);
  if (first_ > 0) std::printf("resuming at iteration %lld\n", static_cast<long long>(first_));
  std::fflush(stdout);
}

void RunLog::iteration(std::int64_t it, const cria::TrainStepResult& result, double learning_rate,
                       double seconds, Progress& progress) {
  const auto tokens = static_cast<double>(options_.tokens_per_iteration());
  if (it - first_ >= 5) {
    const double mfu = flops_per_token_ * tokens / seconds / peak_flops_;
    running_mfu_ = running_mfu_ < 0 ? mfu : 0.9 * running_mfu_ + 0.1 * mfu;
  }
  if (it > first_) {
    trained_tokens_ += tokens;
    trained_seconds_ += seconds;
  }
  trend_.add(result.loss);
  progress.remark(trend_.text());
  if (it % options_.log_interval == 0) {
    progress.around([&] {
      std::printf("%lld | loss %.4f | lr %e | %.2fms | mfu %.2f%%\n", static_cast<long long>(it), result.loss,
                  learning_rate, seconds * 1e3,
                  running_mfu_ < 0 ? -100.0 : std::min(100.0, running_mfu_ * 100));
      std::fflush(stdout);
    });
  }
  write({{"iter", it},
         {"loss", result.loss},
         {"lr", learning_rate},
         {"ms", seconds * 1e3},
         {"mfu", running_mfu_ < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(running_mfu_)},
         {"sol", speed_of_light_share(tokens, seconds)},
         {"tokens_per_s", tokens / seconds},
         {"grad_norm", result.gradient_norm},
         {"loss_scale", result.loss_scale},
         {"memory_mb", static_cast<double>(memory_in_use()) * 1e-6}});
}

void RunLog::evaluation(std::int64_t it, const Evaluation& losses) {
  std::printf("step %lld: train loss %.4f, val loss %.4f\n", static_cast<long long>(it), losses.training,
              losses.validation);
  const auto bits = bits_per_byte(losses.validation);
  if (bits) {
    std::printf("  val bits per byte %.4f", *bits);
    if (corpus_.floor) {
      std::printf(", floor %.4f nats per token (%.4f bits per byte), %.4f nats above it", *corpus_.floor,
                  *bits_per_byte(*corpus_.floor), losses.validation - *corpus_.floor);
    }
    std::printf("\n");
  }
  std::fflush(stdout);
  nlohmann::ordered_json line = {
      {"iter", it}, {"train_loss", losses.training}, {"val_loss", losses.validation}};
  line["val_bits_per_byte"] = bits ? nlohmann::ordered_json(*bits) : nlohmann::ordered_json();
  write(line);
  last_val_loss_ = losses.validation;
}

void RunLog::sample(std::int64_t it, const std::string& text) {
  std::printf("sample %lld: %s\n", static_cast<long long>(it), text.c_str());
  std::fflush(stdout);
  if (!metrics_) return;
  metrics_->write({{"iter", it}, {"sample", text}});
  events_->text(it, "sample", text);
}

void RunLog::rollback(std::int64_t next, const std::string& reason) {
  std::printf("%s; back to the checkpoint before iteration %lld, with other data\n", reason.c_str(),
              static_cast<long long>(next));
  std::fflush(stdout);
  trend_ = {};
  if (!metrics_) return;
  metrics_.emplace(metrics_file_, next);
  events_->restart(next);
}

void RunLog::end(std::int64_t next, double best_val_loss) const {
  if (next > first_) {
    std::printf("done: iterations %lld to %lld", static_cast<long long>(first_),
                static_cast<long long>(next - 1));
  } else {
    std::printf("done: evaluated before iteration %lld", static_cast<long long>(next));
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
  if (std::isfinite(best_val_loss)) print("best validation loss", best_val_loss);
  if (corpus_.floor) print("floor of the corpus", *corpus_.floor);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("  %-22s %.1f MB\n", "peak memory", static_cast<double>(usage.ru_maxrss) * 1024e-6);
  std::printf("  checkpoints, metrics and report.html are in %s\n", options_.out_dir.c_str());
  if (options_.profile) print_profile(profile_, replicas_.groups, next - 1 - first_, trained_seconds_);
}

void RunLog::write(const nlohmann::ordered_json& line) {
  if (!metrics_) return;
  metrics_->write(line);
  std::vector<std::pair<std::string, double>> numbers;
  for (const auto& [key, value] : line.items()) {
    if (key != "iter" && value.is_number()) numbers.emplace_back(key, value.get<double>());
  }
  events_->scalars(line["iter"].get<std::int64_t>(), numbers);
}

void RunLog::draw(bool goes_on) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  if (!metrics_ || (goes_on && start < next_drawing_)) return;
  write_report(out_dir_, goes_on);
  next_drawing_ = Clock::now() + 100 * (Clock::now() - start);
}

/// What a report shows of the run beside its metrics, in run.json.
void RunLog::write_facts(const ModelDescription& model) const {
  const auto or_null = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  const nlohmann::ordered_json facts = {
      {"parameters", model.decayed.values + model.not_decayed.values},
      {"tokens_per_iteration", options_.tokens_per_iteration()},
      {"processes", options_.process_count()},
      {"products_by", model.products_by},
      {"peak_flops", peak_flops_},
      {"floor", or_null(corpus_.floor)},
      {"validation_bytes_per_token", or_null(corpus_.validation_bytes_per_token)},
      {"options", options_.to_json()}};
  cria::io::write_file(out_dir_ / "run.json", facts.dump(2) + "\n");
}

/// The time that the matrix products take alone over the time it took.
double RunLog::speed_of_light_share(double tokens, double seconds) const {
  return std::min(1.0, tokens * light_.seconds_per_token / seconds);
}

std::optional<double> RunLog::bits_per_byte(double nats_per_token) const {
  if (!corpus_.validation_bytes_per_token) return {};
  return nats_per_token / std::numbers::ln2 / *corpus_.validation_bytes_per_token;
}

}  // namespace pretrain
