#include "checkpoint.hpp"

#include "cria/io/io.hpp"
#include "llama_model.hpp"
#include "processes.hpp"

namespace pretrain {

namespace {
constexpr int checkpoint_version = 1;
}

void save_checkpoint(const std::filesystem::path& folder, TrainingStep& step, const RunState& run,
                     const TrainOptions& options, const Fingerprints& fingerprints,
                     const std::string& tokenizer_model) {
  const ModelState model = step.state();
  nlohmann::ordered_json state;
  state["format_version"] = checkpoint_version;
  state["iter_num"] = run.iteration;
  state["best_val_loss"] = run.best_val_loss;  // null while there is none
  state["optimizer_steps"] = model.optimizer_steps;
  state["scaler"] = {{"scale", model.scaler.scale}, {"good_steps", model.scaler.good_steps}};
  // All random numbers come from streams that the seed names, so it is the whole state of the generator; the
  // data's permutations follow from it and the epoch.
  state["generator"] = {{"kind", "philox4x32-10"}, {"seed", options.seed}};
  state["data"] = {
      {"epoch", run.data.epoch}, {"shard_index", run.data.shard_index}, {"cursor", run.data.cursor}};
  state["fingerprints"] = {{"tokenizer", fingerprints.tokenizer},
                           {"training_data", fingerprints.training_data},
                           {"validation_data", fingerprints.validation_data}};
  state["options"] = options.to_json();
  const auto write_optimizer = [&](const std::filesystem::path& partial) {
    std::vector<cria::NamedTensor> tensors = model.optimizer;
    if (options.is_first()) tensors.insert(tensors.end(), model.average.begin(), model.average.end());
    const std::filesystem::path path = partial / "optimizer.safetensors";
    const auto count = static_cast<int>(options.process_count());
    if (!options.shards_optimizer()) return cria::io::save_state(path, tensors);
    meet(options.processes);  // in the folder, which the first one has made
    cria::io::save_state(cria::io::shard_path(path, static_cast<int>(options.rank()), count), tensors);
    meet(options.processes);
    if (options.is_first()) cria::io::save_shard_index(path, count);
  };
  if (!options.is_first()) {
    if (options.shards_optimizer()) write_optimizer(cria::io::partial_folder(folder));
    return;
  }
  cria::io::replace_folder(folder, [&](const std::filesystem::path& partial) {
    cria::io::save_state(partial / "model.safetensors", model.weights);
    write_model_config(partial / "config.json", options);
    cria::io::write_file(partial / "tokenizer.model", tokenizer_model);
    cria::io::write_file(partial / "state.json", state.dump(2) + "\n");
    write_optimizer(partial);
  });
}

FoundCheckpoint find_checkpoint(const std::filesystem::path& folder) {
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

std::optional<FoundCheckpoint> starting_point(const TrainOptions& options) {
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

RunState load_checkpoint(const FoundCheckpoint& found, TrainingStep& step, const TrainOptions& options,
                         const Fingerprints& fingerprints) {
  const std::filesystem::path path = found.folder / "state.json";
  const auto fail = [&](const std::string& problem) { throw cria::FileError(path.string(), problem); };
  const std::string dtype = read_model_dtype(found.folder / "config.json");
  if (dtype != options.dtype) {
    throw cria::FileError(
        (found.folder / "config.json").string(),
        "the checkpoint is " + dtype + "; it cannot be resumed with --dtype=" + options.dtype);
  }
  RunState run;
  std::int64_t optimizer_steps = 0;
  cria::GradScaler::State scaler;
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
    const auto seed = state.at("generator").at("seed").get<std::uint64_t>();
    if (seed != options.seed) {
      fail("the run was started with --seed=" + std::to_string(seed) +
           "; it cannot be resumed with --seed=" + std::to_string(options.seed));
    }
    state.at("iter_num").get_to(run.iteration);
    if (!state.at("best_val_loss").is_null()) state.at("best_val_loss").get_to(run.best_val_loss);
    state.at("optimizer_steps").get_to(optimizer_steps);
    state.at("scaler").at("scale").get_to(scaler.scale);
    state.at("scaler").at("good_steps").get_to(scaler.good_steps);
    state.at("data").at("epoch").get_to(run.data.epoch);
    state.at("data").at("shard_index").get_to(run.data.shard_index);
    state.at("data").at("cursor").get_to(run.data.cursor);
  } catch (const nlohmann::json::exception& error) {
    fail(std::string("is not the state of a run: ") + error.what());
  }
  const ModelState model = step.state();
  cria::io::load_state(found.folder / "model.safetensors", model.weights);
  std::vector<cria::NamedTensor> optimizer = model.optimizer;
  optimizer.insert(optimizer.end(), model.average.begin(), model.average.end());
  cria::io::load_state(found.folder / "optimizer.safetensors", optimizer,
                       {.allow_unexpected = options.shards_optimizer()});  // those of other processes
  step.restore(optimizer_steps, scaler);
  return run;
}

}  // namespace pretrain
