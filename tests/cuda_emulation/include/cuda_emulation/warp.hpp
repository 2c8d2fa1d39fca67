#pragma once
/// Shuffles, votes and __syncwarp.

#include <cstring>
#include <type_traits>

#include "cuda_emulation/rendezvous.hpp"

namespace cuda_emulation {

template <class T>
struct ShuffleMessage {
  T value, result;
  int source;
};

template <class T>
T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 32 or 64 bits");
  ShuffleMessage<T> message{value, value, source};
  const auto combine = [](void* const messages[32], unsigned lanes) {
    for (int lane = 0; lane < 32; ++lane) {
      if (!(lanes >> lane & 1)) continue;
      auto& to = *static_cast<ShuffleMessage<T>*>(messages[lane]);
      // Reading from a lane that does not take part is undefined: all bits set is a NaN.
      if (lanes >> to.source & 1)
        to.result = static_cast<ShuffleMessage<T>*>(messages[to.source])->value;
      else
        std::memset(static_cast<void*>(&to.result), 0xFF, sizeof(T));
    }
  };
  warp_rendezvous(WarpOperation::shuffle, mask, &message, combine, site);
  return message.result;
}

struct VoteMessage {
  unsigned vote, result;
};

inline unsigned ballot(unsigned mask, bool vote, Site site) {
  VoteMessage message{vote, 0};
  const auto combine = [](void* const messages[32], unsigned lanes) {
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane)
      if (lanes >> lane & 1) result |= static_cast<VoteMessage*>(messages[lane])->vote << lane;
    for (int lane = 0; lane < 32; ++lane)
      if (lanes >> lane & 1) static_cast<VoteMessage*>(messages[lane])->result = result;
  };
  warp_rendezvous(WarpOperation::vote, mask, &message, combine, site);
  return message.result;
}

}  // namespace cuda_emulation

inline void __syncwarp(unsigned mask = 0xFFFFFFFFu,
                       cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const auto nothing = [](void* const[32], unsigned) {};
  cuda_emulation::warp_rendezvous(cuda_emulation::WarpOperation::synchronize, mask, nullptr, nothing, site);
}

/// Shuffles work in segments of `width` lanes; a lane whose source is outside its segment keeps its own
/// value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const int lane = static_cast<int>(cuda_emulation::lane_id());
  return cuda_emulation::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const int lane = static_cast<int>(cuda_emulation::lane_id());
  const int source = lane ^ bits;
  return cuda_emulation::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const int lane = static_cast<int>(cuda_emulation::lane_id());
  const int source = lane + static_cast<int>(distance);
  return cuda_emulation::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const int lane = static_cast<int>(cuda_emulation::lane_id());
  const int source = lane - static_cast<int>(distance);
  return cuda_emulation::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate,
                      cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::ballot(mask, predicate == 0, site) == 0;
}
/// On a device this is the set of lanes that happen to run together; only that it contains the caller can be
/// relied on. Here it is all lanes that have not exited.
inline unsigned __activemask() {
  return cuda_emulation::running_lanes();
}
