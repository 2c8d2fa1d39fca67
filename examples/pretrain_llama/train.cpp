#include "train.hpp"

#include <exception>
#include <new>
#include <optional>

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

/// The run, which is still there if it fails.
void train_here(TrainOptions options, std::optional<TrainingRun>& run) {
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
  if (options.dry_run) {
    dry_run(options);
  } else {
    run.emplace(options).train();
  }
  meet(options.processes);  // a process that ends waits for all, and not for longer than --timeout
}

}  // namespace

void train(TrainOptions options) {
  const auto processes = processes_of_run(static_cast<double>(options.timeout));
  options.processes = processes.get();
  std::optional<TrainingRun> run;
  if (!processes) return train_here(options, run);
  if (!options.is_first()) be_silent();
  // The others would wait for ever; as would this one for their parts of a checkpoint, if the run were left.
  try {
    train_here(options, run);
  } catch (const std::bad_alloc&) {
    end_all(*processes, "the machine has too little memory left for this");
  } catch (const std::exception& error) {
    end_all(*processes, error.what());
  }
}

}  // namespace pretrain
