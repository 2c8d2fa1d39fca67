// Products and training steps whose numbers do not depend on the processor but for rounding: compiled for ARM
// (NEON) and for this machine by tests/arm/run.sh, which compares what both print. Products are also compared
// with loops in double here.

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "cria/cria.hpp"

namespace {

using namespace cria;

bool failed = false;

template <class T>
Tensor<T> numbers(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed);
  auto x = Tensor<T>::empty(shape);
  const auto values = x.mutable_vec();
  for (std::int64_t i = 0; i < values.size; ++i) {
    values[i] = static_cast<T>(static_cast<acc_t<T>>(rng.uniform() - 0.5));
  }
  return x;
}

/// Every kind of product of a linear layer, beside sums in double of the same numbers.
template <class T>
void check_products(std::int64_t rows, std::int64_t in, std::int64_t out) {
  using A = acc_t<T>;
  using K = kernel_for<ops::Linear, Cpu>;
  const auto x = numbers<T>({rows, in}, 1), w = numbers<T>({out, in}, 2), dy = numbers<T>({rows, out}, 3);
  auto y = Tensor<T>::empty({rows, out}), dx = Tensor<T>::empty({rows, in});
  auto dw = Tensor<A>::empty({out, in});
  K::forward(x.rows(), w.rows(), {}, y.mutable_rows());
  K::backward(dy.rows(), x.rows(), w.rows(), Gradient<Rows<T>>{dx.mutable_rows(), true},
              Gradient<Rows<A>>{dw.mutable_rows(), true});
  const auto check = [&](const char* what, const auto& is, std::int64_t depth, auto factors) {
    const double rounding = sizeof(T) == 2 ? (std::is_same_v<T, bfloat16> ? 4e-3 : 5e-4) : 0;
    const double bound = (std::is_same_v<A, double> ? 1e-15 : 1e-6) * static_cast<double>(depth);
    for (std::int64_t i = 0; i < is.dim(0); ++i) {
      for (std::int64_t j = 0; j < is.dim(1); ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < depth; ++k) sum += factors(i, j, k);
        const double error = std::abs(static_cast<double>(static_cast<A>(is.vec()[i * is.dim(1) + j])) - sum);
        if (error <= bound + rounding * std::abs(sum)) continue;
        std::printf("%s of %s, %lld x %lld x %lld: [%lld, %lld] is off by %g\n", what,
                    std::string(dtype_name<T>).c_str(), static_cast<long long>(rows),
                    static_cast<long long>(in), static_cast<long long>(out), static_cast<long long>(i),
                    static_cast<long long>(j), error);
        failed = true;
        return;
      }
    }
  };
  const auto at = [](const auto& m, std::int64_t i, std::int64_t j) {
    return static_cast<double>(static_cast<A>(m.vec()[i * m.dim(1) + j]));
  };
  check("y", y, in, [&](auto i, auto j, auto k) { return at(x, i, k) * at(w, j, k); });
  check("dx", dx, out, [&](auto i, auto j, auto k) { return at(dy, i, k) * at(w, k, j); });
  check("dw", dw, rows, [&](auto i, auto j, auto k) { return at(dy, k, i) * at(x, k, j); });
}

/// Losses of a small Llama that is trained, and the norms of its gradients.
template <class T>
void train() {
  nn::LlamaConfig config;
  config.vocab_size = 96;
  config.hidden_size = 48;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 40;
  nn::LlamaForCausalLM<T> model(config);
  initialize(model, Rng(1));
  AdamW<> optimizer(model, {.learning_rate = 1e-2});
  Batch<> batch({3, 40}, {3, 40});
  Rng rng(2);
  for (auto* all : {&batch.inputs, &batch.targets}) {
    for (auto& token : *all) token = static_cast<std::int32_t>(rng.below(96));
  }
  TrainStep step(model, batch);
  for (int i = 0; i < 5; ++i) {
    step.add(batch, Rng(3));
    const auto result = step.update(optimizer);
    std::printf("%s %d %.6f %.6f\n", std::string(dtype_name<T>).c_str(), i, result.loss,
                result.gradient_norm);
  }
}

template <class T>
void check_all_products() {
  for (const std::int64_t rows : {1, 3, 17, 70}) check_products<T>(rows, 37, 53);
  check_products<T>(130, 96, 64);
  check_products<T>(20, 500, 33);
}

}  // namespace

int main() {
  std::fprintf(stderr, "products by %s, %s\n", cpu::gemm_library<float>().c_str(),
               cpu::gemm_library<bfloat16>().c_str());
  check_all_products<float>();
  check_all_products<double>();
  check_all_products<bfloat16>();
  check_all_products<float16>();
  train<float>();
  train<bfloat16>();
  return failed ? 1 : 0;
}
