#pragma once
/// Saving and loading state dictionaries (of models and optimisers) as safetensors files, or as several of them
/// with an index, as Hugging Face divides large models:
///
///   model-00001-of-00002.safetensors, model-00002-of-00002.safetensors
///   model.safetensors.index.json: {"metadata": {"total_size": bytes}, "weight_map": {"tensor": "file"}}

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/named_tensor.hpp"
#include "cria/io/file.hpp"
#include "cria/io/safetensors.hpp"

namespace cria::io {

namespace detail {
template <class... T>
std::string_view safetensors_name_among(std::string_view dtype) {
  std::string_view name;
  ((dtype == dtype_name<T> ? void(name = safetensors_dtype<T>) : void()), ...);
  return name;
}

inline std::string_view safetensors_name(std::string_view dtype) {
  return safetensors_name_among<float, double, bfloat16, float16, std::int8_t, std::int16_t, std::int32_t,
                                std::int64_t, std::uint8_t>(dtype);
}
}  // namespace detail

/// Writes a state dictionary to `path`, synced. Throws FileError; what was there before is then lost, unless
/// the file is one of a folder that replace_folder makes.
inline void save_state(const std::filesystem::path& path, const std::vector<NamedTensor>& state) {
  std::vector<TensorView> views;
  views.reserve(state.size());
  for (const NamedTensor& tensor : state) {
    views.push_back({tensor.name, std::string(detail::safetensors_name(tensor.dtype)), tensor.shape, {}});
  }
  write_safetensors(path, views, [&](std::size_t i) { return state[i].read(); });
}

/// The file of shard number `shard`, from 0 on, of `count`, which together stand for `path`.
inline std::filesystem::path shard_path(const std::filesystem::path& path, int shard, int count) {
  char number[48];
  std::snprintf(number, sizeof(number), "-%05d-of-%05d", shard + 1, count);
  return path.parent_path() / (path.stem().string() + number + path.extension().string());
}

namespace detail {

inline std::filesystem::path index_path(const std::filesystem::path& path) {
  std::filesystem::path index = path;
  return index += ".index.json";
}

/// `path`, or the shards that stand for it. Throws FileError for an index that is none.
inline std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  const std::filesystem::path index = index_path(path);
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) || !std::filesystem::exists(index, ignored)) return {path};
  const auto json = nlohmann::json::parse(read_file(index), nullptr, /*allow_exceptions=*/false);
  const auto is_file_name = [](const nlohmann::json& file) {
    return file.is_string() && !file.get<std::string>().empty() &&
           file.get<std::string>().find('/') == std::string::npos;
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
      !std::all_of(json["weight_map"].begin(), json["weight_map"].end(), is_file_name)) {
    throw FileError(index.string(), "is no index of shards, {\"weight_map\": {\"tensor\": \"file\", ...}}");
  }
  std::set<std::filesystem::path> files;
  for (const auto& file : json["weight_map"]) files.insert(path.parent_path() / file.get<std::string>());
  if (files.empty()) throw FileError(index.string(), "names no file");
  return {files.begin(), files.end()};
}

}  // namespace detail

/// Writes the index of the `count` shards that stand for `path` and have been written. Throws FileError, also
/// for a tensor that two of them have.
inline void save_shard_index(const std::filesystem::path& path, int count) {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  std::uint64_t total = 0;
  for (int shard = 0; shard < count; ++shard) {
    const std::filesystem::path shard_file = shard_path(path, shard, count);
    const SafetensorsFile file(shard_file);
    for (const TensorView& tensor : file.tensors()) {
      if (files.contains(tensor.name)) {
        throw FileError(shard_file.string(),
                        "has a tensor '" + tensor.name + "', as " + files[tensor.name].get<std::string>());
      }
      files[tensor.name] = shard_file.filename().string();
      total += tensor.bytes.size();
    }
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", files}};
  write_file(detail::index_path(path), index.dump(2) + "\n");
}

/// How the names of a file belong to those of a state dictionary, and what may be left over.
struct LoadOptions {
  std::string prefix = {};  // before all names in the file; what does not begin with it is not looked at
  std::function<std::string(const std::string&)> rename =
      {};                         // a name of the state to that behind the prefix
  bool allow_missing = false;     // tensors of the state that the file does not have stay as they are
  bool allow_unexpected = false;  // the file may have tensors that the state does not have
};

/// What load_state has not loaded: names of the state, and of the file.
struct NotLoaded {
  std::vector<std::string> missing, unexpected;
};

/// Reads `path`, or the shards that stand for it, into a state dictionary with the same names, shapes and dtypes,
/// or into some of it:
///
///   load_state("all.safetensors", nn::state_dict(model.encoder), {.prefix = "encoder."});
///
/// Throws FileError that names the first difference that the options do not allow; then nothing has been
/// loaded.
inline NotLoaded load_state(const std::filesystem::path& path, const std::vector<NamedTensor>& state,
                            const LoadOptions& options = {}) {
  std::map<std::filesystem::path, SafetensorsFile> files;
  for (const auto& file : detail::files_of(path)) files.try_emplace(file, file);
  const bool is_one = files.size() == 1;
  const auto fail = [&](const std::filesystem::path& where, const std::string& problem) {
    throw FileError(where.string(), problem);
  };
  NotLoaded left;
  std::vector<const TensorView*> found;
  std::set<std::string_view> expected;
  for (const NamedTensor& tensor : state) {
    const std::string name = options.prefix + (options.rename ? options.rename(tensor.name) : tensor.name);
    const TensorView* view = nullptr;
    std::filesystem::path where = is_one ? files.begin()->first : detail::index_path(path);
    for (auto file = files.begin(); file != files.end() && !view; ++file) {
      view = file->second.find(name);
      if (view) where = file->first;
    }
    found.push_back(view);
    if (!view) {
      if (!options.allow_missing) {
        fail(where, "has no tensor '" + name + "', which is to be loaded" +
                        (name == tensor.name ? "" : " into '" + tensor.name + "'"));
      }
      left.missing.push_back(tensor.name);
      continue;
    }
    expected.insert(view->name);
    if (view->shape != tensor.shape) {
      fail(where, "its tensor '" + name + "' has shape " + to_string(view->shape) + "; " +
                      to_string(tensor.shape) + " is needed");
    }
    if (view->dtype != detail::safetensors_name(tensor.dtype)) {
      fail(where, "its tensor '" + name + "' is " + view->dtype + "; " +
                      std::string(detail::safetensors_name(tensor.dtype)) + " is needed");
    }
  }
  for (const auto& [where, file] : files) {
    for (const TensorView& view : file.tensors()) {
      if (!view.name.starts_with(options.prefix) || expected.contains(view.name)) continue;
      if (!options.allow_unexpected) {
        fail(where, "has a tensor '" + view.name + "', which has no place in what is loaded");
      }
      left.unexpected.push_back(view.name);
    }
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    if (found[i]) state[i].write(found[i]->bytes);
  }
  return left;
}

}  // namespace cria::io
