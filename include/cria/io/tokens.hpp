#pragma once
/// Token shards on disk and the endless, resumable stream of training batches over them.
///
/// A shard is a file of little-endian uint16 token ids: either nothing else (llama2.c, nanoGPT), or behind
/// the header of llm.c, 256 x int32 {20240520, version 1, number of tokens, 0...}. A window of T positions
/// starts at token i*T and holds T + 1 tokens: T inputs and, one further, T targets. A shard of n tokens has
/// n/T - 1 windows, as in llama2.c.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/permutation.hpp"
#include "cria/core/random.hpp"
#include "cria/io/file.hpp"

namespace cria::io {

static_assert(std::endian::native == std::endian::little,
              "token shards are mapped, not decoded: little-endian only");

/// The largest vocabulary whose ids fit into a shard's 16 bits.
inline constexpr std::int64_t max_vocab_size = 65536;

/// One shard, mapped into memory and checked when opened.
class TokenShard {
 public:
  /// Throws FileError if the file cannot be mapped, is not a whole number of tokens, or holds an id that is
  /// not below `vocab_size`; ConfigError if `vocab_size` is not in [1, 65536].
  TokenShard(const std::filesystem::path& path, std::int64_t vocab_size) : path_(path), file_(path) {
    if (vocab_size < 1 || vocab_size > max_vocab_size) {
      throw ConfigError("vocab_size is " + std::to_string(vocab_size) +
                        "; token shards hold 16-bit ids, so it must be between 1 and " +
                        std::to_string(max_vocab_size));
    }
    const std::span<const std::byte> bytes = token_bytes();
    if (bytes.size() % sizeof(std::uint16_t) != 0) {
      throw FileError(path.string(), "has " + std::to_string(bytes.size()) +
                                         " bytes; a shard of 16-bit token ids has an even number");
    }
    tokens_ = {reinterpret_cast<const std::uint16_t*>(bytes.data()), bytes.size() / sizeof(std::uint16_t)};
    check_ids(vocab_size);
  }

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::uint16_t> tokens() const { return tokens_; }

  /// Number of windows of `window` positions, n/T - 1, or 0 if there is none.
  std::int64_t window_count(std::int64_t window) const {
    return std::max<std::int64_t>(std::ssize(tokens_) / window - 1, 0);
  }

  /// CRC-32 of the file's name (without its folder), size and contents, continued from `start`.
  std::uint32_t fingerprint(std::uint32_t start = 0) const {
    const std::string name = path_.filename().string();
    const std::array<std::uint64_t, 1> size = {file_.bytes().size()};
    start = crc32(std::as_bytes(std::span(name)), start);
    start = crc32(std::as_bytes(std::span(size)), start);
    return crc32(file_.bytes(), start);
  }

 private:
  /// The file without llm.c's header, if it has one.
  std::span<const std::byte> token_bytes() const {
    constexpr std::size_t header_bytes = 256 * sizeof(std::int32_t);
    const std::span<const std::byte> bytes = file_.bytes();
    std::array<std::int32_t, 3> header{};  // magic, version, number of tokens
    if (bytes.size() < header_bytes) return bytes;
    std::memcpy(header.data(), bytes.data(), sizeof(header));
    if (header[0] != 20240520 || header[1] != 1) return bytes;
    const std::int64_t expected = std::int64_t{header_bytes} + std::int64_t{2} * header[2];
    if (std::ssize(bytes) != expected) {
      throw FileError(path_.string(), "has " + std::to_string(bytes.size()) +
                                          " bytes, but its header names " + std::to_string(header[2]) +
                                          " tokens, which take " + std::to_string(expected));
    }
    return bytes.subspan(header_bytes);
  }

  void check_ids(std::int64_t vocab_size) const {
    std::uint16_t largest = 0;  // the whole shard first: this loop runs at the speed of memory
    for (const std::uint16_t id : tokens_) largest = std::max(largest, id);
    if (largest < vocab_size) return;
    const auto first =
        std::find_if(tokens_.begin(), tokens_.end(), [=](std::uint16_t id) { return id >= vocab_size; });
    throw FileError(
        path_.string(),
        "token id " + std::to_string(*first) + " at position " + std::to_string(first - tokens_.begin()) +
            " is not in the vocabulary; ids must be below vocab_size = " + std::to_string(vocab_size));
  }

