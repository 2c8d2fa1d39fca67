#pragma once

#include <cstdint>
#include <memory>

#include "checkpoint.hpp"
#include "cria/dist/communicator.hpp"
#include "train_options.hpp"

namespace pretrain {

/// The processes that mpirun has started for this run; null if it is one alone. Throws cria::ConfigError if
/// there are several and the program was built without MPI, or if their number is no power of two.
/// `timeout`: seconds that one waits for another, 0: for ever.
std::unique_ptr<cria::Communicator> processes_of_run(double timeout);

/// Ends all processes since this one cannot go on, after it has said why to standard error. Where all have the
/// same reason, the first one says it.
[[noreturn]] void end_all(cria::Communicator& processes, const char* reason);

/// Whether one of the processes says so; `processes` may be null.
bool any_of(cria::Communicator* processes, bool here);

/// Returns when all processes have called it. `processes` may be null.
void meet(cria::Communicator* processes);

/// Throws cria::ConfigError, naming the process, unless all run the same program, and, naming the option, unless
/// they have the same options but for their threads.
void check_same_options(const TrainOptions& options);

/// Throws cria::ConfigError, naming the process, unless all have read the same data.
void check_same_data(const TrainOptions& options, const Fingerprints& fingerprints);

/// Throws cria::ConfigError if mpirun has started several processes for a command that runs in one.
void check_one_process(const char* command);

/// The number of this process among those of the run on this machine, from 0 on, and how many these are.
struct ProcessesOnMachine {
  int number, count;
};
ProcessesOnMachine processes_on_machine();

/// How many threads each of the processes on this machine should have if nobody says it.
std::int64_t threads_of_process();

}  // namespace pretrain
