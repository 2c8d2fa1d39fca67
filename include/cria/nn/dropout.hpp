#pragma once

#include <utility>

#include "cria/ops/dropout.hpp"

namespace cria::nn {

namespace detail {
inline thread_local Rng dropout_stream{0};
inline thread_local std::uint64_t dropout_calls = 0;
}  // namespace detail

/// While one of these lives, dropout layers on this thread draw from `rng`, each call from a child stream of
/// its own: what is dropped depends on the stream alone, not on threads or on what ran before.
class DropoutStream {
 public:
  explicit DropoutStream(const Rng& rng, std::uint64_t first_call = 0)
      : stream_(std::exchange(detail::dropout_stream, rng)),
        calls_(std::exchange(detail::dropout_calls, first_call)) {}
  ~DropoutStream() {
    detail::dropout_stream = stream_;
    detail::dropout_calls = calls_;
  }
  DropoutStream(const DropoutStream&) = delete;
  DropoutStream& operator=(const DropoutStream&) = delete;

 private:
  Rng stream_;
  std::uint64_t calls_;
};

/// Drops elements with `probability` while gradients are recorded; under NoGrad (evaluation, generation) it
/// is the identity. There is no training flag to forget.
struct Dropout {
  float probability = 0.0f;

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    if (probability == 0.0f || !is_recording()) return x;
    return dropout(x, probability, detail::dropout_stream.split(detail::dropout_calls++));
  }

  static void visit(auto&, auto&&) {}
};

}  // namespace cria::nn
