#include "train.hpp"

#include <cstdio>
#include <exception>

#include "cria/core/threads.hpp"
#include "cuda_part.hpp"
#include "depth.hpp"
#include "dry_run.hpp"
#include "memory_plan.hpp"
#include "pinned_threads.hpp"
#include "processes.hpp"
#include "progress.hpp"
#include "training_run.hpp"

namespace pretrain {

namespace {

void train_here(TrainOptions options) {
  options.resolve();
  check_same_options(options);
  cria::use_threads(static_cast<int>(options.threads));
  const bool on_cpu = options.device == "cpu";
  if (on_cpu) check_memory(memory_of(options));  // a device says itself what it lacks
  starting_point(options);                       // what cannot be begun is refused before any work
  if (!on_cpu) {                                 // and before the data is read
    const auto [number, processes] = processes_on_machine();
    cuda_part()->use_device(number, processes);
  }
  if (options.depth > 0) std::printf("%s", options_by_depth(options).c_str());
  if (options.pin) pin_threads(replicas_of(options));
  if (options.dry_run) return dry_run(options);
  TrainingRun(options).train();
}

}  // namespace

void train(TrainOptions options) {
  const auto processes = processes_of_run();
  options.processes = processes.get();
  if (!processes) return train_here(options);
  if (!options.is_first()) be_silent();
  try {
    train_here(options);
  } catch (const std::exception& error) {  // the others would wait for ever
    std::fprintf(stderr, "error: process %d of %d: %s\n", processes->rank() + 1, processes->size(),
                 error.what());
    processes->abort();
  }
}

}  // namespace pretrain
