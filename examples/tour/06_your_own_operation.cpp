// Operations that the library does not have, one by a formula, one by kernels; their gradients are checked.

#include <cria/cria.hpp>
#include <cria/testing/gradcheck.hpp>
#include <cstdio>

using namespace cria;

// 1. On each element: a formula. The derivative follows from it, on every backend.

/// x tanh(log(1 + e^x)). Misra 2019.
CRIA_FORMULA(Mish, (auto x), x* tanh(log1p(exp(x))))

template <FloatingPoint T, class B>
Tensor<T, B> mish(const Tensor<T, B>& x) {
  return map(Mish{}, x);
}

// 2. Anything else that cannot be composed of operations: a kernel, forward and backward.

/// y[t] = decay y[t - 1] + (1 - decay) x[t], along rows.
struct Smooth;

template <>
struct cria::kernel<Smooth, Cpu> {
  template <class T>
  static void forward(Rows<const T> x, Rows<T> y, acc_t<T> decay) {
    cpu::parallel_for(x.rows, 256,
                      [=](std::int64_t begin, std::int64_t end) {  // at least 256 rows for each thread
                        for (std::int64_t row = begin; row < end; ++row) {
                          acc_t<T> state = 0;
                          for (std::int64_t t = 0; t < x.cols; ++t) {
                            state = decay * state + (1 - decay) * static_cast<acc_t<T>>(x.row(row)[t]);
                            y.row(row)[t] = static_cast<T>(state);
                          }
                        }
                      });
  }

  /// dx[t] += (1 - decay) s[t], where s[t] = dy[t] + decay s[t + 1].
  template <class T>
  static void backward(Rows<const T> dy, Gradient<Rows<T>> dx, acc_t<T> decay) {
    if (!dx) return;  // nobody wants it
    cpu::parallel_for(dy.rows, 256, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        acc_t<T> state = 0;
        for (std::int64_t t = dy.cols; t-- > 0;) {
          state = static_cast<acc_t<T>>(dy.row(row)[t]) + decay * state;
          T& to = dx.row(row)[t];
          to = static_cast<T>((1 - decay) * state + (dx.fresh ? 0 : static_cast<acc_t<T>>(to)));
        }
      }
    });
  }
};

/// The exponential moving average along the last dimension, which begins with 0.
template <FloatingPoint T, class B>
Tensor<T, B> smooth(const Tensor<T, B>& x, std::type_identity_t<acc_t<T>> decay) {
  using Kernel = kernel_for<Smooth, B>;
  check::rank_at_least("smooth", {"x", x.shape()}, 1);
  auto y = Tensor<T, B>::empty(x.shape());
  Kernel::forward(x.rows(), y.mutable_rows(), decay);
  return record("smooth", y, inputs(unread(x)), [dx = sink(x), decay](const Tensor<T, B>& dy) {
    Kernel::backward(dy.rows(), dx.rows(), decay);
  });
}

int main() {
  Rng rng(1);
  const auto steps = cast<float>(arange<float>(24) >= 8.0f);
  const auto noisy = steps + 0.2f * randn<float>({24}, rng);
  const auto y = smooth(noisy, 0.6f);
  std::puts(" t   noisy  smooth");
  for (int t = 0; t < 24; t += 2) {
    std::printf("%2d  %6.2f  %6.2f  %*s\n", t, noisy.at({t}), y.at({t}), 4 + static_cast<int>(30 * y.at({t})),
                "*");
  }

  // Gradients by backward against finite differences, of each operation alone and of both as parts of more.
  const auto x = randn<double>({3, 5}, rng), weight = randn<double>({4, 5}, rng);
  struct Check {
    const char* name;
    GradCheck found;
  };
  const Check checks[]{
      {"mish", gradcheck([](const auto& a) { return mish(a); }, x)},
      {"smooth", gradcheck([](const auto& a) { return smooth(a, 0.6); }, x)},
      {"both",
       gradcheck([](const auto& a, const auto& w) { return mean(smooth(mish(linear(a, w)), 0.9), -1); }, x,
                 weight)},
  };
  int right = 0;
  std::puts("");
  for (const auto& [name, found] : checks) {
    std::printf("%-7s %s\n", name, found ? "the gradient is right" : found.message.c_str());
    right += found.passed;
  }
  std::printf("\nright: %d of 3 gradients\n", right);
  return right == 3 ? 0 : 1;
}
