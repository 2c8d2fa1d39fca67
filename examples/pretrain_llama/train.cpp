#include "train.hpp"

#include <algorithm>

#include "train_cuda.hpp"
#include "training_run.hpp"

namespace pretrain {

MemoryPlan memory_of(const TrainOptions& options) {
  const bool widened = options.dtype == "float16" ||
                       (options.dtype == "bfloat16" && !cria::cpu::multiplies_as_is<cria::bfloat16>());
  const std::int64_t sequences = Batch::chunk_size_of(options);
  const std::int64_t chunks =
      cria::nn::chunks_on_threads(Batch::chunks_of(options.batch_size, sequences), options.threads);
  return planned_memory(options.model(), {.element_size = options.dtype == "float32" ? 4 : 2,
                                          .widened = widened,
                                          .length = options.max_seq_len,
                                          .sequences = sequences,
                                          .batch = options.batch_size,
                                          .threads = std::clamp<std::int64_t>(chunks, 1, options.threads)});
}

void train(TrainOptions options) {
  options.resolve();
  const bool on_cpu = options.device == "cpu";
  if (on_cpu) check_memory(memory_of(options));  // a device says itself what it lacks
  starting_point(options);                       // what cannot be begun is refused before any work
  on_cpu ? train_on<cria::Cpu>(options) : train_on_cuda(options);
}

}  // namespace pretrain
