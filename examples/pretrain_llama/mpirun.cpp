#include "mpirun.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "cria/core/error.hpp"

namespace pretrain {

namespace {

using Clock = std::chrono::steady_clock;

std::string find_mpirun() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto file = std::filesystem::path(folder) / "mpirun";
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  throw cria::ConfigError("there is no mpirun in the PATH; install openmpi-bin");
}

volatile std::sig_atomic_t mpirun_process = 0;  // mpirun
volatile std::sig_atomic_t interrupts = 0;      // to stop it

/// While one of these lives, signals that ask this program to end go to mpirun, which passes SIGUSR1 on.
class PassedOn {
 public:
  explicit PassedOn(pid_t process) {
    mpirun_process = process;
    struct sigaction action {};
    action.sa_handler = [](int) {
      interrupts = interrupts + 1;
      kill(mpirun_process, interrupts == 1 ? SIGUSR1 : SIGTERM);
    };
    sigaction(SIGINT, &action, &interrupt_);
    sigaction(SIGTERM, &action, &terminate_);
  }
  ~PassedOn() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
  }
  PassedOn(const PassedOn&) = delete;
  PassedOn& operator=(const PassedOn&) = delete;

 private:
  struct sigaction interrupt_ {};
  struct sigaction terminate_ {};
};

/// mpirun, in a group of its own that a terminal's Ctrl-C does not reach.
pid_t start(const std::string& program, const std::vector<std::string>& arguments, int errors) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t process = fork();
  if (process < 0) throw std::runtime_error(std::string("mpirun cannot be started: ") + std::strerror(errno));
  if (process > 0) return process;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(errors, STDERR_FILENO);
  execv(program.c_str(), argv.data());
  _exit(127);
}

/// What comes through mpirun's standard error.
class Messages {
 public:
  void add(const char* bytes, std::size_t count) {
    text_.append(bytes, count);
    for (std::size_t end = 0; (end = text_.find('\n')) != std::string::npos;) {
      line(text_.substr(0, end));
      text_.erase(0, end + 1);
    }
  }

  bool has_error() const { return !error_.empty(); }
  /// What a process has said at its end, without "error: ".
  const std::string& error() const { return error_; }
  /// What mpirun has said, in one line.
  const std::string& of_mpirun() const { return of_mpirun_; }

 private:
  void line(const std::string& line) {
    if (line.starts_with("-----")) {  // above and below each message of mpirun
      is_of_mpirun_ = !is_of_mpirun_;
    } else if (is_of_mpirun_ || line.starts_with("[") || line.starts_with("mpirun: ")) {
      of_mpirun_ += (of_mpirun_.empty() ? "" : " ") + line;
    } else if (line.starts_with("error: ")) {
      if (error_.empty()) error_ = line.substr(7);
    } else {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
  }

  std::string text_, error_, of_mpirun_;
  bool is_of_mpirun_ = false;
};

MpirunEnd end_of(const Messages& messages, int status) {
  using enum MpirunEnd::Reason;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {success, ""};
  if (interrupts > 0) return {interrupted, "the run was interrupted"};
  // What MPI tells of other processes.
  if (messages.has_error()) {
    return {messages.error().find(": mpi: ") != std::string::npos ? fault : refusal, messages.error()};
  }
  const std::string text = std::regex_replace(messages.of_mpirun(), std::regex(" +"), " ");
  const auto says = [&](std::initializer_list<const char*> parts) {
    return std::ranges::any_of(parts, [&](const char* part) { return text.find(part) != std::string::npos; });
  };
  std::smatch found;
  if (std::regex_search(
          text, found,
          std::regex(
              "process rank (\\d+) with PID \\d+ on node (\\S+) exited on signal (\\d+) \\(([^)]*)\\)"))) {
    std::string sentence = "process " + std::to_string(std::stoi(found[1]) + 1) + " on host " +
                           found[2].str() + " was ended by signal " + found[3].str() + " (" + found[4].str() +
                           ")";
    if (found[3] == "9") sentence += ", as the system does where memory runs out";
    return {fault, sentence};
  }
  if (says({"not enough slots"})) {
    return {refusal, "the hosts have too few slots; name more of them, or start fewer processes by -n"};
  }
  if (says({"plm_rsh_agent", "launch agent"}) && says({"not found", "could not be found", "cannot find"})) {
    return {refusal,
            "mpirun reaches other hosts by ssh, which is not installed here; install openssh-client"};
  }
  if (says({"lost communication", "heartbeat"})) return {fault, "a host can no longer be reached"};
  if (says({"unable to reliably start", "ORTE was unable", "ORTE does not know how to route"})) {
    return {refusal,
            "mpirun cannot start processes on all hosts; `ssh HOST orted --version` must work for each "
            "without a password, with Open MPI (openmpi-bin) installed there"};
  }
  if (says({"unable to launch the specified application", "could not access or execute",
            "was unable to find"})) {
    return {refusal, "pretrain_llama is not on all hosts; copy it to the same folder there"};
  }
  return {refusal, text.empty() ? "mpirun has failed without a message" : "mpirun: " + text};
}

}  // namespace

MpirunEnd run_mpirun(const std::vector<std::string>& arguments, Clock::duration limit) {
  const std::string program = find_mpirun();
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("mpirun cannot be started: no pipe is left");
  std::fflush(nullptr);
  const pid_t process = start(program, arguments, pipe[1]);
  close(pipe[1]);
  const PassedOn passed_on(process);
  Messages messages;
  auto last = Clock::now() + limit;
  bool is_ending = false;
  int status = 0;
  for (bool has_ended = false; !has_ended;) {
    pollfd errors{pipe[0], POLLIN, 0};
    if (poll(&errors, 1, 100) > 0) {
      std::array<char, 4096> bytes{};
      const ssize_t count = read(pipe[0], bytes.data(), bytes.size());
      if (count > 0) messages.add(bytes.data(), static_cast<std::size_t>(count));
      if (count > 0) continue;
    }
    has_ended = waitpid(process, &status, WNOHANG) != 0;
    if (messages.has_error() && !is_ending) {  // mpirun waits for ever for hosts that cannot be reached
      is_ending = true;
      last = std::min(last, Clock::now() + std::chrono::seconds(5));
    }
    if (Clock::now() > last) kill(-process, SIGKILL);
  }
  close(pipe[0]);
  return end_of(messages, status);
}

}  // namespace pretrain
