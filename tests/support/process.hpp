#pragma once
/// Other programs, run and watched by a test.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/temporary_directory.hpp"

namespace cria::test {

/// What a program left when it had ended.
struct Outcome {
  int exit_code = 0;  // -signal if a signal ended it
  std::string output, errors;
};

/// A running program whose output goes to files of its own.
class Process {
 public:
  /// Starts `arguments` (the program's path first); no file that it writes may get longer than `file_limit`
  /// bytes.
  explicit Process(std::vector<std::string> arguments, rlim_t file_limit = RLIM_INFINITY) {
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ > 0) return;
    redirect(files_ / "output", STDOUT_FILENO);
    redirect(files_ / "errors", STDERR_FILENO);
    if (file_limit != RLIM_INFINITY) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{file_limit, file_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    kill(SIGKILL);
    if (pid_ > 0) wait();
  }

  /// Sends a signal, unless wait() has been called: the number may be another process's by then.
  void kill(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }

  /// Whether it has not ended yet.
  bool is_running() const {
    siginfo_t info{};
    return pid_ > 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }

  std::string output() const { return read(files_ / "output"); }

  Outcome wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), output(), read(files_ / "errors")};
  }

 private:
  static void redirect(const std::filesystem::path& path, int descriptor) {
    ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), descriptor);
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TemporaryDirectory files_;
  pid_t pid_ = -1;
};

/// Runs a program to its end.
inline Outcome run(std::vector<std::string> arguments, rlim_t file_limit = RLIM_INFINITY) {
  return Process(std::move(arguments), file_limit).wait();
}

}  // namespace cria::test
