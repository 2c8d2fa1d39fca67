#pragma once
/// Processes that work on one thing together, each with a part of it.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/core/error.hpp"

namespace cria {

/// What one process says to the others. A call returns when they have made the same one: all of them call the
/// same functions in the same order. Mpi (dist/mpi.hpp) is that of processes which mpirun has started.
class Communicator {
 public:
  virtual ~Communicator() = default;

  /// How many processes there are, a power of two, and the number of this one, from 0 on.
  virtual int size() const = 0;
  virtual int rank() const = 0;
  /// Which process that is, for a message: "process 2 of 4 on host b".
  virtual std::string name_of(int process) const {
    return "process " + std::to_string(process + 1) + " of " + std::to_string(size());
  }
  /// Sends bytes to the process `partner`, and receives as many as it sends.
  virtual void exchange(int partner, std::span<const std::byte> send, std::span<std::byte> receive) = 0;
  /// Ends all processes at once, with exit status 1: for one that cannot go on.
  [[noreturn]] virtual void abort() = 0;
};

namespace detail {

/// Throws ConfigError unless a binary tree can be built of `processes`.
inline void check_processes(int processes) {
  if (processes >= 1 && (processes & (processes - 1)) == 0) return;
  throw ConfigError("there are " + std::to_string(processes) +
                    " processes; their number must be a power of two: 1, 2, 4, 8, ...");
}

}  // namespace detail

/// The values of all processes, each of which has as many, in the order of their ranks: the same everywhere.
/// Neighbours exchange what they have, then neighbouring pairs, and so on.
template <class V = double>
std::vector<V> all_gather(Communicator& processes, const std::vector<V>& own) {
  static_assert(std::is_trivially_copyable_v<V>);
  const std::size_t count = own.size();
  std::vector<V> all(count * static_cast<std::size_t>(processes.size()));
  const auto part = [&](int first, int ranks) {
    return std::span(all).subspan(count * static_cast<std::size_t>(first),
                                  count * static_cast<std::size_t>(ranks));
  };
  std::ranges::copy(own, part(processes.rank(), 1).begin());
  for (int group = 1; group < processes.size(); group *= 2) {
    const int mine = processes.rank() / group * group, theirs = mine ^ group;
    processes.exchange(processes.rank() ^ group, std::as_bytes(part(mine, group)),
                       std::as_writable_bytes(part(theirs, group)));
  }
  return all;
}

}  // namespace cria
