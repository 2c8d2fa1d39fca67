#pragma once

#include <filesystem>
#include <string>

#include "cria/io/llama_config.hpp"
#include "tokenizer.hpp"

namespace pretrain {

/// The folder of a trained model.
struct ModelFolder {
  std::filesystem::path path;
  cria::io::LlamaDescription description;
};

/// A folder that `train` wrote, whose files are what its manifest says, or one of transformers. Throws
/// cria::FileError.
ModelFolder open_model_folder(const std::filesystem::path& path);

/// The folder's tokenizer.model. Throws cria::FileError if there is none or it is another model's.
Tokenizer read_tokenizer(const ModelFolder& folder);

}  // namespace pretrain
