#include "text_stream.hpp"

#include <algorithm>
#include <utility>

namespace pretrain {

namespace {

/// How many bytes at the start of `bytes`, which is not empty, are a character; 0 if more must come, -1 if
/// none can begin there.
int character_size(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const int size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return -1;
  for (std::size_t i = 1; i < std::min(bytes.size(), static_cast<std::size_t>(size)); ++i) {
    // The second byte may not make a longer form of a shorter character, a surrogate, or what is too large.
    const int least = i > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const int most = i > 1 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at(i) < least || at(i) > most) return -1;
  }
  return std::ssize(bytes) < size ? 0 : size;
}

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

std::string take_characters(std::string& bytes) {
  std::string characters;
  std::size_t begin = 0;
  while (begin < bytes.size()) {
    const int size = character_size(std::string_view(bytes).substr(begin));
    if (size == 0) break;
    if (size < 0) {
      characters += replacement;
      ++begin;
    } else {
      characters.append(bytes, begin, static_cast<std::size_t>(size));
      begin += static_cast<std::size_t>(size);
    }
  }
  bytes.erase(0, begin);
  return characters;
}

TextStream::TextStream(const Tokenizer& tokenizer, std::span<const std::int32_t> prompt,
                       std::vector<std::string> stop)
    : tokenizer_(&tokenizer),
      stop_(std::move(stop)),
      first_(std::ranges::all_of(prompt,
                                 [&](std::int32_t id) { return tokenizer.bytes_of(id, false).empty(); })) {}

std::string TextStream::add(std::int32_t id) {
  const std::string text = tokenizer_->bytes_of(id, first_);
  first_ = first_ && tokenizer_->bytes_of(id, false).empty();
  bytes_ += text;
  return release(take_characters(bytes_));
}

std::string TextStream::finish() {
  std::string rest = take_characters(bytes_);
  for (; !bytes_.empty(); bytes_.pop_back()) rest += replacement;
  rest = release(std::move(rest));
  return rest + (stopped_ ? "" : std::exchange(held_, ""));
}

std::string TextStream::release(std::string characters) {
  if (stopped_) return "";
  held_ += characters;
  std::size_t end = std::string::npos;  // of the text
  for (const std::string& stop : stop_) end = std::min(end, held_.find(stop));
  stopped_ = end != std::string::npos;
  if (!stopped_) {
    // The longest end that a stop string begins with.
    end = held_.size();
    for (const std::string& stop : stop_) {
      for (std::size_t size = std::min(stop.size() - 1, held_.size()); size > 0; --size) {
        if (held_.ends_with(std::string_view(stop).substr(0, size))) {
          end = std::min(end, held_.size() - size);
          break;
        }
      }
    }
  }
  std::string text = held_.substr(0, end);
  held_.erase(0, end);
  return text;
}

}  // namespace pretrain
