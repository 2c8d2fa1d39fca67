#pragma once

#include <cstdint>
#include <string>

namespace pretrain {

struct EvalOptions {
  std::string checkpoint = "output/best";
  std::string input;
  std::string ids;
  std::string choices;
  std::string output;
  std::int64_t context = 0;  // 0: the model's
  std::int64_t stride = 0;   // 0: half of the context
  std::string device = "cpu";
  std::int64_t threads = 0;  // 0: one per processor core
};

/// Prints how well a model predicts a text (`input`) or tokens (`ids`), or how many questions of a
/// multiple-choice file (`choices`) it answers as it should. Throws cria::ConfigError, cria::FileError,
/// cria::BackendError.
void eval(const EvalOptions& options);

}  // namespace pretrain
