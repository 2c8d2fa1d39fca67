#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/core/tensor.hpp"

namespace cria {

/// A tensor by name, without its dtype and backend in the type: what is saved and loaded.
struct NamedTensor {
  std::string name;
  std::string_view dtype;  // dtype_name<T>
  Shape shape;
  std::function<std::vector<std::byte>()> read;           // the elements, copied to the host
  std::function<void(std::span<const std::byte>)> write;  // overwrites the elements
};

/// A handle on `tensor`'s memory under a name.
template <class T, class B>
NamedTensor named_tensor(std::string name, Tensor<T, B> tensor) {
  static_assert(!dtype_name<T>.empty(), "tensors of this element type cannot be saved; see dtype_name");
  return {std::move(name), dtype_name<T>, tensor.shape(),
          [tensor] {
            std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.size()) * sizeof(T));
            B::copy_to_host(bytes.data(), tensor.vec().data, bytes.size());
            return bytes;
          },
          [tensor](std::span<const std::byte> bytes) mutable {
            B::copy_from_host(tensor.mutable_vec().data, bytes.data(), bytes.size());
          }};
}

}  // namespace cria