  std::filesystem::path path_;
  MappedFile file_;
  std::span<const std::uint16_t> tokens_;
};

/// The shards (*.bin) of a folder, sorted by name. The first one is validation, the rest are training.
/// Throws FileError if the folder does not exist or holds none.
inline std::vector<std::filesystem::path> token_shards(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::directory_iterator files(folder, error);
  if (error)
    throw FileError(folder.string(), "cannot be read as a folder of token shards: " + error.message());
  std::vector<std::filesystem::path> shards;
  for (const auto& file : files) {
    if (file.path().extension() == ".bin" && file.is_regular_file()) shards.push_back(file.path());
  }
  if (shards.empty()) throw FileError(folder.string(), "holds no token shards; their names end in .bin");
  std::sort(shards.begin(), shards.end());
  return shards;
}

/// An endless stream of windows. Each epoch visits the shards in a new random order and, within a shard, its
/// windows in a random order, every window once. Both orders depend on the generator and the epoch alone, so
/// that a generator and a Position say exactly what comes next.
class TokenStream {
 public:
  /// The place of the next window: the `cursor`-th of the `shard_index`-th shard, both in the epoch's random
  /// order.
  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t shard_index = 0;
    std::uint64_t cursor = 0;
    bool operator==(const Position&) const = default;
  };

  /// Throws ConfigError if `window` is not positive or there are no shards, FileError for a shard that has no
  /// window.
  TokenStream(std::vector<std::shared_ptr<const TokenShard>> shards, std::int64_t window, Rng rng)
      : shards_(std::move(shards)), window_(window), rng_(rng) {
    if (window < 1) {
      throw ConfigError("the window of a token stream is " + std::to_string(window) +
                        "; it must be at least 1");
    }
    if (shards_.empty()) throw ConfigError("a token stream needs at least one shard");
    for (const auto& shard : shards_) {
      if (shard->window_count(window) == 0) {
        throw FileError(shard->path().string(),
                        "has " + std::to_string(shard->tokens().size()) + " tokens; one window of " +
                            std::to_string(window) + " positions needs at least " +
                            std::to_string(2 * window) + ", so use a shorter window or more text");
      }
    }
    seek({});
  }

  /// Fills `inputs` and `targets`, [batch, T] each, with the next `batch` windows.
  /// Throws ShapeError if either has another size.
  void next(std::int64_t batch, std::span<std::int32_t> inputs, std::span<std::int32_t> targets) {
    if (std::ssize(inputs) != batch * window_ || std::ssize(targets) != batch * window_) {
      throw ShapeError("TokenStream::next: inputs has " + std::to_string(inputs.size()) + " and targets " +
                       std::to_string(targets.size()) + " elements; both must have batch * window = " +
                       std::to_string(batch) + " * " + std::to_string(window_));
    }
    const auto window = static_cast<std::size_t>(window_);
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch); ++row) {
      const TokenShard& shard = *shards_[shard_order_[position_.shard_index]];
      const auto tokens = shard.tokens().subspan(window_order_[position_.cursor] * window, window + 1);
      std::copy_n(tokens.begin(), window, inputs.subspan(row * window).begin());
      std::copy_n(tokens.begin() + 1, window, targets.subspan(row * window).begin());
      advance();
    }
  }

  Position position() const { return position_; }

  /// Goes to a place that position() gave, for a stream of the same shards, window and generator.
  /// Throws ConfigError if there is no such place.
  void seek(Position position) {
    const std::vector<std::size_t> shard_order = permutation(rng_.split(position.epoch), shards_.size());
    const auto fail = [&](const std::string& found) {
      throw ConfigError("the data has no window " + std::to_string(position.cursor) + " in shard " +
                        std::to_string(position.shard_index) + " of epoch " + std::to_string(position.epoch) +
                        "; " + found);
    };
    if (position.shard_index >= shards_.size()) fail("it has " + std::to_string(shards_.size()) + " shards");
    const std::size_t windows = window_count(shard_order[position.shard_index]);
    if (position.cursor >= windows) fail("that shard has " + std::to_string(windows) + " windows");
    position_ = position;
    shard_order_ = shard_order;
    shuffle_windows();
  }

  /// CRC-32 of the names, sizes and contents of all shards: tells whether data has changed since a
  /// checkpoint.
  std::uint32_t fingerprint() const {
    std::uint32_t result = 0;
    for (const auto& shard : shards_) result = shard->fingerprint(result);
    return result;
  }

 private:
  std::size_t window_count(std::size_t shard) const {
    return static_cast<std::size_t>(shards_[shard]->window_count(window_));
  }

  void shuffle_windows() {
    const std::size_t shard = shard_order_[position_.shard_index];
    window_order_ = permutation(rng_.split(position_.epoch).split(shard), window_count(shard));
  }

  /// To the next window; at the end of a shard to the next shard, at the end of all shards to the next epoch.
  void advance() {
    if (++position_.cursor < window_order_.size()) return;
    position_.cursor = 0;
    if (++position_.shard_index == shards_.size()) {
      position_.shard_index = 0;
      ++position_.epoch;
      shard_order_ = permutation(rng_.split(position_.epoch), shards_.size());
    }
    shuffle_windows();
  }

  std::vector<std::shared_ptr<const TokenShard>> shards_;
  std::int64_t window_;
  Rng rng_;
  Position position_;
  std::vector<std::size_t> shard_order_;
  std::vector<std::size_t> window_order_;
};

}  // namespace cria::io
