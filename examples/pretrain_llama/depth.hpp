#pragma once

#include <functional>
#include <string>

#include "train_options.hpp"

namespace pretrain {

/// Sets the options of a run of --depth layers from the depth and the size of the data, but for those that
/// are given (docs/llama.md has the rule, benchmarks/scaling the measurements behind it). Data that there is
/// not leaves the options that depend on it alone. Throws cria::ConfigError, cria::FileError.
void set_by_depth(TrainOptions& options, const std::function<bool(const std::string& name)>& is_given);

/// "depth 4: --n_layers=4 --dim=128 ...": all options that --depth sets, as they are.
std::string options_by_depth(const TrainOptions& options);

}  // namespace pretrain
