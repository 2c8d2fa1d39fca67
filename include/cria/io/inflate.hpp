#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "cria/core/error.hpp"

namespace cria::io {

/// What stands around deflated data (RFC 1951): nothing, or the head and checksum of gzip (RFC 1952).
enum class Deflated { raw, gzip };

/// The bytes that were compressed. Throws FileError, about `path`, for damaged data, for bytes behind its
/// end, and for more than `limit` bytes.
inline std::vector<std::byte> inflate(std::span<const std::byte> compressed, Deflated format,
                                      const std::string& path,
                                      std::size_t limit = std::numeric_limits<std::size_t>::max()) {
  constexpr std::size_t largest_piece = std::size_t{1} << 30;  // zlib counts pieces in 32 bits
  constexpr int window_bits = 15, with_gzip = 16;
  z_stream stream{};
  if (::inflateInit2(&stream, format == Deflated::raw ? -window_bits : window_bits + with_gzip) != Z_OK)
    throw FileError(path, "cannot be decompressed: " + std::string(stream.msg ? stream.msg : "no memory"));
  const struct End {
    z_stream& stream;
    ~End() { ::inflateEnd(&stream); }
  } end{stream};

  std::vector<std::byte> result(4 * compressed.size() + 64);
  std::size_t size = 0;
  std::span<const std::byte> rest = compressed;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (size == result.size()) result.resize(2 * size);
    const std::size_t in = std::min(rest.size(), largest_piece);
    const std::size_t out = std::min(result.size() - size, largest_piece);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(rest.data()));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(result.data() + size);
    stream.avail_out = static_cast<uInt>(out);
    status = ::inflate(&stream, Z_NO_FLUSH);
    rest = rest.subspan(in - stream.avail_in);
    size += out - stream.avail_out;
    if (size > limit) {
      throw FileError(path, "its compressed data holds more than the " + std::to_string(limit) +
                                " bytes that were promised");
    }
    if (status == Z_BUF_ERROR) throw FileError(path, "its compressed data ends too soon");
    if (status != Z_OK && status != Z_STREAM_END) throw FileError(path, "its compressed data is damaged");
  }
  if (!rest.empty()) {
    throw FileError(path,
                    "has " + std::to_string(rest.size()) + " bytes behind the end of its compressed data");
  }
  result.resize(size);
  return result;
}

}  // namespace cria::io
