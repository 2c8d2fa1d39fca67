#pragma once

#include <cstdint>
#include <string>

#include "text_batch.hpp"

namespace pretrain {

struct GenerateOptions {
  std::string checkpoint = "output/best";
  std::string prompt;
  std::string prompt_file;  // -: standard input
  TextOptions text;
  std::string at_context_end = "roll";
  std::int64_t num_samples = 1;
  std::string device = "cpu";
  std::int64_t threads = 0;  // 0: one per processor core
};

/// Prints texts that go on from the prompt to standard output, with a line `---` between two samples: each as
/// its tokens come, once those before it have ended. A text ends where the model begins a new story. On a
/// terminal says how fast that was. Throws cria::ConfigError, cria::FileError, cria::BackendError.
void generate(const GenerateOptions& options);

}  // namespace pretrain
