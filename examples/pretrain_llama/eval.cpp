#include "eval.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <vector>

#include "cria/core/threads.hpp"
#include "cria/io/npy.hpp"
#include "cria/io/tokens.hpp"
#include "cuda_part.hpp"
#include "multiple_choice.hpp"
#include "processes.hpp"
#include "scorer.hpp"
#include "text_input.hpp"

namespace pretrain {

namespace {

using Tokens = std::vector<std::int32_t>;

void check(const EvalOptions& options) {
  const auto require = [](bool allowed, const std::string& sentence) {
    if (!allowed) throw cria::ConfigError(sentence);
  };
  const auto given = [](const std::string& file) { return file.empty() ? 0 : 1; };
  require(given(options.input) + given(options.ids) + given(options.choices) == 1,
          "eval needs one of --input=FILE (text), --ids=FILE (tokens) and --choices=FILE (questions)");
  require(options.output.empty() || !options.choices.empty(),
          "--output is for the choice of every question; it needs --choices");
  std::error_code unknown;
  require(!std::filesystem::equivalent(options.output, options.choices, unknown),
          "--output and --choices are one file, which would be lost");
  require(options.context >= 0, "--context must be at least 0; 0 means the model's");
  require(options.stride >= 0, "--stride must be at least 0; 0 means half of the context");
  require(options.threads >= 0 && options.threads <= 1024, "--threads must be from 0 to 1024");
  require(options.device == "cpu" || (cuda_part() && options.device == "cuda"),
          "--device is " + options.device + "; this program was compiled for: " + devices());
}

/// --context, or the model's.
std::int64_t context_of(const EvalOptions& options, const ModelFolder& folder) {
  const std::int64_t most = folder.description.config.max_position_embeddings;
  if (options.context > most || most < 2 || options.context == 1) {
    throw cria::ConfigError("--context is " + std::to_string(options.context) +
                            "; it must be at least 2, and at most the model's context of " +
                            std::to_string(most) + " tokens");
  }
  return options.context == 0 ? most : options.context;
}

/// Windows of `context` tokens, each `stride` behind the one before it, whose new tokens count, so that all
/// tokens but the very first count once. The last window ends with the tokens.
std::vector<Passage> windows(std::span<const std::int32_t> tokens, std::int64_t context,
                             std::int64_t stride) {
  std::vector<Passage> all;
  const std::int64_t size = std::ssize(tokens);
  for (std::int64_t begin = 0, counted_to = 1; counted_to < size; begin += stride) {
    const std::int64_t end = std::min(begin + context, size);
    all.push_back({tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
                   end - counted_to});
    counted_to = end;
  }
  return all;
}

/// The mean of -ln(probability) over all tokens but the first.
double mean_loss(const EvalOptions& options, const ModelFolder& folder, const Tokens& tokens) {
  const std::int64_t context = context_of(options, folder);
  const std::int64_t stride = options.stride == 0 ? context / 2 : options.stride;
  if (stride >= context) {
    throw cria::ConfigError("--stride is " + std::to_string(stride) + "; it must be below the context of " +
                            std::to_string(context) + " tokens, as a window's first token is not predicted");
  }
  const auto nats = nats_in_batches(*scorer(folder, options.device), windows(tokens, context, stride));
  return std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(tokens.size() - 1);
}

void print_loss(const Tokens& tokens, double loss) {
  std::printf("predicted tokens %zu\n", tokens.size() - 1);
  std::printf("loss %.6f\n", loss);
  std::printf("perplexity %.6g\n", std::exp(loss));
}

void eval_text(const EvalOptions& options, const ModelFolder& folder) {
  const Tokenizer tokenizer = read_tokenizer(folder);
  const std::string text = cria::io::read_file(options.input);
  if (text.empty()) throw cria::FileError(options.input, "is empty");
  std::int64_t replaced = 0;
  Tokens tokens = tokenizer.encode(repair_utf8(text, replaced));
  tokens.insert(tokens.begin(), tokenizer.bos());
  const double loss = mean_loss(options, folder, tokens);
  if (replaced > 0)
    std::printf("invalid UTF-8 sequences, read as U+FFFD: %lld\n", static_cast<long long>(replaced));
  print_loss(tokens, loss);
  const double nats = loss * static_cast<double>(tokens.size() - 1);
  std::printf("bytes %zu\nbits per byte %.6f\n", text.size(),
              nats / std::numbers::ln2 / static_cast<double>(text.size()));
}

/// The numbers in a text, with white space between them.
Tokens numbers_in(const std::string& path) {
  const std::string text = cria::io::read_file(path);
  constexpr const char* white = " \t\r\n\v\f";
  Tokens numbers;
  for (std::size_t begin = 0; (begin = text.find_first_not_of(white, begin)) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_of(white, begin), text.size());
    std::int32_t number = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end) {
      throw cria::FileError(path, "holds something else than numbers of tokens at byte " +
                                      std::to_string(begin) +
                                      "; numbers with white space between them, or a "
                                      "file .bin or .npy, are read");
    }
    numbers.push_back(number);
    begin = end;
  }
  return numbers;
}

