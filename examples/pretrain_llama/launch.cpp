#include "launch.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "cria/core/error.hpp"
#include "cria/dist/communicator.hpp"
#include "cria/io/file.hpp"
#include "mpirun.hpp"

namespace pretrain {

namespace {

std::vector<std::string> hosts_of(const LaunchOptions& options) {
  std::vector<std::string> hosts;
  std::istringstream names(options.hosts);
  for (std::string name; std::getline(names, name, ',');) {
    if (!name.empty()) hosts.push_back(name);
  }
  if (options.hostfile.empty()) return hosts;
  if (!hosts.empty()) throw cria::ConfigError("--hosts and --hostfile both name hosts; give one of them");
  std::istringstream lines(cria::io::read_file(options.hostfile));
  for (std::string line; std::getline(lines, line);) {
    std::string name;
    if (std::istringstream(line) >> name && !name.starts_with("#")) hosts.push_back(name);
  }
  if (hosts.empty()) throw cria::FileError(options.hostfile, "names no host");
  return hosts;
}

/// Arguments of mpirun for so many processes, the same number on each host.
std::vector<std::string> placement(std::int64_t processes, const std::vector<std::string>& hosts) {
  std::vector<std::string> arguments{"-n", std::to_string(processes), "--oversubscribe"};
  if (geteuid() == 0) arguments.emplace_back("--allow-run-as-root");
  const auto count = static_cast<std::int64_t>(hosts.size());
  const std::int64_t on_host = count == 0 ? processes : (processes + count - 1) / count;
  if (count > 0) {
    std::string list;
    for (const std::string& host : hosts) {
      list += (list.empty() ? "" : ",") + host + ":" + std::to_string(on_host);
    }
    arguments.insert(arguments.end(), {"--host", list});
    // What mpirun has started on a host that is cut off ends there within 11 s, not 8 minutes.
    arguments.insert(arguments.end(),
                     {"--mca", "oob_tcp_keepalive_time", "5", "--mca", "oob_tcp_keepalive_intvl", "2",
                      "--mca", "oob_tcp_keepalive_probes", "3"});
  }
  // A process has threads, which one core would be too little for; memory of its own NUMA node is near.
  const bool has_nodes = std::filesystem::exists("/sys/devices/system/node/node1");
  if (has_nodes && on_host > 1 && on_host <= std::thread::hardware_concurrency()) {
    arguments.insert(arguments.end(), {"--map-by", "numa", "--bind-to", "numa"});
  } else {
    arguments.insert(arguments.end(), {"--bind-to", "none"});
  }
  return arguments;
}

/// Those on which mpirun still starts a process.
std::vector<std::string> reachable(const std::vector<std::string>& hosts) {
  std::vector<std::string> found;
  for (const std::string& host : hosts) {
    auto arguments = placement(1, {host});
    arguments.emplace_back("true");
    if (run_mpirun(arguments, std::chrono::seconds(10)).reason == MpirunEnd::success) found.push_back(host);
  }
  return found;
}

/// When the latest checkpoint was written; nothing if there is none.
std::optional<std::filesystem::file_time_type> time_of_checkpoint(const LaunchOptions& options) {
  std::error_code error;
  const auto time = last_write_time(std::filesystem::path(options.out_dir) / "ckpt" / "manifest.json", error);
  if (error) return {};
  return time;
}

void check(const LaunchOptions& options) {
  if (options.command.empty() || options.command.front() != "train") {
    throw cria::ConfigError(
        "launch starts processes that train; write: pretrain_llama launch -n 4 -- train OPTIONS");
  }
  if (options.max_restarts < 0) {
    throw cria::ConfigError("--max_restarts is " + std::to_string(options.max_restarts) +
                            "; it must be at least 0");
  }
  if (options.processes < 1 || options.processes > 1'000'000) {
    throw cria::ConfigError("--processes is " + std::to_string(options.processes) +
                            "; it must be from 1 to 1000000");
  }
  cria::detail::check_processes(static_cast<int>(options.processes));
}

}  // namespace

void launch(const LaunchOptions& options) {
  check(options);
  auto hosts = hosts_of(options);
  std::int64_t processes = options.processes;
  const auto checkpoint_before = time_of_checkpoint(options);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  for (std::int64_t restarts = 0;; ++restarts) {
    auto arguments = placement(processes, hosts);
    arguments.push_back(program);
    arguments.insert(arguments.end(), options.command.begin(), options.command.end());
    if (time_of_checkpoint(options) != checkpoint_before) arguments.emplace_back("--init_from=resume");
    const MpirunEnd end = run_mpirun(arguments);
    if (end.reason == MpirunEnd::success) return;
    if (end.reason != MpirunEnd::fault) throw std::runtime_error(end.sentence);
    if (restarts == options.max_restarts) {
      throw std::runtime_error(end.sentence + "; the run was started " + std::to_string(restarts + 1) +
                               " times");
    }
    std::string consequence;
    if (const auto left = reachable(hosts); left.size() < hosts.size()) {
      if (left.empty() || processes == 1) throw std::runtime_error(end.sentence + "; no host is left");
      consequence = " on " + std::to_string(left.size()) + " of " + std::to_string(hosts.size()) + " hosts";
      hosts = left;
      processes /= 2;
    }
    std::fprintf(stderr, "%s; starting %lld processes%s again, from the latest checkpoint\n",
                 end.sentence.c_str(), static_cast<long long>(processes), consequence.c_str());
  }
}

}  // namespace pretrain
