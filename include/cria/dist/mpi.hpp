#pragma once
/// Processes that mpirun starts, on one machine or several. For programs that link cria::mpi, which defines
/// CRIA_MPI.

#ifdef CRIA_MPI

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/dist/communicator.hpp"

namespace cria {

/// The processes of MPI's world. One object lives as long as they work together: it begins MPI and ends it,
/// unless the program has begun it by itself. To be used from the thread that made it. Functions throw
/// BackendError with what MPI says; nothing is left then but to say it and abort(). A process that ends
/// otherwise, as by an exception that nobody catches, ends all: by abort(), or since mpirun does that.
class Mpi final : public Communicator {
 public:
  /// `timeout`: so many seconds an exchange waits for the other process before it throws BackendError, which
  /// names the process that keeps all waiting; 0: for ever. Throws ConfigError unless the number of processes
  /// is a power of two.
  explicit Mpi(double timeout = 0) : timeout_(timeout) {
    int is_begun = 0;
    MPI_Initialized(&is_begun);
    if (!is_begun) {
      int provided = 0;
      check("MPI_Init_thread", MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
      begun_here_ = true;
    }
    check("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check("MPI_Comm_size", MPI_Comm_size(MPI_COMM_WORLD, &size_));
    check("MPI_Comm_rank", MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    try {
      detail::check_processes(size_);
    } catch (...) {
      if (begun_here_) MPI_Finalize();
      throw;
    }
    gather_names();
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() override {
    if (begun_here_) MPI_Finalize();
  }

  int size() const override { return size_; }
  int rank() const override { return rank_; }
  std::string name_of(int process) const override {
    return Communicator::name_of(process) + " on host " + hosts_[static_cast<std::size_t>(process)];
  }
  void exchange(int partner, std::span<const std::byte> send, std::span<std::byte> receive) override {
    const std::size_t most = std::size_t{1} << 30;  // MPI counts by int
    const auto take = [most](auto& bytes) {
      const auto first = bytes.first(std::min(most, bytes.size()));
      bytes = bytes.subspan(first.size());
      return first;
    };
    while (!send.empty() || !receive.empty()) {
      const auto out = take(send);
      const auto in = take(receive);
      std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
      check("MPI_Irecv", MPI_Irecv(in.data(), static_cast<int>(in.size()), MPI_BYTE, partner, data,
                                   MPI_COMM_WORLD, &requests[0]));
      check("MPI_Isend", MPI_Isend(out.data(), static_cast<int>(out.size()), MPI_BYTE, partner, data,
                                   MPI_COMM_WORLD, &requests[1]));
      wait(requests, partner);
    }
  }
  [[noreturn]] void abort() override {
    // MPI_Abort waits for mpirun, which this host may be cut off from.
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::seconds(5));
      std::_Exit(1);
    }).detach();
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::_Exit(1);
  }

 private:
  using Clock = std::chrono::steady_clock;
  enum Tag : int { data, question, answer };  // of messages

  void gather_names() {
    std::vector<char> names(static_cast<std::size_t>(size_) * MPI_MAX_PROCESSOR_NAME);
    std::array<char, MPI_MAX_PROCESSOR_NAME> own{};
    int length = 0;
    check("MPI_Get_processor_name", MPI_Get_processor_name(own.data(), &length));
    check("MPI_Allgather", MPI_Allgather(own.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, names.data(),
                                         MPI_MAX_PROCESSOR_NAME, MPI_CHAR, MPI_COMM_WORLD));
    for (std::size_t at = 0; at < names.size(); at += MPI_MAX_PROCESSOR_NAME) hosts_.emplace_back(&names[at]);
  }

  /// Returns when both are done. What comes soon is waited for without a pause; later other processes may
  /// have the core.
  void wait(std::array<MPI_Request, 2>& requests, int partner) {
    const auto start = Clock::now();
    for (int polls = 0;; ++polls) {
      int is_done = 0;
      const int status = MPI_Testall(2, requests.data(), &is_done, MPI_STATUSES_IGNORE);
      if (status != MPI_SUCCESS) check("the exchange with " + name_of(partner), status);
      if (is_done) return;
      if (polls < 500) continue;
      const std::chrono::duration<double> waited = Clock::now() - start;
      if (waited.count() < 0.1) {
        std::this_thread::yield();
        continue;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      answer_questions(partner);
      if (timeout_ > 0 && waited.count() > timeout_) {
        throw BackendError("mpi: all have waited for " + name_of(find_missing(partner)) + " for " +
                           std::to_string(static_cast<int>(waited.count())) +
                           " s; it hangs, was stopped, or its host cannot be reached");
      }
    }
  }

  /// The process that `partner` waits for, or that this one waits for, and so on: the first that gives no
  /// answer.
  int find_missing(int partner) {
    std::vector<bool> is_asked(static_cast<std::size_t>(size_));
    int suspect = partner;
    for (;;) {
      is_asked[static_cast<std::size_t>(suspect)] = true;
      const int next = ask(suspect, partner);
      if (next < 0 || next == rank_ || is_asked[static_cast<std::size_t>(next)]) return suspect;
      suspect = next;
    }
  }

  /// Whom a process waits for; -1 if it does not say so within three seconds, as it does not wait.
  int ask(int process, int partner) {
    post(process, question, 0);
    const auto start = Clock::now();
    while (Clock::now() - start < std::chrono::seconds(3)) {
      if (has_come(process, answer)) return take(process, answer);
      answer_questions(partner);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return -1;
  }

  /// Tells those who ask that this process waits for `partner`.
  void answer_questions(int partner) {
    for (int process = 0; process < size_; ++process) {
      if (!has_come(process, question)) continue;
      take(process, question);
      post(process, answer, partner);
    }
  }

  bool has_come(int process, Tag tag) {
    int is_there = 0;
    check("MPI_Iprobe", MPI_Iprobe(process, tag, MPI_COMM_WORLD, &is_there, MPI_STATUS_IGNORE));
    return is_there != 0;
  }
  int take(int process, Tag tag) {
    int number = 0;
    check("MPI_Recv", MPI_Recv(&number, 1, MPI_INT, process, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    return number;
  }
  /// So small a message is on its way when the call returns, whatever the other process does.
  void post(int process, Tag tag, int number) {
    check("MPI_Send", MPI_Send(&number, 1, MPI_INT, process, tag, MPI_COMM_WORLD));
  }

  static void check(const std::string& what, int status) {
    if (status == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(status, text, &length);
    throw BackendError("mpi: " + what + " failed: " + text);
  }

  double timeout_;
  int size_ = 1, rank_ = 0;
  bool begun_here_ = false;
  std::vector<std::string> hosts_;  // of the processes
};

}  // namespace cria

#endif
