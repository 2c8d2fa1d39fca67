#pragma once
/// A folder that one process works in at a time.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"

namespace pretrain {

/// While one of these lives, no other process gets one for the same folder. The system gives the lock back
/// when its process ends, however it does. Meanwhile the folder's file .lock names the process.
class FolderLock {
 public:
  /// Creates the folder if it is missing. Throws cria::FileError, naming the other process, if that works in
  /// the folder.
  explicit FolderLock(const std::filesystem::path& folder) : file_(folder / ".lock") {
    std::error_code ignored;
    for (auto path = folder; !path.empty() && !std::filesystem::exists(path, ignored);
         path = path.parent_path()) {
      created_.push_back(path);
    }
    cria::io::create_folder(folder);
    do {  // again if its owner has just removed the file
      close();
      descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (descriptor_ < 0) fail("cannot be opened", errno);
      if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) fail("cannot be locked", errno);
        std::array<char, 512> other{};
        [[maybe_unused]] const ssize_t size = ::pread(descriptor_, other.data(), other.size() - 1, 0);
        close();
        throw cria::FileError(folder.string(), std::string("another run works in this folder: ") +
                                                   other.data() +
                                                   "; wait until it has ended, or choose another folder");
      }
    } while (!is_in_place());
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    const std::string own = "process " + std::to_string(::getpid()) + " on " + host.data();
    if (::ftruncate(descriptor_, 0) != 0 || ::write(descriptor_, own.data(), own.size()) < 0) {
      fail("cannot be written", errno);
    }
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  /// Leaves nothing of the lock, and no folder that was made for it and is still empty.
  ~FolderLock() {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
    close();
    for (const auto& path : created_) std::filesystem::remove(path, ignored);
  }

 private:
  /// Whether what is locked is still the file of that name.
  bool is_in_place() const {
    struct stat locked {
    }, named{};
    return ::fstat(descriptor_, &locked) == 0 && ::stat(file_.c_str(), &named) == 0 &&
           locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
  }

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

  [[noreturn]] void fail(const char* problem, int error) {
    close();
    throw cria::FileError(file_.string(), std::string(problem) + ": " + std::strerror(error));
  }

  std::filesystem::path file_;
  std::vector<std::filesystem::path> created_;  // folders that were not there before, the deepest first
  int descriptor_ = -1;
};

}  // namespace pretrain
