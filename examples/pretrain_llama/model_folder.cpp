#include "model_folder.hpp"

#include "cria/io/checkpoint_folder.hpp"

namespace pretrain {

ModelFolder open_model_folder(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    throw cria::FileError(path.string(),
                          "is not a folder; --checkpoint must name one that `train` wrote, such as "
                          "output/best");
  }
  if (std::filesystem::exists(path / "manifest.json")) cria::io::verify_folder(path);
  return {path, cria::io::read_llama_config(path / "config.json")};
}

Tokenizer read_tokenizer(const ModelFolder& folder) {
  const auto path = folder.path / "tokenizer.model";
  if (!std::filesystem::exists(path) && std::filesystem::exists(folder.path / "tokenizer.json")) {
    throw cria::FileError(
        folder.path.string(),
        "has a tokenizer.json and no tokenizer.model; only the latter, SentencePiece's, is read");
  }
  Tokenizer tokenizer(cria::io::read_file(path), path.string());
  const std::int64_t vocabulary = folder.description.config.vocab_size;
  if (tokenizer.size() != vocabulary) {
    throw cria::FileError(path.string(), "has " + std::to_string(tokenizer.size()) +
                                             " pieces; the model's vocab_size is " +
                                             std::to_string(vocabulary));
  }
  return tokenizer;
}

}  // namespace pretrain
