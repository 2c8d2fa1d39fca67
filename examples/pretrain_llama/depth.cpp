#include "depth.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "cria/core/error.hpp"
#include "cria/io/tokens.hpp"
#include "llama_model.hpp"
#include "tokenizer.hpp"

namespace pretrain {

namespace {

// The constants of the rule, from benchmarks/scaling.
constexpr std::int64_t width_of_layer = 32;  // dim / depth, and the width of a head
constexpr double tokens_per_parameter = 30;
constexpr double most_epochs = 4;  // Muennighoff et al. 2023: until then data seen again is as good as new
constexpr double rate_times_width = 0.4;
constexpr double iterations = 2000;  // of a run, about

const std::array names{"n_layers",      "dim",       "n_heads",      "n_group",
                       "vocab_size",    "max_iters", "batch_size",   "gradient_accumulation_steps",
                       "learning_rate", "min_lr",    "warmup_iters", "eval_interval",
                       "eval_iters"};

/// Tokens of the training shards.
double training_tokens(const TrainOptions& options) {
  const std::filesystem::path data = options.data_dir;
  const auto shards = cria::io::token_shards(data / ("tok" + std::to_string(options.vocab_size)));
  double bytes = 0;
  for (std::size_t i = 1; i < shards.size(); ++i)
    bytes += static_cast<double>(std::filesystem::file_size(shards[i]));
  return bytes / sizeof(std::uint16_t);
}

}  // namespace

void set_by_depth(TrainOptions& options, const std::function<bool(const std::string&)>& is_given) {
  const auto set = [&](const char* name, auto& value, auto by_rule) {
    if (!is_given(name)) value = static_cast<std::remove_cvref_t<decltype(value)>>(by_rule);
  };
  TrainOptions& o = options;
  if (o.depth < 1 || o.depth > 1000) return;  // which resolve() refuses
  set("n_layers", o.n_layers, o.depth);
  set("dim", o.dim, width_of_layer * o.depth);
  set("n_heads", o.n_heads, std::max<std::int64_t>(1, o.dim / width_of_layer));
  if (!is_given("n_kv_heads")) set("n_group", o.n_group, o.n_heads % 2 == 0 ? 2 : 1);
  set("gradient_accumulation_steps", o.gradient_accumulation_steps, 1);
  set("learning_rate", o.learning_rate, rate_times_width / static_cast<double>(o.dim));
  set("min_lr", o.min_lr, o.learning_rate / 10);
  const std::filesystem::path tokenizer = std::filesystem::path(o.data_dir) / "tokenizer.model";
  if (!std::filesystem::exists(tokenizer)) return;  // which the run will say
  set("vocab_size", o.vocab_size, Tokenizer(cria::io::read_file(tokenizer), tokenizer.string()).size());

  TrainOptions whole = o;
  whole.resolve();  // refuses what gives no model
  const double tokens =
      std::min(tokens_per_parameter * model_costs(whole).parameters, most_epochs * training_tokens(o));
  const auto of_sequence = static_cast<double>(o.max_seq_len * o.gradient_accumulation_steps);
  const double sequences = std::clamp(tokens / iterations / of_sequence, 4.0, 1024.0);
  set("batch_size", o.batch_size, std::exp2(std::round(std::log2(sequences))));
  set("max_iters", o.max_iters,
      std::max(1.0,
               std::round(tokens / static_cast<double>(o.tokens_per_iteration())) - 1));  // 0 is one, too
  const auto part = [&](std::int64_t of) { return std::max<std::int64_t>(1, o.max_iters / of); };
  set("warmup_iters", o.warmup_iters, part(20));
  set("eval_interval", o.eval_interval, part(10));
  set("eval_iters", o.eval_iters, part(100));
}

std::string options_by_depth(const TrainOptions& options) {
  std::string text = "depth " + std::to_string(options.depth) + ":";
  const auto json = options.to_json();
  for (const char* name : names) text += " --" + std::string(name) + "=" + json[name].dump();
  return text + "\n";
}

}  // namespace pretrain
