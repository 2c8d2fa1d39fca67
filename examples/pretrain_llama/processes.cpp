#include "processes.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/dist/mpi.hpp"

namespace pretrain {

namespace {

/// What one of the variables says that Open MPI's mpirun, or MPICH's, sets, and without mpirun what it is then.
int number_from_mpirun(std::initializer_list<const char*> variables, int without) {
  for (const char* name : variables) {
    if (const char* text = std::getenv(name)) return std::max(without, std::atoi(text));
  }
  return without;
}

int processes_started() {
  return number_from_mpirun({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, 1);
}

}  // namespace

std::unique_ptr<cria::Communicator> processes_of_run() {
  const int count = processes_started();
  if (count == 1) return nullptr;
#ifdef CRIA_MPI
  return std::make_unique<cria::Mpi>();
#else
  throw cria::ConfigError("mpirun has started " + std::to_string(count) +
                          " processes, and this program was built without MPI; install libopenmpi-dev and " +
                          "build it again");
#endif
}

bool any_of(cria::Communicator* processes, bool here) {
  if (!processes) return here;
  const auto all = cria::all_gather(*processes, {here ? 1.0 : 0.0});
  return std::find(all.begin(), all.end(), 1.0) != all.end();
}

void meet(cria::Communicator* processes) {
  any_of(processes, true);
}

void check_same_options(const TrainOptions& options) {
  if (!options.processes) return;
  std::vector<std::string> names;
  std::vector<double> hashes;
  const auto json = options.to_json();
  for (const auto& [name, value] : json.items()) {
    if (name == "threads" || name == "pin") continue;
    names.push_back(name);
    hashes.push_back(static_cast<double>(std::hash<std::string>()(value.dump()) >> 12));  // 52 bits are exact
  }
  const auto all = cria::all_gather(*options.processes, hashes);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] == all[i % names.size()]) continue;
    throw cria::ConfigError(
        "--" + names[i % names.size()] + " of process " + std::to_string(i / names.size() + 1) +
        " is not that of process 1; all must have the same options but --threads and --pin");
  }
}

void check_one_process(const char* command) {
  const int count = processes_started();
  if (count == 1) return;
  throw cria::ConfigError(std::string(command) + " runs in one process, and mpirun has started " +
                          std::to_string(count));
}

ProcessesOnMachine processes_on_machine() {
  return {number_from_mpirun({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}, 0),
          number_from_mpirun({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}, 1)};
}

std::int64_t threads_of_process() {
  const auto here = static_cast<unsigned>(processes_on_machine().count);
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency() / here);
}

}  // namespace pretrain
