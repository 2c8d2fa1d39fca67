#pragma once
/// The options of `pretrain_llama train`: names, defaults, meanings, and what is allowed.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cria/dist/communicator.hpp"
#include "cria/train/batch.hpp"

namespace pretrain {

/// What --device can be.
const char* devices();

struct TrainOptions {
  // Input and output
  std::string data_dir = "data";
  std::string out_dir = "output";
  std::int64_t eval_interval = 2000;
  std::int64_t log_interval = 1;
  std::int64_t eval_iters = 100;
  std::int64_t sample_interval = 0;  // 0: no samples
  bool eval_only = false;
  bool dry_run = false;
  bool always_save_checkpoint = false;
  bool async_save = false;
  std::string init_from = "scratch";
  bool overwrite = false;
  // Data
  std::int64_t batch_size = 128;
  std::int64_t max_seq_len = 256;
  std::int64_t vocab_size = 4096;
  std::string vocab_source = "custom";
  // Model
  std::int64_t depth = 0;  // 0: not by depth
  std::int64_t dim = 288;
  std::int64_t n_layers = 8;
  std::int64_t n_heads = 8;
  std::int64_t n_group = 4;
  std::int64_t n_kv_heads = 0;  // 0: n_heads / n_group
  std::int64_t multiple_of = 32;
  double dropout = 0.0;
  std::string init = "cria";
  std::string recompute = "cheap";
  // Optimiser
  std::string optimizer = "adamw";
  std::int64_t gradient_accumulation_steps = 4;
  double learning_rate = 5e-4;
  std::int64_t max_iters = 100000;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double ema = 0.0;  // 0: no average
  double grad_clip = 1.0;
  std::int64_t max_nonfinite_iters = 10;
  std::string on_divergence = "stop";
  // Schedule
  std::string schedule = "cosine";
  bool decay_lr = true;
  std::int64_t warmup_iters = 1000;
  std::int64_t lr_decay_iters = 0;  // 0: max_iters
  double min_lr = 0.0;
  std::int64_t cooldown_iters = 0;  // 0: a fifth of lr_decay_iters
  // System
  std::string device = "cpu";
  std::string cuda_graph = "auto";
  bool tf32 = true;
  std::string dtype = "float32";
  std::uint64_t seed = 1337;
  std::int64_t threads = 0;  // 0: one per processor core
  bool reproducible = true;
  bool pin = false;
  std::string shard = "none";
  std::string reduce_dtype = "float32";
  std::int64_t timeout = 600;  // 0: none
  double peak_flops = 0.0;     // 0: measured at start
  bool profile = false;

  /// The processes that share each iteration, which are no option; null: this one alone.
  cria::Communicator* processes = nullptr;
  std::int64_t process_count() const { return processes ? processes->size() : 1; }
  std::int64_t rank() const { return processes ? processes->rank() : 0; }
  bool is_first() const { return rank() == 0; }  // which speaks and saves for all
  bool shards_optimizer() const { return processes && shard == "optimizer"; }

  /// Sequences of a process's micro-batch, and an empty one.
  std::int64_t own_batch_size() const { return batch_size / process_count(); }
  cria::Batch<> batch() const { return {{own_batch_size(), max_seq_len}, {own_batch_size(), max_seq_len}}; }
  std::int64_t tokens_per_iteration() const { return batch_size * gradient_accumulation_steps * max_seq_len; }

  /// Replaces the values that stand for a default by what they mean, and checks all of them.
  /// Throws cria::ConfigError, naming the option, its value and what is allowed.
  void resolve();

