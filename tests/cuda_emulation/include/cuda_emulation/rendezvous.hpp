#pragma once
/// The one primitive that everything warp-wide is made of: shuffles, votes, __syncwarp, matrix instructions.

#include "cuda_emulation/site.hpp"

namespace cuda_emulation {

enum class WarpOperation : unsigned char { synchronize, shuffle, vote, matrix };

/// Computes what the lanes of `mask` get from each other, once, when the last of them has arrived.
/// messages[lane] is what that lane passed to warp_rendezvous; lanes outside `mask` have no valid message.
using Combine = void (*)(void* const messages[32], unsigned mask);

/// Suspends the calling lane until all lanes of `mask` have come; the last to come runs `combine` over their
/// messages. Only WarpOperation::synchronize orders memory accesses between the lanes (for the checker).
/// Reports: the caller is not in its mask, masks overlap, lanes are in different operations, lanes have
/// exited.
void warp_rendezvous(WarpOperation operation, unsigned mask, void* message, Combine combine, Site site);

/// The caller's lane, 0 to 31.
unsigned lane_id();

/// The lanes of the caller's warp that exist and have not exited.
unsigned running_lanes();

/// A bug of the running kernel that an emulated instruction noticed; its block is given up.
[[noreturn]] void kernel_error(const char* message, Site site);

}  // namespace cuda_emulation
