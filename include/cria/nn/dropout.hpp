#pragma once

#include <cstdint>
#include <utility>

#include "cria/ops/dropout.hpp"

namespace cria::nn {

namespace detail {
/// The stream that dropout layers draw from, and how many have.
struct DropoutSource {
  Rng rng;
  const Rng* in_memory = nullptr;  // the backend's; unless null, it takes the place of `rng`
  std::uint64_t calls = 0;

  Noise next() {
    const std::uint64_t call = calls++;
    return in_memory ? Noise(in_memory, call) : Noise(rng.split(call));
  }
};
CRIA_SHARED inline thread_local DropoutSource dropout_source;
}  // namespace detail

/// While one of these lives, dropout layers on this thread draw from `rng`, each call from a child stream of
/// its own: what is dropped depends on the stream alone, not on threads or on what ran before.
class DropoutStream {
 public:
  [[nodiscard("without a name it ends at once")]] explicit DropoutStream(const Rng& rng)
      : DropoutStream(detail::DropoutSource{rng}) {}
  /// The same for a stream in a backend's memory, which kernels read when they run. A CUDA graph draws from
  /// the one that is there when it is replayed. The tensor must outlive backward.
  template <class B>
  [[nodiscard("without a name it ends at once")]] explicit DropoutStream(const Tensor<Rng, B>& rng)
      : DropoutStream(detail::DropoutSource{Rng(), rng.vec().data}) {}
  [[nodiscard("without a name it ends at once")]] explicit DropoutStream(const detail::DropoutSource& source)
      : previous_(std::exchange(detail::dropout_source, source)) {}
  ~DropoutStream() { detail::dropout_source = previous_; }
  DropoutStream(const DropoutStream&) = delete;
  DropoutStream& operator=(const DropoutStream&) = delete;

 private:
  detail::DropoutSource previous_;
};

/// Drops elements with `probability` while gradients are recorded; under NoGrad (evaluation, generation) it
/// is the identity. There is no training flag to forget.
struct Dropout {
  float probability = 0.0f;

  template <FloatingPoint T, class B>
  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    if (probability == 0.0f || !is_recording()) return x;
    return dropout(x, probability, detail::dropout_source.next());
  }

  static void visit(auto&, auto&&) {}
};

}  // namespace cria::nn
