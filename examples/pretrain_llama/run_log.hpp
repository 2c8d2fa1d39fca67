#pragma once
/// What a training run says: on standard output, and in metrics.jsonl, event files of TensorBoard, run.json
/// and report.html.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "corpus.hpp"
#include "cria/io/metrics.hpp"
#include "cria/io/tensorboard.hpp"
#include "evaluation.hpp"
#include "loss_trend.hpp"
#include "progress.hpp"
#include "training_step.hpp"

namespace pretrain {

class RunLog {
 public:
  /// Goes on with the metrics in `out_dir` before iteration `first`. Throws cria::FileError.
  RunLog(const TrainOptions& options, const Corpus& corpus, std::int64_t first);

  /// What the run is and what it will take. Measures the speed of matrix products, unless nothing is to be
  /// trained.
  void begin(const TrainingStep& step);
  void iteration(std::int64_t it, const cria::TrainStepResult& result, double learning_rate, double seconds,
                 Progress& progress);
  void evaluation(std::int64_t it, const Evaluation& losses);
  /// A text that the model wrote before iteration `it`.
  void sample(std::int64_t it, const std::string& text);
  /// The run goes on from iteration `next`, from before what `reason` tells of.
  void rollback(std::int64_t next, const std::string& reason);
  /// The run's end before iteration `next`.
  void end(std::int64_t next, double best_val_loss) const;
  /// Draws what there is so far. A run that `goes_on` draws no more often than takes a hundredth of its time.
  void draw(bool goes_on);

  /// Where the time goes if --profile is on: null unless it is, and in the first iteration, which also warms
  /// up.
  cria::StepProfile* profile(std::int64_t it) {
    return options_.profile && it > first_ ? &profile_ : nullptr;
  }

  /// The first iteration of this process.
  std::int64_t first() const { return first_; }

 private:
  /// To metrics.jsonl and for TensorBoard.
  void write(const nlohmann::ordered_json& line);
  void write_facts(const ModelDescription& model) const;
  double speed_of_light_share(double tokens, double seconds) const;
  std::optional<double> bits_per_byte(double nats_per_token) const;

  const TrainOptions& options_;
  const Corpus& corpus_;
  std::int64_t first_;
  ThreadGroups replicas_;
  double flops_per_token_;
  std::filesystem::path out_dir_, metrics_file_;
  std::optional<cria::io::MetricsLog> metrics_;     // of the first process
  std::optional<cria::io::TensorBoardLog> events_;  // likewise
  cria::StepProfile profile_;
  SpeedOfLight light_;
  double peak_flops_ = 0;
  double running_mfu_ = -1;  // not yet known
  double trained_tokens_ = 0, trained_seconds_ = 0;
  LossTrend trend_;
  std::optional<double> last_val_loss_;
  std::chrono::steady_clock::time_point next_drawing_;
};

}  // namespace pretrain