Tokens read_ids(const std::string& path, std::int64_t vocabulary) {
  const auto ending = std::filesystem::path(path).extension();
  Tokens ids;
  if (ending == ".bin") {
    const cria::io::TokenShard shard(path, std::min(vocabulary, cria::io::max_vocab_size));
    ids.assign(shard.tokens().begin(), shard.tokens().end());
  } else if (ending == ".npy") {
    ids = cria::io::read_npy<std::int32_t>(path).to_vector();
  } else {
    ids = numbers_in(path);
  }
  if (ids.size() < 2) {
    throw cria::FileError(path, "has " + std::to_string(ids.size()) +
                                    " tokens; at least 2 are needed, as the first is not predicted");
  }
  const auto outside = std::ranges::find_if(ids, [&](std::int32_t id) { return id < 0 || id >= vocabulary; });
  if (outside != ids.end()) {
    throw cria::FileError(
        path, "token " + std::to_string(*outside) + " at position " + std::to_string(outside - ids.begin()) +
                  " is not in the vocabulary; ids must be in [0, " + std::to_string(vocabulary) + ")");
  }
  return ids;
}

void eval_ids(const EvalOptions& options, const ModelFolder& folder) {
  const Tokens ids = read_ids(options.ids, folder.description.config.vocab_size);
  print_loss(ids, mean_loss(options, folder, ids));
}

void eval_choices(const EvalOptions& options, const ModelFolder& folder) {
  const Tokenizer tokenizer = read_tokenizer(folder);
  const std::vector<Question> questions = read_questions(options.choices);
  const auto all = answers(*scorer(folder, options.device), tokenizer, context_of(options, folder), questions,
                           options.choices);
  double right = 0, right_normalised = 0;
  std::string lines;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    right += all[i].choice == questions[i].right ? 1 : 0;
    right_normalised += all[i].normalised_choice == questions[i].right ? 1 : 0;
    const nlohmann::ordered_json line = {{"line", questions[i].line},
                                         {"right", questions[i].right},
                                         {"choice", all[i].choice},
                                         {"normalised_choice", all[i].normalised_choice},
                                         {"log_likelihoods", all[i].log_likelihoods}};
    lines += line.dump() + "\n";
  }
  if (!options.output.empty()) cria::io::write_file(options.output, lines);
  const auto count = static_cast<double>(questions.size());
  std::printf("questions %zu\naccuracy %.6f\nlength-normalised accuracy %.6f\n", questions.size(),
              right / count, right_normalised / count);
}

}  // namespace

void eval(const EvalOptions& options) {
  check(options);
  cria::use_threads(static_cast<int>(options.threads == 0 ? threads_of_process() : options.threads));
  const ModelFolder folder = open_model_folder(options.checkpoint);
  if (!options.input.empty()) return eval_text(options, folder);
  if (!options.ids.empty()) return eval_ids(options, folder);
  eval_choices(options, folder);
}

}  // namespace pretrain
