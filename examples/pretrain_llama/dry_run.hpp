#pragma once

#include "train_options.hpp"

namespace pretrain {

/// Prints how long a training run would take, what it would write, and how much memory it takes: trains for
/// three iterations of its shapes and evaluates one batch, and writes nothing into its out_dir. Throws what a
/// run throws before it trains.
void dry_run(const TrainOptions& options);

}  // namespace pretrain
