#pragma once

#include "train_options.hpp"

namespace pretrain {

/// Trains a Llama; prints the log to standard output and writes out_dir/metrics.jsonl, out_dir/ckpt (latest,
/// to resume from) and out_dir/best. SIGINT and SIGTERM finish the iteration and save. Throws
/// cria::ConfigError, cria::FileError.
void train(TrainOptions options);

}  // namespace pretrain
