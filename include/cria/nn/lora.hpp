#pragma once

#include <cstdint>

#include "cria/core/check.hpp"
#include "cria/core/random.hpp"
#include "cria/nn/init.hpp"
#include "cria/nn/input.hpp"
#include "cria/nn/linear.hpp"
#include "cria/nn/module.hpp"
#include "cria/ops/cast.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/matmul.hpp"

namespace cria::nn {

struct LoraOptions {
  std::int64_t rank = 8;
  double alpha = 16;  // alpha / rank is the factor of what is learned
};

/// A frozen layer and a matrix of low rank that is trained in its stead: y = base(x) + alpha / rank x a^T
/// b^T, with a [rank, in] random and b [out, rank] 0 before training, so that it begins as the layer. Only a
/// and b get gradients and an optimiser's state. Hu et al. 2021.
///
///   nn::Lora<float> layer(model.head, rng, {.rank = 4});
template <FloatingPoint T, class B = DefaultBackend>
struct Lora {
  Linear<T, B> base;
  Parameter<T, B> a;  // [rank, in]
  Parameter<T, B> b;  // [out, rank]
  double scale;

  /// Shares the parameters of `layer`, which it freezes. Throws ConfigError if the rank is not at least 1.
  Lora(const Linear<T, B>& layer, Rng rng, const LoraOptions& options = {})
      : base(layer),
        a({checked(options.rank), layer.weight.dim(1)}),
        b({layer.weight.dim(0), options.rank}, 0.0),
        scale(options.alpha / static_cast<double>(options.rank)) {
    freeze(base);
    fill_kaiming_normal(a, rng, 1);
  }
  template <class From, class Source>
  explicit Lora(const Lora<From, Source>& other)
      : base(other.base), a(other.a), b(other.b), scale(other.scale) {}

  Tensor<T, B> operator()(const Tensor<T, B>& x) const {
    return base(x) + linear(linear(x, a), b) * static_cast<acc_t<T>>(scale);
  }

  /// Adds what was learned to the base's weight, and begins again with b = 0: the layer computes the same, up
  /// to rounding, and so does its base alone.
  void merge() {
    using A = acc_t<T>;
    const NoGrad guard;
    const auto learned = matmul(cast<A>(b), cast<A>(a)) * static_cast<A>(scale);
    base.weight.value().assign(cast<T>(cast<A>(base.weight) + learned).to_vector());
    fill(b, 0);
  }
  template <class Given, class Place>
  Tensor<T, B> operator()(const Tensor<Given, Place>& x) const {
    return detail::refuse_input<T, B>(x);
  }

  static void visit(auto& self, auto&& field) {
    field("base", self.base);
    field("lora_A", self.a);
    field("lora_B", self.b);
  }

 private:
  static std::int64_t checked(std::int64_t rank) {
    check::option(rank >= 1, "Lora", "rank", rank, "it must be at least 1");
    return rank;
  }
};

}  // namespace cria::nn
