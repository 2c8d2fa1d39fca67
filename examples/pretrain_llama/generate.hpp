#pragma once

#include <cstdint>
#include <string>

namespace pretrain {

struct GenerateOptions {
  std::string checkpoint = "output/best";
  std::string prompt;
  std::int64_t max_new_tokens = 200;
  double temperature = 0.8;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1.0;
  std::uint64_t seed = 1337;
  std::int64_t num_samples = 1;
  std::string device = "cpu";
};

/// Prints texts that go on from the prompt to standard output, with a line `---` between two samples. A text
/// ends where the model begins a new story. Throws cria::ConfigError, cria::FileError, cria::BackendError.
void generate(const GenerateOptions& options);

}  // namespace pretrain
