#include "checkpoint.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>

#include "cria/io/io.hpp"
#include "llama_model.hpp"
#include "processes.hpp"

namespace pretrain {

namespace {

constexpr int checkpoint_version = 1;
constexpr const char* optimizer_file = "optimizer.safetensors";

std::vector<cria::NamedTensor> optimizer_of(const ModelState& model) {
  std::vector<cria::NamedTensor> tensors = model.optimizer;
  tensors.insert(tensors.end(), model.average.begin(), model.average.end());
  return tensors;
}

}  // namespace

CheckpointContents checkpoint_contents(TrainingStep& step, const RunState& run, const TrainOptions& options,
                                       const Fingerprints& fingerprints, const std::string& tokenizer_model) {
  CheckpointContents contents{step.state(), {}, tokenizer_model};
  nlohmann::ordered_json& state = contents.state;
  state["format_version"] = checkpoint_version;
  state["iter_num"] = run.iteration;
  state["best_val_loss"] = run.best_val_loss;  // null while there is none
  state["optimizer_steps"] = contents.model.optimizer_steps;
  state["scaler"] = {{"scale", contents.model.scaler.scale},
                     {"good_steps", contents.model.scaler.good_steps}};
  // All random numbers come from streams that the seed names, so it is the whole state of the generator; the
  // data's permutations follow from it and the epoch.
  state["generator"] = {{"kind", "philox4x32-10"}, {"seed", options.seed}};
  state["data"] = {
      {"epoch", run.data.epoch}, {"shard_index", run.data.shard_index}, {"cursor", run.data.cursor}};
  state["fingerprints"] = {{"tokenizer", fingerprints.tokenizer},
                           {"training_data", fingerprints.training_data},
                           {"validation_data", fingerprints.validation_data}};
  state["options"] = options.to_json();
  // The first process writes what all have.
  if (!options.is_first()) {
    contents.model.weights.clear();
    contents.model.average.clear();
    if (!options.shards_optimizer()) contents.model.optimizer.clear();
  }
  return contents;
}

void CheckpointContents::detach() {
  for (auto* tensors : {&model.weights, &model.optimizer, &model.average}) {
    for (cria::NamedTensor& tensor : *tensors) {
      tensor.read = [bytes = std::make_shared<const std::vector<std::byte>>(tensor.read())] {
        return *bytes;
      };
    }
  }
}

CheckpointReplacement::CheckpointReplacement(const std::vector<std::filesystem::path>& folders,
                                             const TrainOptions& options)
    : options_(options), folders_(folders) {
  if (options.is_first()) {
    for (const auto& folder : folders) replacements_.emplace_back(folder);
  }
  if (options.shards_optimizer()) meet(options.processes);  // in folders that are there now
}

void CheckpointReplacement::write(const CheckpointContents& contents) {
  for (const auto& folder : folders_) {
    const auto partial = cria::io::FolderReplacement::partial_of(folder);
    if (options_.shards_optimizer()) write_shard(partial, contents);
    if (!options_.is_first()) continue;
    cria::io::save_state(partial / "model.safetensors", contents.model.weights);
    write_model_config(partial / "config.json", options_);
    cria::io::write_file(partial / "tokenizer.model", contents.tokenizer_model);
    cria::io::write_file(partial / "state.json", contents.state.dump(2) + "\n");
    if (options_.shards_optimizer()) {
      wait_for_shards(partial);
    } else {
      cria::io::save_state(partial / optimizer_file, optimizer_of(contents.model));
    }
    replacements_.front().commit();
    replacements_.pop_front();
  }
}

/// Under its name the file is complete.
void CheckpointReplacement::write_shard(const std::filesystem::path& partial,
                                        const CheckpointContents& contents) const {
  const auto path =
      cria::io::shard_path(partial / optimizer_file, static_cast<int>(options_.rank()), count());
  auto unfinished = path;
  unfinished += ".part";
  cria::io::save_state(unfinished, optimizer_of(contents.model));
  cria::io::rename_durably(unfinished, path);
}

/// The processes talk meanwhile of what they train, so files say that they are there. A process that cannot
/// write ends all.
void CheckpointReplacement::wait_for_shards(const std::filesystem::path& partial) const {
  const auto start = std::chrono::steady_clock::now();
  for (int shard = 0; shard < count(); ++shard) {
    const auto path = cria::io::shard_path(partial / optimizer_file, shard, count());
    while (!std::filesystem::exists(path)) {
      const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
      if (options_.timeout > 0 && waited.count() > static_cast<double>(options_.timeout)) {
        throw cria::FileError(path.string(), options_.processes->name_of(shard) + " has not written it for " +
                                                 std::to_string(options_.timeout) + " s");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  cria::io::save_shard_index(partial / optimizer_file, count());
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
  cria::io::load_state(found.folder / optimizer_file, optimizer_of(model),
                       {.allow_unexpected = options.shards_optimizer()});  // those of other processes
  step.restore(optimizer_steps, scaler);
  return run;
}

}  // namespace pretrain
