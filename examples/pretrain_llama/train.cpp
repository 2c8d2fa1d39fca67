#include "train.hpp"

#include "cuda_part.hpp"
#include "memory_plan.hpp"
#include "pinned_threads.hpp"
#include "training_run.hpp"

namespace pretrain {

void train(TrainOptions options) {
  options.resolve();
  const bool on_cpu = options.device == "cpu";
  if (on_cpu) check_memory(memory_of(options));  // a device says itself what it lacks
  starting_point(options);                       // what cannot be begun is refused before any work
  if (!on_cpu) cuda_part()->check_device();      // and before the data is read
  if (options.pin) pin_threads(replicas_of(options));
  TrainingRun(options).train();
}

}  // namespace pretrain
