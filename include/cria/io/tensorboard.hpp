#pragma once
/// Event files, which TensorBoard shows: curves of numbers, and texts, by step.
///
/// A file is a sequence of records (TFRecord): the length of the data as 8 bytes and a checksum of them, the
/// data and a checksum of it, all little-endian. The data is a message Event of protocol buffers
/// (tensorboard/compat/proto/event.proto), of which this writes the few fields that it needs.

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/io/file.hpp"

namespace cria::io {

/// CRC-32C of `bytes` (Castagnoli's polynomial, as iSCSI has it).
inline std::uint32_t crc32c(std::span<const std::byte> bytes) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> remainders{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      remainders[i] = i;
      for (int bit = 0; bit < 8; ++bit) {
        remainders[i] = (remainders[i] >> 1) ^ (remainders[i] % 2 == 1 ? 0x82f63b78u : 0u);
      }
    }
    return remainders;
  }();
  std::uint32_t crc = ~0u;
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<std::uint32_t>(byte)) & 255];
  return ~crc;
}

namespace detail {

/// The bytes of an unsigned number, the lowest first.
template <class Unsigned>
std::string little_endian(Unsigned value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(value); ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
  return bytes;
}

/// A message of protocol buffers that is put together field by field.
class Message {
 public:
  Message& integer(unsigned field, std::uint64_t value) {
    varint(field << 3 | 0);
    varint(value);
    return *this;
  }
  Message& number(unsigned field, double value) {
    varint(field << 3 | 1);
    bytes_ += little_endian(std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  Message& number(unsigned field, float value) {
    varint(field << 3 | 5);
    bytes_ += little_endian(std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  Message& text(unsigned field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(unsigned field, const Message& value) { return text(field, value.bytes_); }

  const std::string& bytes() const { return bytes_; }

 private:
  /// Seven bits a byte, the lowest first; the eighth says that more follow.
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value % 128 + 128);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace detail

/// Writes an event file of its own into a folder, which may hold others. `tensorboard --logdir=FOLDER` shows
/// all of them together as one run.
class TensorBoardLog {
 public:
  /// Begins a file, and makes the folder if there is none. What files that are there already say of
  /// `first_step` and of steps after it is not shown any more: a run that goes on writes it again. Throws
  /// FileError.
  explicit TensorBoardLog(const std::filesystem::path& folder, std::int64_t first_step = 0)
      : path_(new_path(folder)), file_(path_) {
    write(event().text(file_version, "brain.Event:2"));
    restart(first_step);
  }

  /// Points of curves, {name, value} each, at one step; TensorBoard keeps them as float. Hands them to the
  /// system at once, as all below do. Throws FileError, as all below do.
  void scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
    detail::Message summary;
    for (const auto& [tag, value] : values) {
      summary.message(1, detail::Message().text(1, tag).number(2, static_cast<float>(value)));
    }
    write(event(step).message(summary_field, summary));
  }

  /// A text in UTF-8, which TensorBoard reads as Markdown.
  void text(std::int64_t step, std::string_view tag, std::string_view text) {
    constexpr std::uint64_t strings = 7;  // the dtype of a tensor
    const auto shape = detail::Message().message(2, detail::Message().integer(1, 1));  // [1]
    const auto tensor = detail::Message().integer(1, strings).message(2, shape).text(8, text);
    const auto metadata = detail::Message().message(1, detail::Message().text(1, "text"));
    const auto value = detail::Message().text(1, tag).message(8, tensor).message(9, metadata);
    write(event(step).message(summary_field, detail::Message().message(1, value)));
  }

  /// From `step` on everything is written again: what was written of it before is not shown any more.
  void restart(std::int64_t step) {
    constexpr std::uint64_t start = 1;
    write(event(step).message(session_log, detail::Message().integer(1, start)));
  }

  /// The event file.
  const std::filesystem::path& path() const { return path_; }

 private:
  static constexpr unsigned file_version = 3, summary_field = 5, session_log = 7;  // fields of an Event

  /// events.out.tfevents.SECONDS.HOST.PROCESS.NUMBER: TensorBoard reads files in the order of their names.
  static std::filesystem::path new_path(const std::filesystem::path& folder) {
    static std::atomic<int> number = 0;
    create_folder(folder);
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
    return folder / ("events.out.tfevents." + std::to_string(static_cast<std::int64_t>(seconds())) + "." +
                     host.data() + "." + std::to_string(::getpid()) + "." + std::to_string(number++));
  }

  static double seconds() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  /// An Event of this moment. As everywhere in protocol buffers, 0 is not written.
  static detail::Message event(std::int64_t step = 0) {
    auto made = detail::Message().number(1, seconds());
    if (step != 0) made.integer(2, static_cast<std::uint64_t>(step));
    return made;
  }

  void write(const detail::Message& event) {
    const std::string& data = event.bytes();
    const std::string length = detail::little_endian(std::uint64_t{data.size()});
    file_.write(length + masked_checksum(length) + data + masked_checksum(data));
    file_.flush();
  }

  /// Checksums of data that holds checksums are better not the same, so TFRecord turns them.
  static std::string masked_checksum(const std::string& data) {
    const std::uint32_t crc = crc32c(std::as_bytes(std::span(data)));
    return detail::little_endian(std::rotr(crc, 15) + 0xa282ead8u);
  }

  std::filesystem::path path_;
  OutputFile file_;
};

}  // namespace cria::io
