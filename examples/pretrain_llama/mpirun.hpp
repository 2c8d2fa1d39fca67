#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace pretrain {

/// How mpirun has ended.
struct MpirunEnd {
  enum Reason {
    success,
    interrupted,  // by a signal that was passed on
    fault,        // of a process, a host or the network, which may not come again
    refusal       // which would
  };
  Reason reason;
  std::string sentence;  // why, unless it was a success
};

/// Runs Open MPI's mpirun with these arguments. What the processes print goes on to standard output and
/// standard error but for their sentence that begins with "error: ", which `sentence` becomes; as does
/// mpirun's own message, in words that say what to do. The first SIGINT or SIGTERM goes to the processes as
/// SIGUSR1, a second one ends them. After `limit` it is killed. Throws cria::ConfigError if there is no mpirun.
MpirunEnd run_mpirun(const std::vector<std::string>& arguments,
                     std::chrono::steady_clock::duration limit = std::chrono::hours(1'000'000));

}  // namespace pretrain
