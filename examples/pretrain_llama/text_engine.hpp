#pragma once
/// Texts that are written for requests, which come at any time and from several threads.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "text_batch.hpp"

namespace pretrain {

/// What a token added to a text.
struct TextPiece {
  std::size_t text;  // which one of a request's
  std::string added;
  Ending ending;
};

/// Some texts that go on from one prompt. Whoever asked waits for their pieces, and may leave.
class TextRequest {
 public:
  TextRequest(std::vector<std::int32_t> prompt, TextOptions options, std::size_t texts)
      : prompt_(std::move(prompt)), options_(std::move(options)), texts_(texts) {}

  /// The pieces that have come since; none after `most` at the latest. Throws std::runtime_error if there
  /// will be no more because something went wrong.
  std::vector<TextPiece> wait(std::chrono::milliseconds most);

  /// Nobody waits any more: the texts leave the batch.
  void leave();

 private:
  friend class TextEngine;

  bool add(TextPiece piece);
  void fail(const std::string& sentence);

  const std::vector<std::int32_t> prompt_;
  const TextOptions options_;
  const std::size_t texts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TextPiece> pieces_;
  std::string error_;
  bool has_left_ = false;
};

/// A thread that writes the texts of all requests in one batch (continuous batching: Yu et al. 2022): a
/// request joins between two tokens, in the order in which they came, as soon as there is room for its texts.
class TextEngine {
 public:
  /// The model and the tokenizer must live as long. At most `max_batch` texts are written at a time, on
  /// `threads` threads.
  TextEngine(const TextModel& model, const Tokenizer& tokenizer, std::int64_t context, std::size_t max_batch,
             int threads);
  ~TextEngine() { stop(); }

  /// Writes `texts` texts, at most max_batch.
  std::shared_ptr<TextRequest> submit(std::vector<std::int32_t> prompt, const TextOptions& options,
                                      std::size_t texts);

  /// Ends: requests that have not ended fail.
  void stop();

 private:
  void run();
  std::vector<std::shared_ptr<TextRequest>> next_requests();

  const TextModel& model_;
  const Tokenizer& tokenizer_;
  const std::int64_t context_;
  const std::size_t max_batch_;
  const int threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<TextRequest>> waiting_;
  std::size_t running_ = 0;  // texts in the batch
  bool stops_ = false;
  std::thread thread_;
};

}  // namespace pretrain
