// NCCL among processes of one machine, which stand for its ranks: they write what they send into memory that
// they share, and each computes what it receives. Operations run when their stream runs them.

#include <nccl.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cria/core/dtype.hpp"
#include "cuda_runtime_api.h"
#include "memory.hpp"
#include "observer.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "streams.hpp"

using namespace cuda_emulation;

namespace {

constexpr int kMostRanks = 16;
constexpr std::size_t kChunk = 1 << 18;  // bytes that a rank sends at once
constexpr auto kPatience = std::chrono::seconds(120);

enum class Kind : std::int32_t { all_reduce, reduce, broadcast, all_gather, reduce_scatter };
constexpr const char* kNames[] = {"ncclAllReduce", "ncclReduce", "ncclBroadcast", "ncclAllGather",
                                  "ncclReduceScatter"};

/// What must be the same in all ranks. Groups are submitted as one, so their operations are counted, too.
struct Call {
  Kind kind;
  std::int32_t type, operation, root;
  std::uint64_t count, group, place_in_group;

  bool operator==(const Call&) const = default;
};

std::string text(const Call& call) {
  char line[200];
  std::snprintf(line, sizeof line,
                "%s of %llu elements of type %d, operation %d, root %d, number %llu of group %llu",
                kNames[static_cast<int>(call.kind)], static_cast<unsigned long long>(call.count), call.type,
                call.operation, call.root, static_cast<unsigned long long>(call.place_in_group),
                static_cast<unsigned long long>(call.group));
  return line;
}

/// What the ranks share. It begins as zeros.
struct Shared {
  std::atomic<std::int32_t> arrived, aborted;
  std::atomic<std::uint32_t> meeting;
  std::atomic<std::int32_t> processes[kMostRanks];
  std::int32_t ranks[kMostRanks], devices[kMostRanks];
  Call calls[kMostRanks];
  char chunks[kMostRanks][kChunk];
};
static_assert(std::atomic<std::int32_t>::is_always_lock_free);

struct Operation {
  Call call;
  const void* send;
  void* receive;
  ncclComm* communicator;
  cudaStream_t stream;
};

std::set<ncclComm*> communicators;
int open_groups = 0;
std::vector<Operation> group;  // that is being made

std::size_t size_of(std::int32_t type) {
  return type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : 2;
}

}  // namespace

struct ncclComm {
  Shared* shared = nullptr;
  int rank = 0, ranks = 0;
  std::uint64_t groups = 0;
  ncclResult_t error = ncclSuccess;

  /// Returns when all ranks have called it; false if one has given up or died.
  bool meet() {
    const std::uint32_t meeting = shared->meeting;
    if (shared->arrived.fetch_add(1) + 1 == ranks) {
      shared->arrived = 0;
      ++shared->meeting;
      return true;
    }
    const auto begin = std::chrono::steady_clock::now();
    for (int tries = 1; shared->meeting == meeting; ++tries) {
      std::this_thread::yield();
      if (shared->aborted) return shared->meeting != meeting;
      if (tries % 1000) continue;
      for (int other = 0; other < ranks; ++other) {
        const pid_t process = shared->processes[other];
        if (process && kill(process, 0) != 0) return false;
      }
      if (std::chrono::steady_clock::now() - begin > kPatience) {
        report("nccl: rank %d waits in vain for the other ranks", rank);
        return false;
      }
    }
    return true;
  }
};

namespace {

/// a + b as the type adds. The result of each addition is rounded, as it is on its way from GPU to GPU.
template <class T>
void add(char* sum, const char* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, sum + i * sizeof(T), sizeof(T));
    std::memcpy(&b, x + i * sizeof(T), sizeof(T));
    using A = cria::acc_t<T>;
    const T c = static_cast<T>(static_cast<A>(a) + static_cast<A>(b));
    std::memcpy(sum + i * sizeof(T), &c, sizeof(T));
  }
}

