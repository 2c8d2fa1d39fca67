#include "processes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/dist/mpi.hpp"
#include "cria/io/file.hpp"

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

/// Of the texts, the same number of which each process has: the first, by its number, that differs from the
/// first process's, and in which process.
struct Difference {
  std::size_t text;
  int process;
};
std::optional<Difference> first_difference(cria::Communicator& processes,
                                           const std::vector<std::string>& texts) {
  std::vector<double> hashes;
  for (const std::string& text : texts) {
    hashes.push_back(static_cast<double>(std::hash<std::string>()(text) >> 12));  // 52 bits are exact
  }
  const auto all = cria::all_gather(processes, hashes);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != all[i % texts.size()])
      return Difference{i % texts.size(), static_cast<int>(i / texts.size())};
  }
  return {};
}

/// Two builds can differ in what they compute.
void check_same_program(cria::Communicator& processes) {
  const auto difference = first_difference(processes, {cria::io::read_file("/proc/self/exe")});
  if (!difference) return;
  throw cria::ConfigError("the program of " + processes.name_of(difference->process) + " is not that of " +
                          processes.name_of(0) + "; copy one pretrain_llama to all hosts");
}

}  // namespace

std::unique_ptr<cria::Communicator> processes_of_run([[maybe_unused]] double timeout) {
  const int count = processes_started();
  if (count == 1) return nullptr;
#ifdef CRIA_MPI
  return std::make_unique<cria::Mpi>(timeout);
#else
  throw cria::ConfigError("mpirun has started " + std::to_string(count) +
                          " processes, and this program was built without MPI; install libopenmpi-dev and " +
                          "build it again");
#endif
}

void end_all(cria::Communicator& processes, const char* reason) {
  // The others end before it is their turn.
  std::this_thread::sleep_for(std::chrono::duration<double>(2.0 * processes.rank() / processes.size()));
  std::fprintf(stderr, "error: %s: %s\n", processes.name_of(processes.rank()).c_str(), reason);
  processes.abort();
  std::_Exit(1);  // g++ does not know that a virtual function never returns
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
  check_same_program(*options.processes);
  std::vector<std::string> names, values;
  const auto json = options.to_json();
  for (const auto& [name, value] : json.items()) {
    if (name == "threads" || name == "pin") continue;
    names.push_back(name);
    values.push_back(value.dump());
  }
  const auto difference = first_difference(*options.processes, values);
  if (!difference) return;
  throw cria::ConfigError("--" + names[difference->text] + " of " +
                          options.processes->name_of(difference->process) + " is not that of " +
                          options.processes->name_of(0) +
                          "; all must have the same options but --threads and --pin");
}

void check_same_data(const TrainOptions& options, const Fingerprints& fingerprints) {
  if (!options.processes) return;
  const auto difference = first_difference(
      *options.processes, {fingerprints.tokenizer, fingerprints.training_data, fingerprints.validation_data});
  if (!difference) return;
  constexpr std::array<const char*, 3> names{"tokenizer", "training data", "validation data"};
  throw cria::ConfigError("the " + std::string(names[difference->text]) + " that " +
                          options.processes->name_of(difference->process) +
                          " has in --data_dir=" + options.data_dir + " is not that of " +
                          options.processes->name_of(0) + "; copy one such folder to all hosts");
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
