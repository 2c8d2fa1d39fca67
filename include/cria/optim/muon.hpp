#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "cria/ops/cast.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/matmul.hpp"
#include "cria/ops/rearrange.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/optim/optimizer.hpp"

namespace cria {

/// How the learning rate of a matrix [m, n] grows with its size.
enum class MuonScale {
  match_adamw,  // 0.2 sqrt(max(m, n)): steps as long as AdamW's, so that both share rates. Liu et al. 2025
  original      // sqrt(max(1, m / n)). Jordan et al. 2024
};

/// Which parameters Muon orthogonalises by default: matrices and kernels of hidden layers. It goes by names:
/// what is called `embed...` or `lm_head`, as Llama's embedding and output, is AdamW's, as vectors are. A model
/// that calls them otherwise says so by the option `orthogonalized`.
inline bool is_hidden_matrix(std::string_view name, const Shape& shape) {
  return shape.rank() >= 2 && name.find("embed") == std::string_view::npos &&
         name.find("lm_head") == std::string_view::npos;
}

struct MuonOptions {
  double learning_rate = 1e-3;
  double momentum = 0.95;
  bool nesterov = true;
  int newton_schulz_steps = 5;
  bool bfloat16_products = false;  // of the Newton-Schulz steps, which need little precision
  MuonScale scale = MuonScale::match_adamw;
  double weight_decay = 0.1;
  /// Which parameters are orthogonalised; the others are AdamW's.
  std::function<bool(std::string_view, const Shape&)> orthogonalized = is_hidden_matrix;
  double beta1 = 0.9;  // AdamW's constants
  double beta2 = 0.95;
  double epsilon = 1e-8;
  /// What the weight decay of a parameter is multiplied by: 0 leaves it out.
  std::function<double(std::string_view, const Shape&)> weight_decay_factor = decay_matrices;
  MissingGradient missing_gradient = MissingGradient::error;
  /// What the learning rate of a parameter is multiplied by.
  std::function<double(std::string_view, const Shape&)> learning_rate_factor = full_rate;
};

namespace detail {

/// a x + b y
template <class A>
struct Combination {
  A a, b;
  CRIA_HOST_DEVICE CRIA_INLINE auto operator()(auto x, auto y) const { return a * x + b * y; }
};

}  // namespace detail

/// Moves the singular values of matrices close to 1: x [s, m, n] is U S V^T, the result nearly U V^T. Each
/// step of Newton and Schulz is X = a X + (b X X^T + c (X X^T)^2) X, after X has been divided by its norm;
/// its constants bring singular values quickly, but not exactly, between 0.7 and 1.2. Computed in T. Jordan
/// et al. 2024.
template <FloatingPoint T, class B>
Tensor<T, B> orthogonalize(const Tensor<T, B>& x, int steps) {
  using A = acc_t<T>;
  const NoGrad guard;
  const bool is_tall = x.dim(1) > x.dim(2);
  Tensor<T, B> y = is_tall ? transpose(x, 1, 2) : x;                      // [s, m, n], m <= n
  y = y / cast<T>(maximum(norm(y, {1, 2}, {.keepdim = true}), A(1e-7)));  // [s, m, n] / [s, 1, 1]
  const detail::Combination<A> of_squares{A(-4.7750), A(2.0315)}, of_steps{A(3.4445), A(1)};
  for (int step = 0; step < steps; ++step) {
    const auto squares = matmul(y, transpose(y, 1, 2));  // [s, m, m], symmetric
    const auto factor = detail::map_without_gradient("muon", of_squares, squares, matmul(squares, squares));
    y = detail::map_without_gradient("muon", of_steps, y, matmul(factor, y));
  }
  return is_tall ? transpose(y, 1, 2) : y;
}

/// Muon: momentum whose matrices are orthogonalised, so that a step moves along all directions alike, and
/// AdamW for the other parameters. Jordan et al. 2024. A kernel [out, in, ...] counts as [out, in ...].
///   m = momentum m + (1 - momentum) g;  d = m, or momentum m + (1 - momentum) g if `nesterov`
///   x = x - lr decay x - lr scale orthogonalize(d)
template <class B = DefaultBackend>
class Muon : public Optimizer<B> {
 public:
  /// Throws what Optimizer does, and ConfigError unless momentum, beta1 and beta2 are in [0, 1), epsilon is 0
  /// or more, there is a Newton-Schulz step, and `orthogonalized` is a function that takes matrices only.
  template <class M>
  explicit Muon(M& model, const MuonOptions& options = {})
      : Optimizer<B>("Muon", model, options),
        options_(options),
        momentum_({options.momentum, options.nesterov}),
        descend_({}),
        adamw_({options.beta1, options.beta2, options.epsilon}),
        updates_(model) {
    check::below_one("Muon", "momentum", options.momentum);
    check::below_one("Muon", "beta1", options.beta1);
    check::below_one("Muon", "beta2", options.beta2);
    check::not_negative("Muon", "epsilon", options.epsilon);
    check::option(options.newton_schulz_steps >= 1, "Muon", "newton_schulz_steps",
                  options.newton_schulz_steps, "it must be at least 1");
    check::function("Muon", "orthogonalized", options.orthogonalized, "a parameter's name and shape");
    for (const auto& slot : this->groups_.slots()) {
      const Shape& shape = slot->shape();
      if (options.orthogonalized(slot->name, shape)) {
        if (shape.rank() < 2) {
          throw ConfigError(
              "Muon: '" + slot->name + "' is " + to_string(shape) +
              "; the option `orthogonalized` may name parameters of two dimensions or more only");
        }
        matrices_.insert(slot.get());
        for (const auto state : ops::Momentum::state) slot->wanted_state.push_back({state, shape});
      } else {
        for (const auto state : ops::AdamW::state) slot->wanted_state.push_back({state, shape});
      }
    }
    this->groups_.create_state();
  }

