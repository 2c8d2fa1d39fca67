#pragma once
/// How surprising a trained model finds what is written.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model_folder.hpp"

namespace pretrain {

/// Tokens, the last `counted` of which a model predicts, each from all those before it.
struct Passage {
  std::span<const std::int32_t> tokens;
  std::int64_t counted;  // at least 1, and less than all
};

/// A model, whatever its dtype and its device.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// Of each passage -ln(probability of its counted tokens together), in nats; all at once, so that they
  /// take as much memory as they have tokens.
  virtual std::vector<double> nats(std::span<const Passage> passages) const = 0;
};

/// The model in `folder` on a device. Throws cria::FileError, and cria::BackendError if there is no such
/// device.
std::unique_ptr<Scorer> scorer(const ModelFolder& folder, const std::string& device);

/// The nats of all passages, in batches of passages that are about as long; says how far it is. Throws
/// std::runtime_error if they are no finite numbers.
std::vector<double> nats_in_batches(const Scorer& scorer, std::span<const Passage> passages);

}  // namespace pretrain
