#include "generate.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <vector>

#include "cria/core/threads.hpp"
#include "cria/io/file.hpp"
#include "cuda_part.hpp"
#include "processes.hpp"
#include "text_input.hpp"
#include "train_options.hpp"

namespace pretrain {

namespace {

/// Prints samples that are written at the same time one after the other: the first that has not ended as its
/// text comes, the others from their start when it is their turn.
class InTurn {
 public:
  InTurn(std::string prompt, std::size_t samples) : prompt_(std::move(prompt)), samples_(samples) { begin(); }

  void add(std::size_t sample, const std::string& text, bool is_last) {
    Sample& own = samples_[sample];
    own.waiting += text;
    own.has_ended = is_last;
    if (sample != turn_) return;
    while (turn_ < samples_.size()) {
      Sample& current = samples_[turn_];
      write(std::exchange(current.waiting, ""));
      if (!current.has_ended) break;
      write("\n");
      if (++turn_ < samples_.size()) begin();
    }
    std::fflush(stdout);
  }

 private:
  struct Sample {
    std::string waiting;
    bool has_ended = false;
  };

  void begin() const {
    write((turn_ > 0 ? "---\n" : "") + prompt_);
    std::fflush(stdout);
  }
  static void write(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

  std::string prompt_;
  std::vector<Sample> samples_;
  std::size_t turn_ = 0;
};

std::string read_prompt(const GenerateOptions& options) {
  if (options.prompt_file.empty()) return options.prompt;
  if (!options.prompt.empty())
    throw cria::ConfigError("--prompt and --prompt_file are given; one is allowed");
  std::int64_t replaced = 0;
  std::string text =
      repair_utf8(options.prompt_file == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                                             : cria::io::read_file(options.prompt_file),
                  replaced);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

AtContextEnd at_context_end(const std::string& name) {
  if (name == "roll") return AtContextEnd::roll;
  if (name == "stop") return AtContextEnd::stop;
  throw cria::ConfigError("--at_context_end is " + name + "; allowed: roll, stop");
}

}  // namespace

void generate(const GenerateOptions& options) {
  const auto require = [](bool allowed, const std::string& sentence) {
    if (!allowed) throw cria::ConfigError(sentence);
  };
  TextOptions text = options.text;
  text.at_context_end = at_context_end(options.at_context_end);
  check(text, "--");
  require(options.num_samples >= 1, "--num_samples must be at least 1");
  require(options.device == "cpu" || (cuda_part() && options.device == "cuda"),
          "--device is " + options.device + "; this program was compiled for: " + devices());
  require(options.threads >= 0, "--threads must be at least 0; 0 means one per processor core");
  cria::use_threads(static_cast<int>(options.threads == 0 ? threads_of_process() : options.threads));
  const ModelFolder folder = open_model_folder(options.checkpoint);
  const Tokenizer tokenizer = read_tokenizer(folder);
  read_logit_bias(text.sampling.logit_bias, tokenizer.size());
  const auto model = text_model(folder, options.device);
  TextBatch batch(*model, tokenizer, folder.description.config.max_position_embeddings);

  const auto seconds = [begin = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto samples = static_cast<std::size_t>(options.num_samples);
  const std::vector<std::int32_t> tokens = batch.tokens_of(read_prompt(options));
  InTurn output(tokenizer.decode(tokens), samples);
  if (text.at_context_end == AtContextEnd::stop &&
      std::ssize(tokens) > folder.description.config.max_position_embeddings) {
    throw cria::ConfigError("the prompt has " + std::to_string(tokens.size()) +
                            " tokens; the model's context, which --at_context_end=stop does not leave, is " +
                            std::to_string(folder.description.config.max_position_embeddings));
  }
  const double begin = seconds();
  const ReadPrompt prompt = batch.read(tokens);
  double first = 0;
  std::int64_t written = 0;
  for (std::size_t next = 0; next < samples || batch.size() > 0;) {
    for (; next < samples && batch.size() < TextModel::texts_at_once; ++next) {
      batch.add(prompt, text, next, [&, sample = next](const std::string& added, Ending ending) {
        if (written++ == 0) first = seconds();
        output.add(sample, added, ending != Ending::none);
        return true;
      });
    }
    batch.step();
  }
  if (isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "%lld tokens, %.0f tokens/s; the first after %.0f ms\n",
                 static_cast<long long>(written), static_cast<double>(written) / (seconds() - begin),
                 (first - begin) * 1e3);
  }
}

}  // namespace pretrain