 private:
  friend UpdatesByDtype<Muon>;

  template <class T>
  using Slots = std::vector<ParameterSlot<T, B>*>;

  void begin(const GradientScaling& scaling, Vec<const double> sums) override {
    momentum_.begin(scaling, sums);
    adamw_.begin(scaling, sums);
    descend_.begin({}, sums);  // what it descends along is no gradient
  }
  void update() override { updates_(*this); }
  ops::StepState state() const override { return adamw_.state(); }
  void restore_steps(std::int64_t steps) override {
    momentum_.set_steps(steps);
    adamw_.set_steps(steps);
    descend_.set_steps(steps);
  }

  template <class T>
  void update_parameters() {
    std::vector<ops::UpdateTensor<ops::AdamW, T>> others;
    std::map<std::vector<std::int64_t>, Slots<T>>
        stacks;  // matrices of one shape are orthogonalised together
    for (auto* slot : this->groups_.template updated<T>()) {
      if (!matrices_.contains(slot)) {
        others.push_back(slot->template operands<ops::AdamW>(slot->gradient(), this->learning_rate(),
                                                             this->weight_decay()));
      } else if (slot->shape().size() > 0) {
        auto& stack = stacks[{slot->shape().dim(0), slot->shape().size() / slot->shape().dim(0)}];
        if (static_cast<std::int64_t>(stack.size() + 1) * slot->shape().size() > most_at_once) {
          update_stack(stack);
          stack.clear();
        }
        stack.push_back(slot);
      }
    }
    for (const auto& stack : stacks) update_stack(stack.second);
    adamw_(others);
  }

  /// Updates matrices of one shape [m, n].
  template <class T>
  void update_stack(const Slots<T>& slots) {
    using A = acc_t<T>;
    if (slots.empty()) return;
    const std::int64_t size = slots[0]->shape().size(), m = slots[0]->shape().dim(0), n = size / m;
    auto directions = Tensor<A, B>::zeros({static_cast<std::int64_t>(slots.size()), m, n});
    const auto part = [&]<class V>(Vec<V> all, std::size_t i) {
      return Vec<V>{all.data + static_cast<std::int64_t>(i) * size, size};
    };
    std::vector<ops::UpdateTensor<ops::Momentum, A>> momentum;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      momentum.push_back({slots[i]->gradient(),
                          part(directions.mutable_vec(), i),
                          {},
                          {slots[i]->state(0).mutable_vec()},
                          0,
                          0});
    }
    momentum_(momentum);
    const double scale = options_.scale == MuonScale::original
                             ? std::sqrt(std::max(1.0, static_cast<double>(m) / static_cast<double>(n)))
                             : 0.2 * std::sqrt(static_cast<double>(std::max(m, n)));
    const NoGrad guard;
    const auto orthogonal =
        (options_.bfloat16_products
             ? cast<A>(orthogonalize(cast<bfloat16>(directions), options_.newton_schulz_steps))
             : orthogonalize(directions, options_.newton_schulz_steps)) *
        static_cast<A>(scale);
    std::vector<ops::UpdateTensor<ops::Descend, T>> all;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      all.push_back(slots[i]->template operands<ops::Descend>(part(orthogonal.vec(), i),
                                                              this->learning_rate(), this->weight_decay()));
    }
    descend_(all);
  }

  static constexpr std::int64_t most_at_once = std::int64_t{1} << 24;  // elements, for the memory of a step

  MuonOptions options_;
  UpdatePass<ops::Momentum, B> momentum_;
  UpdatePass<ops::Descend, B> descend_;
  UpdatePass<ops::AdamW, B> adamw_;
  std::set<const AnySlot*> matrices_;
  UpdatesByDtype<Muon> updates_;
};

}  // namespace cria
