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

namespace {

/// Throws ConfigError if a new run would take the place of another.
void check_holds_no_run(const std::filesystem::path& out_dir) {
  for (const char* name : {"ckpt", "ckpt.previous"}) {
    if (!std::filesystem::exists(out_dir / name)) continue;
    throw cria::ConfigError(
        "--out_dir is " + out_dir.string() +
        ", which holds a run; go on with it by --init_from=resume, let the new one take its place by "
        "--overwrite=true, or choose another folder");
  }
}

}  // namespace

void train(TrainOptions options) {
  options.resolve();
  const bool on_cpu = options.device == "cpu";
  if (on_cpu) check_memory(memory_of(options));  // a device says itself what it lacks
  std::optional<FoundCheckpoint> checkpoint;
  if (options.init_from == "resume")
    checkpoint = find_checkpoint(std::filesystem::path(options.out_dir) / "ckpt");
  else if (!options.overwrite && !options.eval_only)
    check_holds_no_run(options.out_dir);
  on_cpu ? train_on<cria::Cpu>(options, checkpoint) : train_on_cuda(options, checkpoint);
}

}  // namespace pretrain
