#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "cria/core/check.hpp"

namespace cria {

/// Dynamic loss scaling for float16: small gradients are lifted out of its subnormal range. The scale doubles
/// after `growth_interval` good steps in a row and halves after a step whose gradients overflowed, which the
/// optimiser skips. Micikevicius et al. 2018. A step is
///   backward(loss, scaler.scale())                            for every micro-batch
///   optimizer.step({.loss_scale = scaler.scale()})
///   scaler.update(optimizer.gradient_norm())
class GradScaler {
 public:
  struct Options {
    double scale = 65536.0;
    double growth_factor = 2.0;
    double backoff_factor = 0.5;
    std::int64_t growth_interval = 2000;
    bool enabled = true;  // if not, the scale is 1 for ever
  };
  /// All that has to be saved.
  struct State {
    double scale = 1.0;
    std::int64_t good_steps = 0;
  };

  /// Throws ConfigError for options out of range.
  explicit GradScaler(const Options& options)
      : options_(options), state_{options.enabled ? options.scale : 1.0, 0} {
    const auto check = [](bool holds, std::string_view name, auto value, std::string_view rule) {
      check::option(holds, "GradScaler", name, value, rule);
    };
    check(options.scale > 0 && std::isfinite(options.scale), "scale", options.scale,
          "it must be greater than 0");
    check(options.growth_factor >= 1 && std::isfinite(options.growth_factor), "growth_factor",
          options.growth_factor, "it must be at least 1");
    check(options.backoff_factor > 0 && options.backoff_factor <= 1, "backoff_factor", options.backoff_factor,
          "it must be in (0, 1]");
    check(options.growth_interval >= 1, "growth_interval", options.growth_interval, "it must be at least 1");
  }

  double scale() const { return state_.scale; }
  State state() const { return state_; }
  void set_state(State state) { state_ = state; }

  /// After a step whose gradients had this norm: not finite if one of them overflowed.
  void update(double gradient_norm) {
    if (!options_.enabled) return;
    if (!std::isfinite(gradient_norm)) {
      state_ = {state_.scale * options_.backoff_factor, 0};
    } else if (++state_.good_steps == options_.growth_interval) {
      state_ = {state_.scale * options_.growth_factor, 0};
    }
  }

 private:
  Options options_;
  State state_;
};

}  // namespace cria
