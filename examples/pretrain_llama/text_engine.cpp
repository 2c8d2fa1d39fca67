#include "text_engine.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

#include "cria/core/threads.hpp"

namespace pretrain {

std::vector<TextPiece> TextRequest::wait(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [this] { return !pieces_.empty() || !error_.empty(); });
  if (pieces_.empty() && !error_.empty()) throw std::runtime_error(error_);
  return std::exchange(pieces_, {});
}

void TextRequest::leave() {
  const std::lock_guard lock(mutex_);
  has_left_ = true;
}

/// Returns whether anybody waits.
bool TextRequest::add(TextPiece piece) {
  const std::lock_guard lock(mutex_);
  pieces_.push_back(std::move(piece));
  changed_.notify_all();
  return !has_left_;
}

void TextRequest::fail(const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  error_ = sentence;
  changed_.notify_all();
}

TextEngine::TextEngine(const TextModel& model, const Tokenizer& tokenizer, std::int64_t context,
                       std::size_t max_batch, int threads)
    : model_(model),
      tokenizer_(tokenizer),
      context_(context),
      max_batch_(max_batch),
      threads_(threads),
      thread_([this] { run(); }) {}

std::shared_ptr<TextRequest> TextEngine::submit(std::vector<std::int32_t> prompt, const TextOptions& options,
                                                std::size_t texts) {
  auto request = std::make_shared<TextRequest>(std::move(prompt), options, texts);
  const std::lock_guard lock(mutex_);
  if (stops_) request->fail("the server ends");
  waiting_.push_back(request);
  changed_.notify_all();
  return request;
}

void TextEngine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

/// Waits until there is something to do, and takes the requests that there is room for.
std::vector<std::shared_ptr<TextRequest>> TextEngine::next_requests() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stops_ || running_ > 0 || !waiting_.empty(); });
  std::vector<std::shared_ptr<TextRequest>> requests;
  for (std::size_t texts = running_;
       !waiting_.empty() && texts + waiting_.front()->texts_ <= max_batch_ && !stops_;) {
    texts += waiting_.front()->texts_;
    requests.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return requests;
}

void TextEngine::run() {
  cria::use_threads(threads_);
  std::optional<TextBatch> batch;
  batch.emplace(model_, tokenizer_, context_);
  std::vector<std::shared_ptr<TextRequest>> in_batch;
  const auto fail_all = [&](const std::string& sentence) {
    for (const auto& request : in_batch) request->fail(sentence);
    in_batch.clear();
    batch.emplace(model_, tokenizer_, context_);
  };
  for (;;) {
    try {
      for (auto& request : next_requests()) {
        in_batch.push_back(request);
        const ReadPrompt prompt = batch->read(request->prompt_);
        for (std::size_t i = 0; i < request->texts_; ++i) {
          batch->add(prompt, request->options_, i, [request, i](const std::string& text, Ending ending) {
            return request->add({i, text, ending});
          });
        }
      }
      if (batch->size() > 0) batch->step();
    } catch (const std::exception& error) {
      fail_all(error.what());
    }
    std::erase_if(in_batch, [](const auto& request) { return request.use_count() == 1; });
    const std::lock_guard lock(mutex_);
    running_ = batch->size();
    if (!stops_) continue;
    fail_all("the server ends");
    for (const auto& request : waiting_) request->fail("the server ends");
    return;
  }
}

}  // namespace pretrain
