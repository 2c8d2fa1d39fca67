#pragma once
/// A trained model that says what may come next in several texts at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model_folder.hpp"

namespace pretrain {

/// Scores of the next token: of one text after the other, each of the whole vocabulary.
using Scores = std::vector<float>;

/// A model, whatever its dtype and its device. What a text's scores are, to the last bit on a CPU, depends on
/// its own tokens and in which pieces they were read, never on what other texts there are.
class TextModel {
 public:
  /// What is kept of a text that has been read: keys and values of its tokens.
  class Memory {
   public:
    virtual ~Memory() = default;
    /// Tokens that it holds.
    virtual std::int64_t length() const = 0;
    /// Forgets all of them.
    virtual void clear() = 0;
  };

  virtual ~TextModel() = default;

  /// Room for `capacity` tokens of a text.
  virtual std::unique_ptr<Memory> memory(std::int64_t capacity) const = 0;
  /// The same text, with room for `capacity` tokens.
  virtual std::unique_ptr<Memory> copy(const Memory& memory, std::int64_t capacity) const = 0;

  /// Reads the next tokens of a text. This and the next one throw cria::FileError if the scores are no finite
  /// numbers.
  virtual Scores read(std::span<const std::int32_t> tokens, Memory& memory) const = 0;
  /// Reads the next token of each text, all weights once for up to `texts_at_once` of them.
  virtual Scores read_next(std::span<const std::int32_t> tokens, std::span<Memory* const> texts) const = 0;

  static constexpr std::size_t texts_at_once = 8;
};

/// The model in `folder` on a device. Throws cria::FileError, and cria::BackendError if there is no such
/// device.
std::unique_ptr<TextModel> text_model(const ModelFolder& folder, const std::string& device);

}  // namespace pretrain