/// The sum of all chunks, which begins with another rank for each, as on a ring, and not with the
/// first: its order is nobody else's.
std::vector<char> sum_of(const ncclComm& communicator, std::size_t bytes, std::int32_t type,
                         std::size_t first) {
  const auto chunk = [&](std::size_t i) {
    return communicator.shared->chunks[(first + 1 + i) % static_cast<std::size_t>(communicator.ranks)];
  };
  std::vector<char> sum(chunk(0), chunk(0) + bytes);
  for (std::size_t i = 1; i < static_cast<std::size_t>(communicator.ranks); ++i) {
    const std::size_t count = bytes / size_of(type);
    if (type == ncclFloat64) add<double>(sum.data(), chunk(i), count);
    if (type == ncclFloat32) add<float>(sum.data(), chunk(i), count);
    if (type == ncclBfloat16) add<cria::bfloat16>(sum.data(), chunk(i), count);
    if (type == ncclFloat16) add<cria::float16>(sum.data(), chunk(i), count);
  }
  return sum;
}

/// Elements that a rank sends and receives.
std::size_t sent(const Operation& operation) {
  const std::size_t ranks = static_cast<std::size_t>(operation.communicator->ranks);
  return operation.call.count * (operation.call.kind == Kind::reduce_scatter ? ranks : 1);
}
std::size_t received(const Operation& operation) {
  const std::size_t ranks = static_cast<std::size_t>(operation.communicator->ranks);
  return operation.call.count * (operation.call.kind == Kind::all_gather ? ranks : 1);
}
bool sends(const Operation& operation) {
  return operation.call.kind != Kind::broadcast || operation.communicator->rank == operation.call.root;
}
bool receives(const Operation& operation) {
  return operation.call.kind != Kind::reduce || operation.communicator->rank == operation.call.root;
}

bool check_memory(const Operation& operation, const char* name, const void* data, std::size_t elements) {
  if (DeviceMemory::instance().valid(data, elements * size_of(operation.call.type))) return true;
  report("%s: %s, %zu elements at %p, are not inside of one device allocation",
         kNames[static_cast<int>(operation.call.kind)], name, elements, data);
  return false;
}
bool check_memory(const Operation& operation) {
  return (!sends(operation) || check_memory(operation, "what is sent", operation.send, sent(operation))) &&
         (!receives(operation) ||
          check_memory(operation, "what is received", operation.receive, received(operation)));
}

ncclResult_t exchange(const Operation& operation) {
  ncclComm& communicator = *operation.communicator;
  Shared& shared = *communicator.shared;
  const Call& call = operation.call;
  const auto rank = static_cast<std::size_t>(communicator.rank),
             ranks = static_cast<std::size_t>(communicator.ranks);
  if (!check_memory(operation)) return ncclInvalidArgument;  // freed before the operation ran
  shared.calls[rank] = call;
  if (!communicator.meet()) return ncclRemoteError;
  for (std::size_t other = 0; other < ranks; ++other) {
    if (shared.calls[other] == call) continue;
    report("nccl: rank %d calls %s, and rank %zu %s", communicator.rank, text(call).c_str(), other,
           text(shared.calls[other]).c_str());
    communicator.meet();
    return ncclInvalidUsage;
  }
  const DeviceMemory::Access access;
  const auto* send = static_cast<const char*>(operation.send);
  auto* receive = static_cast<char*>(operation.receive);
  const std::size_t all = sent(operation) * size_of(call.type), own = call.count * size_of(call.type);
  if (observer && sends(operation)) observer->library_reads(send, all, "NCCL");
  for (std::size_t begin = 0, number = 0; begin < all; begin += kChunk, ++number) {
    const std::size_t bytes = std::min(kChunk, all - begin);
    if (sends(operation)) std::memcpy(shared.chunks[rank], send + begin, bytes);
    if (!communicator.meet()) return ncclRemoteError;
    if (receives(operation)) {
      if (call.kind == Kind::all_gather) {
        for (std::size_t other = 0; other < ranks; ++other) {
          std::memcpy(receive + other * own + begin, shared.chunks[other], bytes);
        }
      } else if (call.kind == Kind::broadcast) {
        std::memcpy(receive + begin, shared.chunks[call.root], bytes);
      } else {
        const std::vector<char> sum = sum_of(communicator, bytes, call.type, number);
        // Of reduce_scatter a rank's part may lie in several chunks.
        const std::size_t first = call.kind == Kind::reduce_scatter ? rank * own : 0;
        const std::size_t from = std::max(begin, first), to = std::min(begin + bytes, first + own);
        if (from < to) std::memcpy(receive + (from - first), sum.data() + (from - begin), to - from);
      }
    }
    if (!communicator.meet()) return ncclRemoteError;
  }
  if (observer && receives(operation)) {
    observer->library_writes(receive, received(operation) * size_of(call.type));
  }
  return ncclSuccess;
}

