#pragma once
/// The goldens that tests/golden/make_goldens.py made with PyTorch.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "cria/io/llama_config.hpp"
#include "support/golden.hpp"
#include "support/temporary_directory.hpp"

namespace cria::test {

/// The model of a golden case, with the weights that the script's formula gives.
template <class T>
nn::LlamaForCausalLM<T> golden_model(const nlohmann::json& golden) {
  const TemporaryDirectory folder;
  io::write_file(folder / "config.json", golden["config"].dump());
  nn::LlamaForCausalLM<T> model(io::read_llama_config(folder / "config.json").config);
  int p = 0;
  nn::for_each_parameter(model, [&](const std::string&, Parameter<T>& parameter) {
    std::vector<T> values;
    for (std::int64_t index = 0; index < parameter.size(); ++index) {
      const auto i = static_cast<double>(index);
      const double wave = 0.1 * std::sin(1 + 1.75 * p + 0.375 * i + i * i / 64.0);
      const double value = parameter.constant().value_or(0.0) + wave;
      values.push_back(static_cast<T>(static_cast<float>(value)));
    }
    parameter.value().assign(values);
    ++p;
  });
  return model;
}

struct GoldenBatch {
  Tensor<std::int32_t> inputs, targets;  // [batch, positions]
};

/// The tokens of training step `step`: those of step 0, shifted by 3 * step.
inline GoldenBatch golden_batch(const nlohmann::json& golden, int step) {
  const auto vocab = golden["config"]["vocab_size"].get<std::int32_t>();
  std::vector<std::int32_t> inputs, targets;
  for (const auto& row : golden["tokens"]) {
    const auto ids = row.get<std::vector<std::int32_t>>();
    for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
      inputs.push_back((ids[t] + 3 * step) % vocab);
      targets.push_back((ids[t + 1] + 3 * step) % vocab);
    }
  }
  const Shape shape{golden["batch_size"].get<std::int64_t>(), golden["positions"].get<std::int64_t>()};
  return {Tensor<std::int32_t>::from(shape, inputs), Tensor<std::int32_t>::from(shape, targets)};
}

}  // namespace cria::test
