#pragma once
/// Saving and loading state dictionaries (of models and optimisers) as safetensors files.

#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/named_tensor.hpp"
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

/// Reads `path` into a state dictionary with the same names, shapes and dtypes, or into some of it:
///
///   load_state("all.safetensors", nn::state_dict(model.encoder), {.prefix = "encoder."});
///
/// Throws FileError that names the first difference that the options do not allow; then nothing has been
/// loaded.
inline NotLoaded load_state(const std::filesystem::path& path, const std::vector<NamedTensor>& state,
                            const LoadOptions& options = {}) {
  const SafetensorsFile file(path);
  const auto fail = [&](const std::string& problem) { throw FileError(path.string(), problem); };
  NotLoaded left;
  std::vector<const TensorView*> found;
  std::set<std::string_view> expected;
  for (const NamedTensor& tensor : state) {
    const std::string name = options.prefix + (options.rename ? options.rename(tensor.name) : tensor.name);
    const TensorView* view = file.find(name);
    found.push_back(view);
    if (!view) {
      if (!options.allow_missing) {
        fail("has no tensor '" + name + "', which is to be loaded" +
             (name == tensor.name ? "" : " into '" + tensor.name + "'"));
      }
      left.missing.push_back(tensor.name);
      continue;
    }
    expected.insert(view->name);
    if (view->shape != tensor.shape) {
      fail("its tensor '" + name + "' has shape " + to_string(view->shape) + "; " + to_string(tensor.shape) +
           " is needed");
    }
    if (view->dtype != detail::safetensors_name(tensor.dtype)) {
      fail("its tensor '" + name + "' is " + view->dtype + "; " +
           std::string(detail::safetensors_name(tensor.dtype)) + " is needed");
    }
  }
  for (const TensorView& view : file.tensors()) {
    if (!view.name.starts_with(options.prefix) || expected.contains(view.name)) continue;
    if (!options.allow_unexpected)
      fail("has a tensor '" + view.name + "', which has no place in what is loaded");
    left.unexpected.push_back(view.name);
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    if (found[i]) state[i].write(found[i]->bytes);
  }
  return left;
}

}  // namespace cria::io