void run(const Operation& operation) {
  if (!communicators.contains(operation.communicator)) return;  // aborted
  const ncclResult_t result = exchange(operation);
  if (result == ncclSuccess) return;
  operation.communicator->error = result;
  report("nccl: rank %d: %s failed: %s", operation.communicator->rank, text(operation.call).c_str(),
         ncclGetErrorString(result));
  fail_for_good();
}

ncclResult_t submit_group() {
  std::vector<Operation> operations = std::exchange(group, {});
  std::set<ncclComm*> of_group;
  for (std::size_t place = 0; place < operations.size(); ++place) {
    Operation& operation = operations[place];
    if (of_group.insert(operation.communicator).second) ++operation.communicator->groups;
    operation.call.group = operation.communicator->groups;
    operation.call.place_in_group = place;
    if (submit(operation.stream, [operation] { run(operation); }) != cudaSuccess) {
      return ncclUnhandledCudaError;
    }
  }
  return ncclSuccess;
}

ncclResult_t add_to_group(Operation operation) {
  const RuntimeLock lock;
  const char* name = kNames[static_cast<int>(operation.call.kind)];
  if (standing_error()) return ncclUnhandledCudaError;
  if (!communicators.contains(operation.communicator)) {
    report("%s: there is no such communicator", name);
    return ncclInvalidArgument;
  }
  if (!is_stream(operation.stream)) {
    report("%s: there is no such stream", name);
    return ncclInvalidArgument;
  }
  if (is_capturing(operation.stream)) {
    report("%s: captured in a graph, which is not emulated", name);
    return ncclInvalidUsage;
  }
  if (operation.call.operation != ncclSum) {
    report("%s: operation %d is not emulated", name, operation.call.operation);
    return ncclInvalidArgument;
  }
  if (operation.call.type < ncclFloat16 || operation.call.type > ncclBfloat16) {
    report("%s: type %d is not emulated", name, operation.call.type);
    return ncclInvalidArgument;
  }
  if (operation.call.root < 0 || operation.call.root >= operation.communicator->ranks) {
    report("%s: root %d is none of %d ranks", name, operation.call.root, operation.communicator->ranks);
    return ncclInvalidArgument;
  }
  if (!check_memory(operation)) return ncclInvalidArgument;
  group.push_back(operation);
  return open_groups > 0 ? ncclSuccess : submit_group();
}

Operation operation_of(Kind kind, const void* send, void* receive, std::size_t count, ncclDataType_t type,
                       ncclRedOp_t operation, int root, ncclComm_t communicator, cudaStream_t stream) {
  return {{kind, type, operation, root, count, 0, 0}, send, receive, communicator, stream};
}

