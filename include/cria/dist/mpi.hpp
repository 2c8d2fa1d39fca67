#pragma once
/// Processes that mpirun starts, on one machine or several. For programs that link cria::mpi, which defines
/// CRIA_MPI.

#ifdef CRIA_MPI

#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>

#include "cria/core/error.hpp"
#include "cria/dist/communicator.hpp"

namespace cria {

/// The processes of MPI's world. One object lives as long as they work together: it begins MPI and ends it,
/// unless the program has begun it by itself. To be used from the thread that made it. Functions throw
/// BackendError with what MPI says. A process that ends otherwise, as by an exception that nobody catches,
/// ends all: by abort(), or since mpirun does that.
class Mpi final : public Communicator {
 public:
  /// Throws ConfigError unless the number of processes is a power of two.
  Mpi() {
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
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() override {
    if (begun_here_) MPI_Finalize();
  }

  int size() const override { return size_; }
  int rank() const override { return rank_; }
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
      check("MPI_Sendrecv", MPI_Sendrecv(out.data(), static_cast<int>(out.size()), MPI_BYTE, partner, 0,
                                         in.data(), static_cast<int>(in.size()), MPI_BYTE, partner, 0,
                                         MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    }
  }
  [[noreturn]] void abort() override {
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::abort();  // which MPI_Abort is not known to make needless
  }

 private:
  static void check(const char* call, int status) {
    if (status == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(status, text, &length);
    throw BackendError(std::string("mpi: ") + call + " failed: " + text);
  }

  int size_ = 1, rank_ = 0;
  bool begun_here_ = false;
};

}  // namespace cria

#endif
