#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/tensor.hpp"
#include "cria/io/array.hpp"
#include "cria/io/file.hpp"
#include "cria/io/inflate.hpp"

namespace cria::io {

namespace detail {

/// Dtypes by their codes; empty for a code that the format does not have.
inline constexpr std::array<std::string_view, 15> idx_dtypes{
    "", "", "", "", "", "", "", "", "uint8", "int8", "", "int16", "int32", "float32", "float64"};

/// The array in an IDX file with these bytes. Throws FileError, about `path`, for what is no such file.
inline ArrayView parse_idx(std::span<const std::byte> file, const std::string& path) {
  constexpr std::size_t begin = 4;  // 0, 0, the code of a type, the number of dimensions
  if (file.size() < begin || file[0] != std::byte{0} || file[1] != std::byte{0})
    throw FileError(path,
                    "is no IDX file, which begins with two bytes of 0, a type and a number of dimensions");

  ArrayView array;
  const auto code = std::to_integer<std::size_t>(file[2]);
  if (code >= idx_dtypes.size() || idx_dtypes[code].empty()) {
    throw FileError(path, "its type has the code " + std::to_string(code) +
                              "; 8 (uint8), 9 (int8), 11 (int16), 12 (int32), 13 (float32) and 14 (float64) "
                              "are allowed");
  }
  array.dtype = idx_dtypes[code];
  const auto rank = std::to_integer<std::size_t>(file[3]);
  if (file.size() - begin < 4 * rank) throw FileError(path, "ends in its dimensions");
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < rank; ++i)
    dims.push_back(load_element<std::uint32_t>(file.data() + begin + 4 * i, std::endian::big));
  try {
    array.shape = Shape(dims);
  } catch (const ShapeError& error) {
    throw FileError(path, error.what());
  }
  array.bytes = file.subspan(begin + 4 * rank);
  array.order = std::endian::big;
  return array;
}

}  // namespace detail

/// The array in an IDX file, the format of MNIST (http://yann.lecun.com/exdb/mnist), also one that gzip has
/// compressed. Elements become those of the tensor as to_tensor says. Throws FileError.
template <class T>
Tensor<T, Cpu> read_idx(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::span<const std::byte> bytes = file.bytes();
  std::vector<std::byte> inflated;
  if (bytes.size() >= 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B}) {
    inflated = inflate(bytes, Deflated::gzip, path.string());
    bytes = inflated;
  }
  return to_tensor<T>(detail::parse_idx(bytes, path.string()), path.string());
}

}  // namespace cria::io