void release(ncclComm* communicator) {
  communicators.erase(communicator);
  munmap(communicator->shared, sizeof(Shared));
  delete communicator;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> made = 0;
  *id = {};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::snprintf(id->internal, sizeof id->internal, "/cria_nccl_%d_%d_%llx", static_cast<int>(getpid()),
                ++made, static_cast<unsigned long long>(now));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* result, int ranks, ncclUniqueId id, int rank) {
  const RuntimeLock lock;
  *result = nullptr;
  if (standing_error()) return ncclUnhandledCudaError;
  if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks) {
    report("ncclCommInitRank: rank %d of %d ranks", rank, ranks);
    return ncclInvalidArgument;
  }
  if (std::strncmp(id.internal, "/cria_nccl_", 11) != 0) {
    report("ncclCommInitRank: the id is none of ncclGetUniqueId");
    return ncclInvalidArgument;
  }
  const int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared)) != 0) {
    std::perror("cuda_emulation: memory that ranks of NCCL share");
    return ncclSystemError;
  }
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return ncclSystemError;
  auto* communicator = new ncclComm{static_cast<Shared*>(memory), rank, ranks};
  communicators.insert(communicator);
  Shared& shared = *communicator->shared;
  shared.processes[rank] = getpid();
  shared.ranks[rank] = ranks;
  int device = 0;
  cudaGetDevice(&device);
  shared.devices[rank] = device;
  const bool all_are_there = communicator->meet();
  if (rank == 0) shm_unlink(id.internal);
  ncclResult_t status = all_are_there ? ncclSuccess : ncclRemoteError;
  for (int other = 0; all_are_there && other < ranks; ++other) {
    if (shared.ranks[other] != ranks) {
      report("ncclCommInitRank: %d ranks, and rank %d says %d", ranks, other, shared.ranks[other]);
      status = ncclInvalidArgument;
    } else if (other != rank && shared.devices[other] == device) {
      report("ncclCommInitRank: ranks %d and %d are both on device %d", rank, other, device);
      status = ncclInvalidUsage;
    }
  }
  if (status != ncclSuccess) {
    release(communicator);
    return status;
  }
  *result = communicator;
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  const RuntimeLock lock;
  if (!communicators.contains(communicator)) return ncclInvalidArgument;
  if (open_groups > 0) {
    report("ncclCommDestroy: inside of a group");
    return ncclInvalidUsage;
  }
  finish_all_streams();
  release(communicator);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  const RuntimeLock lock;
  if (!communicators.contains(communicator)) return ncclInvalidArgument;
  communicator->shared->aborted = 1;
  release(communicator);
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* error) {
  const RuntimeLock lock;
  if (!communicators.contains(communicator)) return ncclInvalidArgument;
  *error = communicator->error;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

ncclResult_t ncclReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                        ncclRedOp_t operation, int root, ncclComm_t communicator, cudaStream_t stream) {
  return add_to_group(
      operation_of(Kind::reduce, send, receive, count, type, operation, root, communicator, stream));
}

ncclResult_t ncclBroadcast(const void* send, void* receive, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t communicator, cudaStream_t stream) {
  return add_to_group(
      operation_of(Kind::broadcast, send, receive, count, type, ncclSum, root, communicator, stream));
}

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  return add_to_group(
      operation_of(Kind::all_reduce, send, receive, count, type, operation, 0, communicator, stream));
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  return add_to_group(
      operation_of(Kind::reduce_scatter, send, receive, count, type, operation, 0, communicator, stream));
}

ncclResult_t ncclAllGather(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclComm_t communicator, cudaStream_t stream) {
  return add_to_group(
      operation_of(Kind::all_gather, send, receive, count, type, ncclSum, 0, communicator, stream));
}

ncclResult_t ncclGroupStart() {
  const RuntimeLock lock;
  ++open_groups;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  const RuntimeLock lock;
  if (open_groups == 0) {
    report("ncclGroupEnd: without ncclGroupStart");
    return ncclInvalidUsage;
  }
  return --open_groups > 0 ? ncclSuccess : submit_group();
}

}  // extern "C"
