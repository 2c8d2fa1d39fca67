#pragma once

#include <cstdint>
#include <string>

namespace pretrain {

struct ServeOptions {
  std::string checkpoint = "output/best";
  std::string host = "127.0.0.1";
  std::int64_t port = 8080;      // 0: any that is free
  std::int64_t max_batch = 8;    // texts that are written at a time
  std::int64_t max_tokens = 0;   // that a request may ask for; 0: as many as the context has
  std::int64_t max_prompt = 0;   // tokens of a prompt; 0: one less than the context has
  std::int64_t max_body = 1024;  // KiB
  std::string device = "cpu";
  std::int64_t threads = 0;  // 0: one per processor core
};

/// Answers HTTP requests until SIGINT or SIGTERM: OpenAI's /v1/completions, /v1/chat/completions and
/// /v1/models, and at / a page to try the model in. Throws cria::ConfigError, cria::FileError,
/// cria::BackendError.
void serve(const ServeOptions& options);

}  // namespace pretrain
