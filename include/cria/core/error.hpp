#pragma once
/// What cria throws. Every message is one sentence that says what was wrong and what is allowed.

#include <stdexcept>
#include <string>

#include "cria/core/config.hpp"

namespace cria {

/// Shapes or sizes of arguments do not fit together.
class CRIA_SHARED ShapeError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A configuration value (an option, a field of a model's config) is not allowed.
class CRIA_SHARED ConfigError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A file is missing, cannot be written, or does not hold what its format promises.
class CRIA_SHARED FileError : public std::runtime_error {
 public:
  FileError(const std::string& path, const std::string& problem)
      : std::runtime_error(path + ": " + problem) {}
};

/// A compute backend refused a call.
class CRIA_SHARED BackendError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The autograd graph was asked for something that it cannot give.
class CRIA_SHARED AutogradError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace cria
