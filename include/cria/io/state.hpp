#pragma once
/// Saving and loading state dictionaries (of models and optimisers) as safetensors files.

#include <filesystem>
#include <span>
#include <string>
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

/// Reads `path` into a state dictionary with exactly the same names, shapes and dtypes. Throws FileError that
/// names the first difference; then nothing has been loaded.
inline void load_state(const std::filesystem::path& path, const std::vector<NamedTensor>& state) {
  const SafetensorsFile file(path);
  const auto fail = [&](const std::string& problem) { throw FileError(path.string(), problem); };
  std::vector<const TensorView*> found;
  for (const NamedTensor& tensor : state) {
    const TensorView* view = file.find(tensor.name);
    if (!view) fail("has no tensor '" + tensor.name + "', which the model needs");
    if (view->shape != tensor.shape) {
      fail("its tensor '" + tensor.name + "' has shape " + to_string(view->shape) + "; the model needs " +
           to_string(tensor.shape));
    }
    if (view->dtype != detail::safetensors_name(tensor.dtype)) {
      fail("its tensor '" + tensor.name + "' is " + view->dtype + "; the model needs " +
           std::string(detail::safetensors_name(tensor.dtype)));
    }
    found.push_back(view);
  }
  if (file.tensors().size() != state.size()) {
    fail("has " + std::to_string(file.tensors().size()) + " tensors; the model has " +
         std::to_string(state.size()));
  }
  for (std::size_t i = 0; i < state.size(); ++i) state[i].write(found[i]->bytes);
}

}  // namespace cria::io
