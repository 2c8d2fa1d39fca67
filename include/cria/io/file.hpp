#pragma once
/// Files on a POSIX system: whole reads, buffered writes that reach the disk, read-only mappings, checksums.
/// Every failure is a FileError whose sentence ends in the system's own words, e.g.
/// "out/ckpt.partial/model.safetensors: cannot be written: No space left on device".

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"

namespace cria::io {

namespace detail {

/// Throws FileError "<path>: <what>: <the system's words for `error`>".
[[noreturn]] inline void fail(const std::filesystem::path& path, const std::string& what, int error) {
  throw FileError(path.string(), what + ": " + std::generic_category().message(error));
}

/// Calls a system function again for as long as a signal interrupts it.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Owns an open file descriptor.
class FileDescriptor {
 public:
  /// Throws FileError "<path>: <what>: ..." when the file cannot be opened.
  FileDescriptor(const std::filesystem::path& path, int flags, const std::string& what)
      : number_(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); })) {
    if (number_ < 0) fail(path, what, errno);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (is_open()) ::close(number_);
  }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

  /// Closes and returns 0 or the error. Linux closes the descriptor even when a signal interrupts it.
  int close() {
    const int result = ::close(std::exchange(number_, -1));
    return result < 0 && errno != EINTR ? errno : 0;
  }

 private:
  int number_;
};

/// Reads a file once, from its start, and hands each piece to `use`.
template <class Use>
void for_each_chunk(const std::filesystem::path& path, Use use) {
  const FileDescriptor file(path, O_RDONLY, "cannot be opened");
  std::vector<std::byte> chunk(std::size_t{1} << 20);
  while (true) {
    const ssize_t count = retry([&] { return ::read(file.number(), chunk.data(), chunk.size()); });
    if (count < 0) fail(path, "cannot be read", errno);
    if (count == 0) return;
    use(std::span<const std::byte>(chunk.data(), static_cast<std::size_t>(count)));
  }
}

/// Removes a file or a folder with all that is in it, if it exists.
inline void remove_tree(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  // Below something that is no folder there is nothing to remove.
  if (error && error != std::errc::not_a_directory) fail(path, "cannot be removed", error.value());
}

/// The folder that `path` lies in; "." for a bare name.
inline std::filesystem::path parent_folder(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace detail

/// CRC-32 (the polynomial of zlib and PNG) of `bytes`. Pass the result for the first part of some data as
/// `start` to go on with the next part.
inline std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t start = 0) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  return data == nullptr ? start : static_cast<std::uint32_t>(::crc32_z(start, data, bytes.size()));
}

/// A checksum as eight hexadecimal digits.
inline std::string hexadecimal(std::uint32_t checksum) {
  std::array<char, 9> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", static_cast<unsigned>(checksum));
  return digits.data();
}

/// Forces the contents of the file at `path` to the disk. Throws FileError.
inline void sync_file(const std::filesystem::path& path) {
  const detail::FileDescriptor file(path, O_RDONLY, "cannot be opened");
  if (detail::retry([&] { return ::fsync(file.number()); }) < 0)
    detail::fail(path, "cannot be written", errno);
}

/// Makes a folder and those above it, unless it exists. Throws FileError.
inline void create_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path))
    error = std::make_error_code(std::errc::not_a_directory);
  if (!error && ::access(path.c_str(), W_OK) != 0) error = std::error_code(errno, std::generic_category());
  if (error) throw FileError(path.string(), "cannot be used as a folder to write to: " + error.message());
}

/// Forces the entries of a folder to the disk: files that were created, renamed and removed. Throws
/// FileError.
inline void sync_directory(const std::filesystem::path& path) {
  const detail::FileDescriptor folder(path, O_RDONLY | O_DIRECTORY, "cannot be opened");
  if (detail::retry([&] { return ::fsync(folder.number()); }) < 0)
    detail::fail(path, "cannot be written", errno);
}

/// Renames `from` to `to`, replacing a file or an empty folder there, and waits until the disk knows. Both
/// lie in one folder. Throws FileError.
inline void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) < 0)
    detail::fail(from, "cannot be renamed to " + to.string(), errno);
  sync_directory(detail::parent_folder(to));
}

/// A file that is written from start to end. Call close() when done: only it reports that the last bytes did
/// not fit. The destructor closes too, but silently, for the way out when something else has failed.
class OutputFile {
 public:
  enum class Mode { truncate, append };

