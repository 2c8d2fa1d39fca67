#include "plan.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>

#include "cria/core/error.hpp"
#include "cria/io/llama_config.hpp"
#include "cria/nn/llama_costs.hpp"
#include "goodput.hpp"
#include "published_runs.hpp"
#include "scale_model.hpp"

namespace pretrain {

namespace {

/// A number with so many decimals, and a comma at every third digit before them.
std::string shown(double value, int decimals = 0) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", decimals, value);
  std::string number = buffer;
  const std::size_t point = number.find('.'), digits = point == std::string::npos ? number.size() : point;
  const std::size_t first = number[0] == '-' ? 1 : 0;
  for (std::size_t i = digits; i > first + 3; i -= 3) number.insert(i - 3, ",");
  return number;
}

std::string shown(std::int64_t value) {
  return shown(static_cast<double>(value));
}

/// Seconds in a unit that suits them.
std::string duration(double seconds) {
  return seconds < 1        ? shown(1e3 * seconds, 1) + " ms"
         : seconds < 120    ? shown(seconds, 2) + " s"
         : seconds < 7200   ? shown(seconds / 60, 1) + " min"
         : seconds < 172800 ? shown(seconds / 3600, 1) + " h"
                            : shown(seconds / 86400, 1) + " days";
}

std::string count_of(double value) {
  return value >= 1e12  ? shown(value * 1e-12, 2) + " trillion"
         : value >= 1e9 ? shown(value * 1e-9, 2) + " billion"
         : value >= 1e6 ? shown(value * 1e-6, 2) + " million"
                        : shown(value);
}

std::string bytes_of(double value) {
  return value >= 1e9 ? shown(value * 1e-9, 2) + " GB" : shown(value * 1e-6, 2) + " MB";
}

void refuse_unless(bool allowed, const std::string& name, const std::string& value, const std::string& rule) {
  if (!allowed)
    throw cria::ConfigError("--" + name + " is " + (value.empty() ? "empty" : value) + "; " + rule);
}

std::string plain(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%g", value);
  return buffer;
}

void check(const PlanOptions& o) {
  constexpr std::int64_t most = 1'000'000;
  const auto whole = [&](const char* name, std::int64_t value, std::int64_t least) {
    refuse_unless(value >= least && value <= most, name, std::to_string(value),
                  "it must be from " + std::to_string(least) + " to " + std::to_string(most));
  };
  const auto from_zero = [&](const char* name, double value) {
    refuse_unless(value >= 0 && std::isfinite(value), name, plain(value), "it must be a number from 0 on");
  };
  whole("gpus", o.gpus, 1);
  whole("ranks_per_gpu", o.ranks_per_gpu, 1);
  refuse_unless(o.gpus % o.ranks_per_gpu == 0, "ranks_per_gpu", std::to_string(o.ranks_per_gpu),
                "it must divide --gpus=" + std::to_string(o.gpus));
  whole("max_seq_len", o.max_seq_len, 0);
  whole("batch_size", o.batch_size, 0);
  whole("tensor_parallel", o.tensor_parallel, 0);
  whole("shard_ranks", o.shard_ranks, 0);
  whole("micro_batch", o.micro_batch, 0);
  whole("node_gpus", o.node_gpus, 0);
  from_zero("tokens", o.tokens);
  from_zero("flops", o.flops);
  from_zero("memory", o.memory);
  from_zero("bandwidth", o.bandwidth);
  from_zero("link_bandwidth", o.link_bandwidth);
  from_zero("network_bandwidth", o.network_bandwidth);
  from_zero("price_per_hour", o.price_per_hour);
  from_zero("mtbf_hours", o.mtbf_hours);
  from_zero("restart_minutes", o.restart_minutes);
  from_zero("save_seconds", o.save_seconds);
  from_zero("slow_hours", o.slow_hours);
  refuse_unless(o.storage_bandwidth > 0 && std::isfinite(o.storage_bandwidth), "storage_bandwidth",
                plain(o.storage_bandwidth), "it must be a number above 0");
  refuse_unless(o.jitter >= 0 && o.jitter < 1, "jitter", plain(o.jitter), "it must be in [0, 1)");
  refuse_unless(o.overlap == -1 || (o.overlap >= 0 && o.overlap <= 1), "overlap", plain(o.overlap),
                "it must be from 0 to 1, or -1");
  const auto one_of_these = [](const char* name, const std::string& value,
                               std::initializer_list<const char*> allowed) {
    std::string list;
    for (const char* each : allowed) {
      if (value == each) return;
      list += (list.empty() ? "" : ", ") + std::string(*each ? each : "nothing");
    }
    refuse_unless(false, name, value, "allowed: " + list);
  };
  one_of_these("reduce_dtype", o.reduce_dtype, {"float32", "bfloat16"});
  one_of_these("shard", o.shard, {"", "none", "optimizer", "gradients", "parameters"});
  one_of_these("recompute", o.recompute, {"", "none", "cheap", "attention", "mlp", "layer"});
}

/// The table's numbers, but for what options say.
Hardware chosen_hardware(const PlanOptions& o) {
  Hardware h = hardware(o.gpu);
  for (const auto& [given, number] : {std::pair{o.flops, &h.flops},
                                      {o.memory, &h.memory},
                                      {o.bandwidth, &h.bandwidth},
                                      {o.link_bandwidth, &h.link_bandwidth},
                                      {o.network_bandwidth, &h.network_bandwidth},
                                      {o.price_per_hour, &h.price_per_hour},
                                      {o.mtbf_hours, &h.mtbf_hours}}) {
    if (given > 0) *number = given;
  }
  if (o.node_gpus > 0) h.node_gpus = o.node_gpus;
  h.node_gpus *= o.ranks_per_gpu;  // places for ranks
  if (o.overlap >= 0) h.overlap = o.overlap;
  return h;
}

/// Which part of a layout `pretrain_llama train` lacks; empty if none.
std::string lacking(const Layout& layout, const Hardware& h) {
  std::string parts;
  const auto add = [&](bool lacks, const std::string& part) {
    if (lacks) parts += (parts.empty() ? "" : ", ") + part;
  };
  add(layout.tensor > 1, "tensor parallelism");
  add(layout.shard > Sharding::optimizer, std::string("--shard=") + name_of(layout.shard));
  add(layout.shard == Sharding::optimizer && layout.shard_ranks != layout.data,
      "several copies of a shared optimiser");
  add(h.overlap > 0 && layout.data > 1, "exchanges during backward");
  add((layout.ranks() & (layout.ranks() - 1)) != 0, "a number of processes that is no power of two");
  return parts;
}

void print_row(std::ostream& out, const std::string& name, const std::string& value,
               const std::string& more = "") {
  char line[256];
  std::snprintf(line, sizeof(line), "  %-26s %14s%s%s\n", name.c_str(), value.c_str(),
                more.empty() ? "" : "  ", more.c_str());
  out << line;
}

void print_memory(std::ostream& out, const RankMemory& memory, const Hardware& h) {
  out << "\nmemory of a rank\n";
  print_row(out, "weights", bytes_of(memory.weights));
  print_row(out, "master weights", bytes_of(memory.master_weights));
  print_row(out, "moments", bytes_of(memory.moments));
  print_row(out, "gradients", bytes_of(memory.gradients));
  print_row(out, "activations", bytes_of(memory.activations));
  if (memory.gathered > 0) print_row(out, "gathered layers", bytes_of(memory.gathered));
  print_row(out, "workspace", bytes_of(memory.workspace));
  print_row(out, "total", bytes_of(memory.total()), "of " + bytes_of(h.memory));
}

void print_traffic(std::ostream& out, const StepTime& time) {
  if (time.traffic.empty()) return;
  out << "\nsent by a rank in a step           over        bytes       time    exposed\n";
  for (const Traffic& each : time.traffic) {
    char line[160];
    std::snprintf(line, sizeof(line), "  %-31s %-8s %9s %10s %10s\n", each.what.c_str(),
                  each.network ? "network" : "link", bytes_of(each.bytes).c_str(),
                  duration(each.seconds).c_str(), duration(each.exposed).c_str());
    out << line;
  }
}

void print_time(std::ostream& out, const StepTime& time) {
  const double total = time.total();
  const auto row = [&](const char* name, double seconds) {
    if (seconds > 0) print_row(out, name, duration(seconds), shown(100 * seconds / total, 1) + " %");
  };
  out << "\nstep\n";
  row("products", time.products);
  row("attention", time.attention);
  row("norms, SwiGLU, logits", time.elementwise);
  row("computed again", time.recomputed);
  row("exchanges not hidden", time.exposed());
  row("update", time.optimizer);
  print_row(out, "total", duration(total));
}

void print_intervals(std::ostream& out, const std::vector<IntervalGoodput>& all, const Faults& faults) {
  out << "\nsaves every    useful  stragglers   saves  lost work  restarts   Daly 2006\n";
  for (const IntervalGoodput& each : all) {
    const Goodput& g = each.goodput;
    char line[160];
    std::snprintf(line, sizeof(line),
                  "%11s  %6.2f %%   %6.2f %%  %5.2f %%   %6.2f %%  %6.2f %%    %6.2f %%%s\n",
                  duration(each.interval).c_str(), 100 * g.useful, 100 * g.stragglers, 100 * g.saves,
                  100 * g.lost_work, 100 * g.restarts, 100 * daly_goodput(faults, each.interval),
                  &each == &best_interval(all) ? "  <- most" : "");
    out << line;
  }
}

}  // namespace

