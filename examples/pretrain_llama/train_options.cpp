#include "train_options.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "cria/core/error.hpp"
#include "cria/io/tokens.hpp"
#include "cuda_part.hpp"
#include "processes.hpp"

namespace pretrain {

namespace {

std::string text(const std::string& value) {
  return value.empty() ? "empty" : value;
}
std::string text(std::int64_t value) {
  return std::to_string(value);
}
std::string text(double value) {
  return std::isfinite(value) ? nlohmann::json(value).dump() : std::to_string(value);
}

template <class V>
void require(bool allowed, const char* name, const V& value, const std::string& rule) {
  if (!allowed) throw cria::ConfigError("--" + std::string(name) + " is " + text(value) + "; " + rule);
}

void at_least(const char* name, std::int64_t value, std::int64_t least) {
  require(value >= least, name, value, "it must be at least " + text(least));
}

/// Whatever is larger than any model's; what sizes are multiplied to then has no overflow.
constexpr std::int64_t largest_size = 1'000'000;

void size(const char* name, std::int64_t value) {
  at_least(name, value, 1);
  require(value <= largest_size, name, value, "it must be at most " + text(largest_size));
}

void within(const char* name, double value, double low, double high) {
  require(value >= low && value < high, name, value, "it must be in [" + text(low) + ", " + text(high) + ")");
}

void not_negative(const char* name, double value) {
  require(value >= 0 && std::isfinite(value), name, value, "it must be a number from 0 on");
}

void one_of(const char* name, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* each : allowed) {
    if (value == each) return;
    list += (list.empty() ? "" : ", ") + std::string(each);
  }
  require(false, name, value, "allowed: " + list);
}

}  // namespace

const char* devices() {
  return cuda_part() ? "cpu, cuda" : "cpu";
}

void TrainOptions::resolve() {
  one_of("init_from", init_from, {"scratch", "resume"});
  one_of("init", init, {"cria", "llama2c"});
  one_of("recompute", recompute, {"none", "cheap", "attention", "mlp", "layer"});
  one_of("dtype", dtype, {"float32", "bfloat16", "float16"});
  one_of("optimizer", optimizer, {"adamw", "muon", "lion", "sgd", "adafactor"});
  one_of("schedule", schedule, {"cosine", "linear", "constant", "wsd"});
  one_of("on_divergence", on_divergence, {"stop", "skip", "rollback"});
  one_of("shard", shard, {"none", "optimizer"});
  one_of("reduce_dtype", reduce_dtype, {"float32", "bfloat16"});
  one_of("vocab_source", vocab_source, {"custom"});
  require(device == "cpu" || (cuda_part() && device == "cuda"), "device", device,
          std::string("this program was compiled for: ") + devices());
  one_of("cuda_graph", cuda_graph, {"auto", "on", "off"});
  require(cuda_graph != "on" || device != "cpu", "cuda_graph", cuda_graph, "it needs --device=cuda");
  require(cuda_graph != "on" || !profile, "cuda_graph", cuda_graph,
          "it needs --profile=false, as a graph has no single operations");
  at_least("eval_interval", eval_interval, 1);
  at_least("log_interval", log_interval, 1);
  at_least("eval_iters", eval_iters, 1);
  size("batch_size", batch_size);
  size("max_seq_len", max_seq_len);
  at_least("vocab_size", vocab_size, 1);
  require(vocab_size <= cria::io::max_vocab_size, "vocab_size", vocab_size,
          "tokens are stored in 16 bits, so it must be at most " + text(cria::io::max_vocab_size));
  at_least("depth", depth, 0);
  require(depth <= 1000, "depth", depth, "it must be at most 1000");
  size("dim", dim);
  size("n_layers", n_layers);
  at_least("n_heads", n_heads, 1);
  at_least("n_group", n_group, 1);
  at_least("n_kv_heads", n_kv_heads, 0);
  size("multiple_of", multiple_of);
  size("gradient_accumulation_steps", gradient_accumulation_steps);
  require(batch_size <= largest_size / gradient_accumulation_steps, "batch_size", batch_size,
          "times --gradient_accumulation_steps = " + text(gradient_accumulation_steps) +
              " it must be at most " + text(largest_size) + " sequences an iteration");
  at_least("sample_interval", sample_interval, 0);
  at_least("max_iters", max_iters, 0);
  at_least("max_nonfinite_iters", max_nonfinite_iters, 0);
  at_least("warmup_iters", warmup_iters, 0);
  at_least("lr_decay_iters", lr_decay_iters, 0);
  at_least("cooldown_iters", cooldown_iters, 0);
  at_least("timeout", timeout, 0);
  at_least("threads", threads, 0);
  require(threads <= 1024, "threads", threads, "it must be at most 1024");
  within("dropout", dropout, 0, 1);
  within("beta1", beta1, 0, 1);
  within("beta2", beta2, 0, 1);
  within("ema", ema, 0, 1);
  not_negative("learning_rate", learning_rate);
  not_negative("min_lr", min_lr);
  not_negative("weight_decay", weight_decay);
  not_negative("grad_clip", grad_clip);
  not_negative("peak_flops", peak_flops);
  require(dim % n_heads == 0, "dim", dim, "it must be a multiple of --n_heads = " + text(n_heads));
  require(
      dim / n_heads % 2 == 0, "dim", dim,
      "divided by --n_heads = " + text(n_heads) + " it must be even, because rotary embeddings turn pairs");
  if (n_kv_heads == 0) {
    require(n_heads % n_group == 0, "n_heads", n_heads,
            "it must be a multiple of --n_group = " + text(n_group));
    n_kv_heads = n_heads / n_group;
  }
  require(n_heads % n_kv_heads == 0, "n_heads", n_heads,
          "it must be a multiple of --n_kv_heads = " + text(n_kv_heads));
  n_group = n_heads / n_kv_heads;
  if (lr_decay_iters == 0) lr_decay_iters = max_iters;
  if (cooldown_iters == 0) cooldown_iters = lr_decay_iters / 5;
  require(schedule != "wsd" || warmup_iters + cooldown_iters <= lr_decay_iters, "cooldown_iters",
          cooldown_iters,
          "with --warmup_iters = " + text(warmup_iters) +
              " it must be at most --lr_decay_iters = " + text(lr_decay_iters));
  require(!pin || device == "cpu", "pin", "true", "only the threads of --device=cpu can be pinned");
  if (device != "cpu") threads = 1;  // the host's only: one thread keeps the device busy
  if (threads == 0) threads = threads_of_process();
  require(batch_size % process_count() == 0, "batch_size", batch_size,
          "it must be a multiple of the " + text(process_count()) + " processes");
  require(!processes || device == "cpu" || cuda_part()->trains_on_several, "device", device,
          "several GPUs exchange gradients by NCCL, and this program was compiled without it");
}

nlohmann::ordered_json TrainOptions::to_json() const {
  nlohmann::ordered_json json;
  for_each_option(*this, [&](const char* name, const auto& value, const char*) { json[name] = value; });
  return json;
}

}  // namespace pretrain
