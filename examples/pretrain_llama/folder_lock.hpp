#pragma once
/// A folder that one process works in at a time.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"

namespace pretrain {

/// While one of these lives, no other process gets one for the same folder. The system gives the lock back
/// when its process ends, however it does. The folder's file .lock names the process.
class FolderLock {
 public:
  /// Creates the folder if it is missing. Throws cria::FileError, naming the other process, if that works in
  /// the folder.
  explicit FolderLock(const std::filesystem::path& folder) {
    cria::io::create_folder(folder);
    const std::string path = (folder / ".lock").string();
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0)
      throw cria::FileError(path, std::string("cannot be opened: ") + std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const std::string other = error == EWOULDBLOCK ? cria::io::read_file(path) : "";
      ::close(std::exchange(descriptor_, -1));
      if (error != EWOULDBLOCK)
        throw cria::FileError(path, std::string("cannot be locked: ") + std::strerror(error));
      throw cria::FileError(folder.string(), "another run works in this folder: " + other +
                                                 "; wait until it has ended, or choose another folder");
    }
    char host[256] = "";
    ::gethostname(host, sizeof(host) - 1);
    const std::string own = "process " + std::to_string(::getpid()) + " on " + host;
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::write(descriptor_, own.data(), own.size()) != static_cast<ssize_t>(own.size())) {
      ::close(std::exchange(descriptor_, -1));
      throw cria::FileError(path, "cannot be written");
    }
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

 private:
  int descriptor_ = -1;
};

}  // namespace pretrain