  /// Creates the file; an existing one is emptied, or kept and continued at its end. Throws FileError.
  explicit OutputFile(std::filesystem::path path, Mode mode = Mode::truncate)
      : path_(std::move(path)),
        file_(path_, O_WRONLY | O_CREAT | (mode == Mode::append ? O_APPEND : O_TRUNC), "cannot be written") {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    try {
      if (file_.is_open()) flush();
    } catch (const FileError&) {
    }
  }

  /// Throws FileError, as do all below, when the system cannot take the bytes: no space, file too large, I/O
  /// error.
  void write(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > buffer_size) flush();
    if (bytes.size() >= buffer_size) {
      write_now(bytes);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Hands the buffered bytes to the system: they survive the process, not a power failure.
  void flush() {
    // Emptied first: after a failure the destructor must not write these bytes again.
    const std::vector<std::byte> pending = std::exchange(buffer_, {});
    write_now(pending);
  }

  /// Forces all bytes written so far to the disk.
  void sync() {
    flush();
    if (detail::retry([&] { return ::fsync(file_.number()); }) < 0) fail(errno);
  }

  void close() {
    flush();
    if (const int error = file_.close(); error != 0) fail(error);
  }

 private:
  static constexpr std::size_t buffer_size = std::size_t{1} << 16;

  [[noreturn]] void fail(int error) const { detail::fail(path_, "cannot be written", error); }

  void write_now(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count =
          detail::retry([&] { return ::write(file_.number(), bytes.data(), bytes.size()); });
      if (count < 0) fail(errno);
      if (count == 0) fail(EIO);  // a device that takes nothing and gives no reason
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  std::filesystem::path path_;
  detail::FileDescriptor file_;
  std::vector<std::byte> buffer_;
};

/// A whole file mapped into memory, read only. An empty file has no bytes.
class MappedFile {
 public:
  /// Throws FileError for a missing or unreadable file and for what is not a regular file.
  explicit MappedFile(const std::filesystem::path& path) {
    // O_NONBLOCK: opening a named pipe must not wait for its writer.
    const detail::FileDescriptor file(path, O_RDONLY | O_NONBLOCK, "cannot be opened");
    struct stat status {};
    if (::fstat(file.number(), &status) < 0) detail::fail(path, "cannot be read", errno);
    if (S_ISDIR(status.st_mode)) throw FileError(path.string(), "is a folder, not a file");
    if (!S_ISREG(status.st_mode)) throw FileError(path.string(), "is not a regular file");
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;  // the system refuses to map nothing
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number(), 0);
    if (address == MAP_FAILED) detail::fail(path, "cannot be mapped into memory", errno);
    data_ = static_cast<const std::byte*>(address);
  }
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  /// The bytes, valid for the lifetime of the mapping, also after it is moved.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The contents of the file at `path`. Throws FileError.
inline std::string read_file(const std::filesystem::path& path) {
  std::string contents;
  detail::for_each_chunk(path, [&](std::span<const std::byte> chunk) {
    contents.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
  });
  return contents;
}

/// Replaces the file at `path` by one that `write(OutputFile&)` fills, all or nothing: whatever happens, the
/// old file or the new one is there. A link stays, and the file that it names is replaced. Throws FileError,
/// also for a device or a pipe, and what `write` throws; then the old file is intact.
template <class Write>
void replace_file(const std::filesystem::path& path_or_link, Write write) {
  std::error_code unknown;
  const bool is_link =
      std::filesystem::is_symlink(path_or_link, unknown) && std::filesystem::exists(path_or_link, unknown);
  const std::filesystem::path path =
      is_link ? std::filesystem::canonical(path_or_link, unknown) : path_or_link;
  if (std::filesystem::is_other(path, unknown)) {
    throw FileError(path.string(), "is a device or a pipe; only a file can be replaced");
  }
  std::filesystem::path partial = path;
  partial += ".partial";
  try {
    OutputFile file(partial);
    write(file);
    file.sync();
    file.close();
    rename_durably(partial, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw;
  }
}

/// The same for a file that holds `contents`.
inline void write_file(const std::filesystem::path& path, std::string_view contents) {
  replace_file(path, [&](OutputFile& file) { file.write(contents); });
}

}  // namespace cria::io
