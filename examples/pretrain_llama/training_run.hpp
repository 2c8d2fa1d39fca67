#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "checkpoint_writer.hpp"
#include "corpus.hpp"
#include "cria/optim/schedule.hpp"
#include "divergence.hpp"
#include "folder_lock.hpp"
#include "progress.hpp"
#include "run_log.hpp"
#include "stop_signal.hpp"
#include "training_step.hpp"

namespace pretrain {

/// A training run: iterations, with an evaluation now and then, in a folder of its own.
class TrainingRun {
 public:
  /// Loads the data, and the checkpoint if the run goes on. Throws cria::ConfigError, cria::FileError.
  explicit TrainingRun(const TrainOptions& options);

  /// Throws std::runtime_error after too many iterations in a row whose loss or gradient is not finite, if
  /// that is to stop a run or going back has not helped.
  void train();

 private:
  RunState starting_state();
  void iterate();
  void write_sample();
  void evaluate_and_save(const StopSignal& stop);
  void save(const std::vector<std::string>& names);
  void save_latest_if_finite();
  void save_and_say_how_to_go_on();
  void go_back();
  [[noreturn]] void fail_diverged();

  TrainOptions options_;
  cria::Schedule schedule_;
  std::filesystem::path out_dir_;
  Corpus corpus_;
  Fingerprints fingerprints_;
  cria::io::TokenStream stream_;
  TokenBatch batch_;
  std::unique_ptr<TrainingStep> step_;
  std::optional<FolderLock> lock_;  // of the first process
  bool has_checkpoint_ = false;     // of this run
  CheckpointWriter writer_;
  RunState state_;
  RunLog log_;
  Divergence divergence_;
  int rollbacks_ = 0;  // to the latest checkpoint
  const Progress::Clock::time_point began_ = Progress::Clock::now();
  std::optional<Progress> progress_;  // while it trains
};

}  // namespace pretrain
