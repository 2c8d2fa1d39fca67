#include "dry_run.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "checkpoint.hpp"
#include "corpus.hpp"
#include "memory_plan.hpp"
#include "progress.hpp"
#include "training_step.hpp"

namespace pretrain {

namespace {

constexpr int measured_iterations = 3;
constexpr double bytes_of_a_line = 200;  // of metrics.jsonl, about

/// Seconds that work() takes.
template <class F>
double seconds_of(F work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The folder as an absolute path without a slash at its end.
std::filesystem::path without_slash(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// The folder in which out_dir lies, or the nearest one above that there is.
std::filesystem::path existing_parent(const std::filesystem::path& out_dir) {
  auto folder = out_dir.parent_path();
  while (!std::filesystem::is_directory(folder)) folder = folder.parent_path();
  return folder;
}

/// A folder that is gone in the end.
class PassingFolder {
 public:
  explicit PassingFolder(std::filesystem::path path) : path_(std::move(path)) {}
  PassingFolder(const PassingFolder&) = delete;
  PassingFolder& operator=(const PassingFolder&) = delete;
  ~PassingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  double bytes() const {
    double sum = 0;
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      sum += static_cast<double>(file.file_size());
    }
    return sum;
  }

 private:
  std::filesystem::path path_;
};

/// How often a run from iteration `first` to `last` evaluates.
std::int64_t evaluations(std::int64_t first, std::int64_t last, std::int64_t interval) {
  return last < first ? 0 : last / interval - (first + interval - 1) / interval + 1;
}

std::string clock_time_in(double seconds) {
  const std::time_t time = std::time(nullptr) + static_cast<std::time_t>(seconds);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", std::localtime(&time));
  return text;
}

void print(const char* name, const char* format, auto... values) {
  std::printf("  %-14s", name);
  std::printf(format, values...);
  std::printf("\n");
}

}  // namespace

void dry_run(const TrainOptions& options) {
  const Corpus corpus(options.data_dir, options.vocab_size, options.max_seq_len);
  cria::io::TokenStream stream(corpus.training, options.max_seq_len, cria::Rng(options.seed).split(1));
  TokenBatch batch = options.batch();
  const auto step = training_step(options);
  RunState state;
  if (const auto checkpoint = starting_point(options)) {
    state = load_checkpoint(*checkpoint, *step, options, corpus.fingerprints());
  }
  const auto iterate = [&] {
    for (std::int64_t i = 0; i < options.gradient_accumulation_steps; ++i) {
      stream.next(batch.size(), batch.inputs, batch.targets);
      step->add(batch, cria::Rng(options.seed), nullptr);
    }
    step->update(options.learning_rate, nullptr);
  };
  iterate();  // the first one also warms up
  const double iteration = seconds_of([&] {
                             for (int i = 0; i < measured_iterations; ++i) iterate();
                           }) /
                           measured_iterations;
  step->loss(batch);
  const double evaluation =
      seconds_of([&] { step->loss(batch); }) * 2 * static_cast<double>(options.eval_iters);
  const auto out_dir = without_slash(options.out_dir), parent = existing_parent(out_dir);
  const std::filesystem::path folder = parent / (out_dir.filename().string() + ".dry_run");
  std::optional<PassingFolder> saved;  // that of the first process, which writes for all
  if (options.is_first()) saved.emplace(folder);
  const double checkpoint = seconds_of([&] {
    CheckpointReplacement({folder}, options)
        .write(checkpoint_contents(*step, state, options, corpus.fingerprints(), corpus.tokenizer_model));
  });
  if (!options.is_first()) return;

  const std::int64_t first = state.iteration, last = options.eval_only ? first - 1 : options.max_iters;
  const std::int64_t iterations = std::max<std::int64_t>(last + 1 - first, 0);
  const std::int64_t evaluated = options.eval_only ? 1 : evaluations(first, last, options.eval_interval);
  // At most two at each evaluation, but not before the first iteration, and one in the end.
  const std::int64_t written = iterations == 0 ? 0 : 2 * (evaluated - (first == 0 ? 1 : 0)) + 1;
  const double megabytes = saved->bytes() * 1e-6, all = static_cast<double>(iterations);
  const double seconds = all * iteration + static_cast<double>(evaluated) * evaluation +
                         static_cast<double>(written) * checkpoint;
  const auto count = [](std::int64_t number) { return static_cast<long long>(number); };
  const ModelDescription model = step->describe();

  std::printf("dry run: nothing is trained and nothing written to %s\n", options.out_dir.c_str());
  print("model", "%lld parameters, %s on %s, products by %s",
        count(model.decayed.values + model.not_decayed.values), options.dtype.c_str(), options.device.c_str(),
        model.products_by.c_str());
  print("iteration", "%.2f ms, %.0f tokens/s (mean of %d); %lld to do", iteration * 1e3,
        static_cast<double>(options.tokens_per_iteration()) / iteration, measured_iterations,
        count(iterations));
  print("evaluation", "%.2f s; %lld to do", evaluation, count(evaluated));
  print("checkpoint", "%.2f s, %.1f MB; at most %lld to write", checkpoint, megabytes, count(written));
  std::printf("the run would take %s and end at %s\n", clock_text(seconds).c_str(),
              clock_time_in(seconds).c_str());
  std::printf("it would write to %s, where %.1f MB are free:\n", options.out_dir.c_str(),
              static_cast<double>(std::filesystem::space(parent).available) * 1e-6);
  print("ckpt, best", "%.1f MB each, and as much again while one is replaced", megabytes);
  print("metrics.jsonl", "%.1f MB", (all + static_cast<double>(evaluated)) * bytes_of_a_line * 1e-6);
  std::printf("memory%s:\n%s", options.processes ? " of each process" : "",
              memory_of(options).table().c_str());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("  %-16s %9.1f MB\n", "peak so far", static_cast<double>(usage.ru_maxrss) * 1024e-6);
}

}  // namespace pretrain
