#pragma once
/// kernel<Op, Backend>: how one backend computes one operation, forward and backward in one specialisation.
///
/// The contract of a kernel:
/// - It gets views, never tensors, and trusts them: shapes were checked by the operation (ops/).
/// - forward overwrites its outputs.
/// - backward ADDS into the gradients it is given, or overwrites those that are fresh (core/view.hpp); an
/// empty view
///   means "not wanted, skip". Gradient accumulation and shared weights then need no code of their own.
/// - Two gradients are the same memory where an operation got the same tensor twice. They come in the order
/// of the
///   inputs and only the first is fresh, so a kernel writes an element of the first before it adds to that of
///   the second.
/// - Sums and intermediate results are kept in acc_t<T>; parameter gradients come as views of acc_t<T>.
/// - Results do not depend on timing: no unordered floating-point atomics.

#include "cria/core/view.hpp"

namespace cria {

template <class Op, class Backend>
struct kernel;

namespace detail {
template <class Op, class Backend>
concept HasKernel = requires {
  sizeof(kernel<Op, Backend>);
};

template <class Op, class Backend>
struct find_kernel {
  static_assert(
      HasKernel<Op, Backend>,
      "this operation has no kernel for this backend: add include/cria/backend/<backend>/<operation>");
  using type = kernel<Op, Backend>;
};
}  // namespace detail

/// The kernel of Op on Backend; a sentence from the compiler if there is none.
template <class Op, class Backend>
using kernel_for = typename detail::find_kernel<Op, Backend>::type;

}  // namespace cria