cria::nn::LlamaConfig named_model(const std::string& name) {
  cria::nn::LlamaConfig c;
  c.vocab_size = 128256;
  c.num_key_value_heads = 8;
  c.max_position_embeddings = 131072;
  c.tie_word_embeddings = false;
  const auto sizes = [&](std::int64_t layers, std::int64_t hidden, std::int64_t intermediate) {
    c.num_hidden_layers = layers;
    c.hidden_size = hidden;
    c.intermediate_size = intermediate;
    c.num_attention_heads = hidden / 128;
  };
  if (name == "8b") {
    sizes(32, 4096, 14336);
  } else if (name == "70b") {
    sizes(80, 8192, 28672);
  } else if (name == "405b") {
    sizes(126, 16384, 53248);
  } else {
    const auto file = std::filesystem::path(name) / "config.json";
    if (!std::filesystem::is_regular_file(file)) {
      throw cria::ConfigError("--model is " + (name.empty() ? "empty" : name) +
                              "; allowed: 8b, 70b, 405b, or a folder with a config.json");
    }
    c = cria::io::read_llama_config(file).config;
  }
  return c;
}

void plan(const PlanOptions& o, std::ostream& written) {
  if (o.published) {
    written << published_table();
    return;
  }
  std::ostringstream out;  // nothing of a plan that there is not
  check(o);
  const Hardware h = chosen_hardware(o);
  Workload w{.model = named_model(o.model), .length = o.max_seq_len, .batch = o.batch_size};
  w.reduce_size = o.reduce_dtype == "bfloat16" ? 2 : 4;
  if (w.length == 0) w.length = std::min<std::int64_t>(w.model.max_position_embeddings, 8192);
  const std::int64_t nodes = (o.gpus + h.node_gpus - 1) / h.node_gpus;
  if (w.batch == 0) {
    const std::int64_t sequences = std::max<std::int64_t>((std::int64_t{1} << 22) / w.length, 1);
    w.batch = (std::max(sequences, nodes) + nodes - 1) / nodes * nodes;
  }
  const Fixed fixed{.tensor = o.tensor_parallel,
                    .shard_ranks = o.shard_ranks,
                    .micro_batch = o.micro_batch,
                    .shard = o.shard,
                    .recompute = o.recompute,
                    .trainer = o.trainer_only};
  const Estimate best = best_layout(w, h, o.gpus, fixed, o.ranks_per_gpu);
  const double parameters = cria::nn::costs(w.model).parameters,
               tokens = o.tokens > 0 ? o.tokens : 20 * parameters;
  const double step = best.time.total(), gpus = static_cast<double>(o.gpus / o.ranks_per_gpu);

  out << "model     " << o.model << ", " << count_of(parameters) << " parameters\n"
      << "training  " << count_of(tokens) << " tokens, a step of " << shown(w.batch) << " sequences of "
      << shown(w.length) << " (" << count_of(w.tokens()) << " tokens)\n"
      << "hardware  " << shown(gpus) << " " << h.name << ": "
      << shown(h.flops * 1e-12, h.flops < 1e13 ? 3 : 0) << " TFLOP/s, " << bytes_of(h.memory) << " at "
      << shown(h.bandwidth * 1e-9) << " GB/s; " << shown(h.link_bandwidth * 1e-9, 1)
      << " GB/s within a node of " << h.node_gpus / o.ranks_per_gpu << ", "
      << shown(h.network_bandwidth * 1e-9, 1) << " GB/s beyond\n";
  const Layout& layout = best.layout;
  out << "layout    data " << shown(layout.data) << " x tensor " << layout.tensor
      << ", shard=" << name_of(layout.shard);
  if (layout.shard != Sharding::none) out << " over " << shown(layout.shard_ranks) << " ranks";
  out << ", recompute=" << name_of(layout.recompute) << ", micro-batch " << layout.micro_batch << " x "
      << w.batch / layout.data / layout.micro_batch << "; the fastest of "
      << shown(static_cast<std::int64_t>(layouts(w, h, o.gpus, fixed).size())) << "\n";
  const std::string missing = lacking(layout, h);
  out << "          "
      << (missing.empty() ? "pretrain_llama train can do that"
                          : "not in pretrain_llama train yet: " + missing)
      << "\n";

  print_memory(out, best.memory, h);
  print_time(out, best.time);
  print_traffic(out, best.time);

  const double speed = w.tokens() / step;
  out << "\nspeed, where nothing fails\n";
  print_row(out, "FLOPs of a step", plain(flops_of_step(w)));
  print_row(out, "tokens/s", shown(speed), shown(speed / gpus) + " of each");
  print_row(out, "MFU", shown(100 * utilisation(w, h, o.gpus / o.ranks_per_gpu, step), 1) + " %");

  Faults faults;
  faults.ranks = o.gpus;
  faults.nodes = static_cast<double>(nodes);
  faults.mtbf = 3600 * h.mtbf_hours;
  faults.restart = 60 * o.restart_minutes;
  const double state = parameters * static_cast<double>(h.element_size == 4 ? 12 : 14);
  faults.save = o.save_seconds > 0 ? o.save_seconds : state / (o.storage_bandwidth * faults.nodes);
  faults.jitter = o.jitter;
  faults.slow_mtbf = 3600 * o.slow_hours;
  const auto intervals = goodput_by_interval(faults);
  const IntervalGoodput& chosen = best_interval(intervals);
  if (chosen.goodput.useful < 1e-3) {
    throw cria::ConfigError(
        "the run would fail every " + duration(faults.run_mtbf()) +
        ", and never end; --mtbf_hours or --restart_minutes must be such that it makes headway");
  }
  out << "\nfailures\n";
  print_row(out, "of a node, every", duration(faults.mtbf));
  print_row(out, "of the run, every", duration(faults.run_mtbf()));
  print_row(out, "a checkpoint takes", duration(faults.save), bytes_of(state));
  print_row(out, "save every", duration(chosen.interval),
            shown(std::max(1.0, std::round(chosen.interval / step))) +
                " steps; Young 1974: " + duration(young_interval(faults.save, faults.run_mtbf())) +
                ", Daly 2006: " + duration(daly_interval(faults.save, faults.run_mtbf())));
  print_intervals(out, intervals, faults);

  const double seconds = tokens / speed / chosen.goodput.useful;
  out << "\nthe whole run\n";
  print_row(out, "takes", duration(seconds));
  print_row(out, "GPU hours", shown(seconds / 3600 * gpus));
  print_row(out, "failures", shown(seconds / faults.run_mtbf()));
  print_row(out, "costs", "$" + shown(seconds / 3600 * gpus * h.price_per_hour),
            "at $" + shown(h.price_per_hour, 2) + " an hour");
  written << out.str();
}

}  // namespace pretrain
