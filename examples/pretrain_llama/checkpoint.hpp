#pragma once
/// What a run is resumed from: a folder that is at the same time a Hugging Face model folder
/// (model.safetensors, config.json, tokenizer.model); beside them optimizer.safetensors and state.json.

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "train_options.hpp"

namespace pretrain {

inline constexpr int checkpoint_version = 1;

/// Where a run stands, beside its weights and the optimiser's moments.
struct RunState {
  std::int64_t iteration = 0;  // the next one
  double best_val_loss = std::numeric_limits<double>::infinity();
  std::int64_t optimizer_steps = 0;
  cria::GradScaler::State scaler;
  cria::io::TokenStream::Position data;
};

/// What the run was computed from; a run cannot be resumed on something else.
struct Fingerprints {
  std::string tokenizer;
  std::string training_data;
  std::string validation_data;
};

/// Replaces `folder` by a checkpoint, in one step: the one before survives until this one is complete.
/// Throws cria::FileError.
template <class M, class B>
void save_checkpoint(const std::filesystem::path& folder, const M& model, const cria::AdamW<B>& optimizer,
                     const RunState& run, const TrainOptions& options, const Fingerprints& fingerprints,
                     const std::string& tokenizer_model) {
  nlohmann::ordered_json state;
  state["format_version"] = checkpoint_version;
  state["iter_num"] = run.iteration;
  state["best_val_loss"] = run.best_val_loss;  // null while there is none
  state["optimizer_steps"] = run.optimizer_steps;
  state["scaler"] = {{"scale", run.scaler.scale}, {"good_steps", run.scaler.good_steps}};
  // All random numbers come from streams that the seed names, so it is the whole state of the generator; the
  // data's permutations follow from it and the epoch.
  state["generator"] = {{"kind", "philox4x32-10"}, {"seed", options.seed}};
  state["data"] = {
      {"epoch", run.data.epoch}, {"shard_index", run.data.shard_index}, {"cursor", run.data.cursor}};
  state["fingerprints"] = {{"tokenizer", fingerprints.tokenizer},
                           {"training_data", fingerprints.training_data},
                           {"validation_data", fingerprints.validation_data}};
  state["options"] = options.to_json();
  cria::io::replace_folder(folder, [&](const std::filesystem::path& partial) {
    cria::io::save_state(partial / "model.safetensors", cria::nn::state_dict(model));
    cria::io::save_state(partial / "optimizer.safetensors", optimizer.state_dict());
    // The type is spelled because nvcc 13.0 loses the braces otherwise.
    cria::io::write_llama_config(partial / "config.json",
                                 cria::io::LlamaDescription{model.config, options.dtype});
    cria::io::write_file(partial / "tokenizer.model", tokenizer_model);
    cria::io::write_file(partial / "state.json", state.dump(2) + "\n");
  });
}

/// A checkpoint that was found and whose files are what its manifest says.
struct FoundCheckpoint {  // NOLINT(bugprone-exception-escape): nlohmann's destructor may allocate
  std::filesystem::path folder;
  nlohmann::ordered_json state;
};

/// The newest complete checkpoint at `folder`. Throws cria::FileError if there is none or it is damaged.
inline FoundCheckpoint find_checkpoint(const std::filesystem::path& folder) {
  FoundCheckpoint found;
  found.folder = cria::io::find_complete_folder(folder);
  cria::io::verify_folder(found.folder);
  const std::filesystem::path path = found.folder / "state.json";
  found.state = nlohmann::ordered_json::parse(cria::io::read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!found.state.is_object() || found.state.value("format_version", 0) != checkpoint_version) {
    throw cria::FileError(
        path.string(), "is not the state of a run in format version " + std::to_string(checkpoint_version));
  }
  return found;
}

/// What a run starts from: the checkpoint to resume, or nothing. Throws cria::FileError if there is no such
/// checkpoint, and cria::ConfigError if a new run would take the place of another one unasked.
inline std::optional<FoundCheckpoint> starting_point(const TrainOptions& options) {
  const std::filesystem::path out_dir = options.out_dir;
  const bool can_be_resumed = cria::io::holds_folder(out_dir / "ckpt");
  if (options.init_from == "resume") return find_checkpoint(out_dir / "ckpt");
  if (!options.overwrite && (can_be_resumed || cria::io::holds_folder(out_dir / "best"))) {
    throw cria::ConfigError("--out_dir is " + options.out_dir + ", which holds a run; " +
                            (can_be_resumed ? "go on with it by --init_from=resume, " : "") +
                            "let the new one take its place by --overwrite=true, or choose another folder");
  }
  return {};
}

/// Whether all weights are numbers, as those of a run that has diverged are not.
template <class M>
bool has_finite_weights(const M& model) {
  bool all_finite = true;
  cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
    for (const auto value : parameter.value().to_vector()) {
      all_finite = all_finite && std::isfinite(static_cast<float>(value));
    }
  });
  return all_finite;
}

/// Loads weights, moments and the run's state. Throws cria::FileError, before anything has changed, if the
/// checkpoint is of another model, dtype or data.
template <class M, class B>
RunState load_checkpoint(const FoundCheckpoint& found, M& model, cria::AdamW<B>& optimizer,
                         const TrainOptions& options, const Fingerprints& fingerprints) {
  const std::filesystem::path path = found.folder / "state.json";
  const auto fail = [&](const std::string& problem) { throw cria::FileError(path.string(), problem); };
  const auto description = cria::io::read_llama_config(found.folder / "config.json");
  if (description.dtype != options.dtype) {
    throw cria::FileError(
        (found.folder / "config.json").string(),
        "the checkpoint is " + description.dtype + "; it cannot be resumed with --dtype=" + options.dtype);
  }
  RunState run;
  try {
    const auto& state = found.state;
    const auto same = [&](const char* what, const std::string& now) {
      if (state.at("fingerprints").at(what) != now) {
        fail("the " + std::string(what) +
             " has changed since the checkpoint was written; resume with the data that " +
             "the run was started with");
      }
    };
    same("tokenizer", fingerprints.tokenizer);
    same("training_data", fingerprints.training_data);
    same("validation_data", fingerprints.validation_data);
    const auto seed = state.at("generator").at("seed").template get<std::uint64_t>();
    if (seed != options.seed) {
      fail("the run was started with --seed=" + std::to_string(seed) +
           "; it cannot be resumed with --seed=" + std::to_string(options.seed));
    }
    state.at("iter_num").get_to(run.iteration);
    if (!state.at("best_val_loss").is_null()) state.at("best_val_loss").get_to(run.best_val_loss);
    state.at("optimizer_steps").get_to(run.optimizer_steps);
    state.at("scaler").at("scale").get_to(run.scaler.scale);
    state.at("scaler").at("good_steps").get_to(run.scaler.good_steps);
    state.at("data").at("epoch").get_to(run.data.epoch);
    state.at("data").at("shard_index").get_to(run.data.shard_index);
    state.at("data").at("cursor").get_to(run.data.cursor);
  } catch (const nlohmann::json::exception& error) {
    fail(std::string("is not the state of a run: ") + error.what());
  }
  cria::io::load_state(found.folder / "model.safetensors", cria::nn::state_dict(model));
  cria::io::load_state(found.folder / "optimizer.safetensors", optimizer.state_dict());
  optimizer.set_steps(run.optimizer_steps);
  return run;
}

}  // namespace pretrain
