#pragma once
/// What a run is resumed from: a folder that is at the same time a Hugging Face model folder
/// (model.safetensors, config.json, tokenizer.model); beside them optimizer.safetensors, or its shards, and
/// state.json.

#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cria/io/checkpoint_folder.hpp"
#include "cria/io/tokens.hpp"
#include "training_step.hpp"

namespace pretrain {

/// Where a run stands, beside its model and optimiser.
struct RunState {
  std::int64_t iteration = 0;  // the next one
  double best_val_loss = std::numeric_limits<double>::infinity();
  cria::io::TokenStream::Position data;
};

/// What the run was computed from; a run cannot be resumed on something else.
struct Fingerprints {
  std::string tokenizer;
  std::string training_data;
  std::string validation_data;
};

/// What this process will write of a checkpoint: handles on what is trained, or copies of it.
struct CheckpointContents {  // NOLINT(bugprone-exception-escape): nlohmann's destructor may allocate
  ModelState model;
  nlohmann::ordered_json state;
  std::string tokenizer_model;

  /// From now on the tensors are copies.
  void detach();
};
CheckpointContents checkpoint_contents(TrainingStep& step, const RunState& run, const TrainOptions& options,
                                       const Fingerprints& fingerprints, const std::string& tokenizer_model);

/// Replaces folders by checkpoints one after the other, each in one step: the one before survives until this one is
/// complete. All processes of a run do it: the first one writes, and where they share the optimiser, each its
/// part of that.
class CheckpointReplacement {
 public:
  /// Prepares the folders. The processes meet here. Throws cria::FileError.
  CheckpointReplacement(const std::vector<std::filesystem::path>& folders, const TrainOptions& options);

  /// Writes the files. The first process waits for those of the others. Throws cria::FileError.
  void write(const CheckpointContents& contents);

 private:
  void write_shard(const std::filesystem::path& partial, const CheckpointContents& contents) const;
  void wait_for_shards(const std::filesystem::path& partial) const;
  int count() const { return static_cast<int>(options_.process_count()); }

  const TrainOptions& options_;
  std::vector<std::filesystem::path> folders_;
  std::deque<cria::io::FolderReplacement> replacements_;  // of the first process
};

/// A checkpoint that was found and whose files are what its manifest says.
struct FoundCheckpoint {  // NOLINT(bugprone-exception-escape): nlohmann's destructor may allocate
  std::filesystem::path folder;
  nlohmann::ordered_json state;
};

/// The newest complete checkpoint at `folder`. Throws cria::FileError if there is none or it is damaged.
FoundCheckpoint find_checkpoint(const std::filesystem::path& folder);

/// What a run starts from: the checkpoint to resume, or nothing. Throws cria::FileError if there is no such
/// checkpoint, and cria::ConfigError if a new run would take the place of another one unasked.
std::optional<FoundCheckpoint> starting_point(const TrainOptions& options);

/// Loads weights, moments and the run's state. Throws cria::FileError, before anything has changed, if the
/// checkpoint is of another model, dtype or data.
RunState load_checkpoint(const FoundCheckpoint& found, TrainingStep& step, const TrainOptions& options,
                         const Fingerprints& fingerprints);

}  // namespace pretrain