  /// All options by name, for state.json.
  nlohmann::ordered_json to_json() const;
};

/// Calls visit(name, member, meaning) for every option, in the order of --help.
void for_each_option(auto& options, auto&& visit) {
  visit("data_dir", options.data_dir, "folder that `prepare` wrote");
  visit("out_dir", options.out_dir, "folder for checkpoints and metrics");
  visit("eval_interval", options.eval_interval, "iterations between evaluations");
  visit("log_interval", options.log_interval, "iterations between printed lines");
  visit("eval_iters", options.eval_iters, "batches of each split in an evaluation");
  visit("sample_interval", options.sample_interval,
        "iterations between texts that the model writes; 0: none");
  visit("eval_only", options.eval_only, "evaluate once and stop, without training");
  visit(
      "dry_run", options.dry_run,
      "say how long the run would take, what it would write and how much memory it needs, without training");
  visit("always_save_checkpoint", options.always_save_checkpoint, "save at every evaluation, better or not");
  visit("async_save", options.async_save,
        "train on while a checkpoint is written, of a copy that takes as much memory as it has bytes");
  visit("init_from", options.init_from,
        "scratch, or resume: go on from out_dir, with the options stored there");
  visit("overwrite", options.overwrite, "let a new run take the place of one that out_dir holds");
  visit("batch_size", options.batch_size, "sequences in a micro-batch");
  visit("max_seq_len", options.max_seq_len, "tokens in a sequence");
  visit("vocab_size", options.vocab_size, "tokens in the vocabulary, as in `prepare`");
  visit("vocab_source", options.vocab_source, "custom: the vocabulary that `prepare` made");
  visit("depth", options.depth,
        "layers; the options of model, batch, learning rate and length of the run that are not given then "
        "follow from it and from the data; 0: they have their defaults");
  visit("dim", options.dim, "width of the model");
  visit("n_layers", options.n_layers, "decoder layers");
  visit("n_heads", options.n_heads, "query heads");
  visit("n_group", options.n_group, "query heads that share one key/value head");
  visit("n_kv_heads", options.n_kv_heads,
        "key/value heads, another way to give n_group; 0: n_heads / n_group");
  visit("multiple_of", options.multiple_of, "the MLP's width is 8/3 dim, rounded up to a multiple of this");
  visit("dropout", options.dropout, "probability with which activations are dropped");
  visit("init", options.init,
        "initialisation: cria, or llama2c, which scales up_proj in the place of down_proj");
  visit("recompute", options.recompute,
        "what backward computes again to save memory: none, cheap, attention, mlp or layer");
  visit("optimizer", options.optimizer, "adamw, muon, lion, sgd or adafactor");
  visit("gradient_accumulation_steps", options.gradient_accumulation_steps, "micro-batches in an iteration");
  visit("learning_rate", options.learning_rate, "highest learning rate");
  visit("max_iters", options.max_iters, "last iteration");
  visit("weight_decay", options.weight_decay, "decay of matrices");
  visit("beta1", options.beta1, "decay rate of the first moment; of lion's direction, and momentum of sgd");
  visit("beta2", options.beta2, "decay rate of the second moment; of lion's momentum");
  visit("ema", options.ema,
        "decay of an average of the weights, which evaluations and checkpoints then use; 0: none");
  visit("grad_clip", options.grad_clip, "largest norm of the gradient; 0: any");
  visit("max_nonfinite_iters", options.max_nonfinite_iters,
        "iterations in a row without a finite loss and gradient that are a divergence; 0: any");
  visit("on_divergence", options.on_divergence,
        "stop; skip: go on without updates; or rollback: go on from the latest checkpoint with the data "
        "that comes next");
  visit("schedule", options.schedule,
        "after the warm-up: cosine, linear, constant, or wsd: constant, then linear in the last "
        "cooldown_iters");
  visit("decay_lr", options.decay_lr, "warm up and decay the learning rate");
  visit("warmup_iters", options.warmup_iters, "iterations of the warm-up");
  visit("lr_decay_iters", options.lr_decay_iters, "iteration at which min_lr is reached; 0: max_iters");
  visit("min_lr", options.min_lr, "lowest learning rate after the warm-up");
  visit("cooldown_iters", options.cooldown_iters,
        "iterations in which wsd's rate falls; 0: a fifth of lr_decay_iters");
  visit("device", options.device, devices());
  visit("cuda_graph", options.cuda_graph,
        "submit a micro-step to a GPU at once: on, off, or auto: for models below 100 million parameters");
  visit("tf32", options.tf32, "let a GPU round what float32 products multiply to 10 bits of fraction (TF32)");
  visit("dtype", options.dtype, "float32, bfloat16 or float16");
  visit("seed", options.seed, "of the weights, the data's order and dropout");
  visit("threads", options.threads, "threads to train on; 0: one per processor core");
  visit("reproducible", options.reproducible,
        "on the CPU: the same bits for any number of threads, and of micro-batches of whole chunks of 1024 "
        "tokens");
  visit("pin", options.pin, "keep each thread on a processor core of its own");
  visit("shard", options.shard,
        "what each of several processes keeps only its own part of: none, or optimizer: its state and master "
        "weights");
  visit("reduce_dtype", options.reduce_dtype,
        "type that processes exchange gradients in: float32, or bfloat16: half the bytes, rounded at each "
        "exchange");
  visit("timeout", options.timeout,
        "seconds that processes wait for one of them before all end; more than a checkpoint takes; 0: any");
  visit("peak_flops", options.peak_flops,
        "operations a second that mfu is measured against; 0: measured at start");
  visit("profile", options.profile, "print at the end what the time went into, per operation");
}

}  // namespace pretrain
