#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pretrain {

struct LaunchOptions {
  std::int64_t processes = 1;
  std::string hosts;     // separated by commas; none: this machine
  std::string hostfile;  // with a host at the beginning of each line
  std::int64_t max_restarts = 3;
  /// What the processes run: `train` and its options.
  std::vector<std::string> command;
  std::string out_dir;  // of that
};

/// Runs a training in processes that mpirun starts, and after a fault of one of them again, from the latest
/// checkpoint: with half as many if a host is gone. SIGINT and SIGTERM let the processes save and end. Throws
/// cria::ConfigError, and std::runtime_error with what ended the run.
void launch(const LaunchOptions& options);

}  // namespace pretrain
