#pragma once
/// Tokens and targets that are out of range. A kernel cannot throw and the host does not wait for it, so the
/// kernel leaves a note in device memory, which the host reads when it waits for the stream anyway.

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cria/backend/cuda/device.hpp"
#include "cria/core/check.hpp"

namespace cria::cuda {

/// The first index that was out of range since the last note was read.
struct IndexError {
  enum Kind : std::int32_t {
    none,
    gather_index,
    embedding_token,
    cross_entropy_target,
    linear_cross_entropy_target
  };

  Kind kind;
  std::int32_t value;
  std::int32_t ignored;
  std::int64_t position;
  std::int64_t bound;
  const char* op;  // of a gather; on the host
};

/// Where kernels leave their notes, a place for each stream, and when to look at which: threads that work on
/// streams of their own get the errors of their own kernels.
class IndexErrorNotes {
 public:
  /// The note in device memory, for a kernel that is about to be launched on this thread's stream.
  IndexError* for_kernel() { return expect_from(stream()); }

  /// The note of kernels that were launched on `origin`, which are about to run on this thread's stream.
  IndexError* expect_from(cudaStream_t origin) {
    const std::lock_guard lock(mutex_);
    IndexError*& note = of_streams_[origin].note;
    if (!note) note = make();
    std::vector<IndexError*>& unread = of_streams_[stream()].unread;
    if (std::find(unread.begin(), unread.end(), note) == unread.end()) unread.push_back(note);
    return note;
  }

  /// Waits for this thread's stream. Throws ShapeError if a kernel left a note there, and clears that.
  void synchronize(Place place) {
    const std::vector<IndexError*> unread = take_unread();
    std::vector<IndexError> errors(unread.size());
    for (std::size_t i = 0; i < unread.size(); ++i) {
      check("cudaMemcpyAsync",
            cudaMemcpyAsync(&errors[i], unread[i], sizeof(IndexError), cudaMemcpyDeviceToHost, stream()),
            place);
    }
    check("cudaStreamSynchronize", cudaStreamSynchronize(stream()), place);
    const IndexError* first = nullptr;
    for (std::size_t i = 0; i < unread.size(); ++i) {
      if (errors[i].kind == IndexError::none) continue;
      clear(unread[i]);
      if (!first) first = &errors[i];
    }
    if (first) fail(*first);
  }

  /// The process's notes. Never destroyed, as the allocator is not.
  CRIA_SHARED static IndexErrorNotes& instance() {
    static auto* instance = new IndexErrorNotes;
    return *instance;
  }

 private:
  struct OfStream {
    IndexError* note = nullptr;
    std::vector<IndexError*> unread;  // that kernels on the stream may have written since it was waited for
  };

  IndexErrorNotes() = default;

  static IndexError* make() {
    device();
    void* note = nullptr;
    check("cudaMalloc", cudaMalloc(&note, sizeof(IndexError)));
    clear(static_cast<IndexError*>(note));
    return static_cast<IndexError*>(note);
  }
  static void clear(IndexError* note) {
    check("cudaMemsetAsync", cudaMemsetAsync(note, 0, sizeof(IndexError), stream()));
  }
  [[noreturn]] static void fail(const IndexError& error) {
    if (error.kind == IndexError::gather_index) {
      cria::check::fail_index(error.op, error.position, error.value, error.bound);
    }
    if (error.kind == IndexError::embedding_token) {
      cria::check::fail_token("embedding", error.position, error.value, error.bound);
    }
    cria::check::fail_target(
        error.kind == IndexError::cross_entropy_target ? "cross_entropy" : "linear_cross_entropy",
        error.position, error.value, error.bound, error.ignored);
  }
  std::vector<IndexError*> take_unread() {
    const std::lock_guard lock(mutex_);
    return std::exchange(of_streams_[stream()].unread, {});
  }

  std::mutex mutex_;
  std::map<cudaStream_t, OfStream> of_streams_;
};

}  // namespace cria::cuda
