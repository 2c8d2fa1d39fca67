#pragma once
/// The model that the program trains. But for llama_step.hpp, which trains it, and `generate`, the program
/// knows it by these functions alone.

#include <filesystem>
#include <string>

#include "cria/nn/costs.hpp"
#include "cria/nn/llama.hpp"
#include "train_options.hpp"

namespace pretrain {

cria::nn::LlamaConfig llama_config(const TrainOptions& options);

cria::nn::Costs model_costs(const TrainOptions& options);

/// config.json, as Hugging Face's tools read it. Throws cria::FileError.
void write_model_config(const std::filesystem::path& path, const TrainOptions& options);

/// The dtype in a config.json. Throws cria::FileError if that is none of this model's.
std::string read_model_dtype(const std::filesystem::path& path);

}  // namespace pretrain
