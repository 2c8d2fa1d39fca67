#pragma once
/// Learning rates by iteration, as functions that are made of one another:
///
///   const Schedule rate = schedule::warm_up(1000, schedule::cosine(5e-4, 5e-5, 99000));
///   optimizer.set_learning_rate(rate(iteration));
///
/// Iterations count from 0. What is made for a number of iterations stays at its last rate after them. All
/// throw ConfigError for a rate that is negative or no number, and for a negative number of iterations.

#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <string_view>
#include <utility>

#include "cria/core/check.hpp"

namespace cria {

/// The learning rate of an iteration.
using Schedule = std::function<double(std::int64_t iteration)>;

namespace schedule {

namespace detail {
inline void check_iterations(std::string_view schedule, std::string_view name, std::int64_t count) {
  check::option(count >= 0, schedule, name, count, "it must be at least 0");
}
/// From `from` at 0 to `to` at 1, along half a cosine.
inline double along_cosine(double from, double to, double progress) {
  return to + 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) * (from - to);
}
}  // namespace detail

/// Always the same.
inline Schedule constant(double rate) {
  check::not_negative("schedule::constant", "rate", rate);
  return [=](std::int64_t) { return rate; };
}

/// A straight line from `from` at iteration 0 to `to` at iteration `iterations`.
inline Schedule linear(double from, double to, std::int64_t iterations) {
  check::not_negative("schedule::linear", "from", from);
  check::not_negative("schedule::linear", "to", to);
  detail::check_iterations("schedule::linear", "iterations", iterations);
  return [=](std::int64_t it) {
    if (it >= iterations) return to;
    return from + (to - from) * static_cast<double>(it) / static_cast<double>(iterations);
  };
}

/// Half a cosine from `from` at iteration 0 to `to` at iteration `iterations`. Loshchilov & Hutter 2017.
inline Schedule cosine(double from, double to, std::int64_t iterations) {
  check::not_negative("schedule::cosine", "from", from);
  check::not_negative("schedule::cosine", "to", to);
  detail::check_iterations("schedule::cosine", "iterations", iterations);
  return [=](std::int64_t it) {
    if (it >= iterations) return to;
    return detail::along_cosine(from, to, static_cast<double>(it) / static_cast<double>(iterations));
  };
}

/// `rate` for `iterations`, then rate sqrt(iterations / it). Vaswani et al. 2017, after a warm-up.
inline Schedule inverse_square_root(double rate, std::int64_t iterations) {
  check::not_negative("schedule::inverse_square_root", "rate", rate);
  detail::check_iterations("schedule::inverse_square_root", "iterations", iterations);
  return [=](std::int64_t it) {
    if (it <= iterations) return rate;
    return rate * std::sqrt(static_cast<double>(iterations) / static_cast<double>(it));
  };
}

/// rate factor^floor(it / every).
inline Schedule step(double rate, double factor, std::int64_t every) {
  check::not_negative("schedule::step", "rate", rate);
  check::not_negative("schedule::step", "factor", factor);
  check::option(every >= 1, "schedule::step", "every", every, "it must be at least 1");
  return [=](std::int64_t it) { return rate * std::pow(factor, static_cast<double>(it / every)); };
}

/// `first` for `iterations`, then `second` from its iteration 0 on.
inline Schedule then(Schedule first, std::int64_t iterations, Schedule second) {
  detail::check_iterations("schedule::then", "iterations", iterations);
  check::function("schedule::then", "first", first, "an iteration");
  check::function("schedule::then", "second", second, "an iteration");
  return [=, first = std::move(first), second = std::move(second)](std::int64_t it) {
    return it < iterations ? first(it) : second(it - iterations);
  };
}

/// A straight line from 0 at iteration 0 to the first rate of `after` at iteration `iterations`, and from
/// there on that. Goyal et al. 2017.
inline Schedule warm_up(std::int64_t iterations, Schedule after) {
  check::function("schedule::warm_up", "after", after, "an iteration");
  detail::check_iterations("schedule::warm_up", "iterations", iterations);
  const Schedule rise = linear(0, after(0), iterations);
  return then(rise, iterations, std::move(after));
}

/// Warm-up, a stable rate, and a straight line down to `to` in the last `decay` of all `iterations`. Hu et
/// al. 2024.
inline Schedule warmup_stable_decay(double rate, double to, std::int64_t warmup, std::int64_t decay,
                                    std::int64_t iterations) {
  detail::check_iterations("schedule::warmup_stable_decay", "decay", decay);
  check::option(warmup >= 0 && iterations >= warmup + decay, "schedule::warmup_stable_decay", "iterations",
                iterations, "it must be at least warmup + decay");
  return warm_up(warmup, then(constant(rate), iterations - decay - warmup, linear(rate, to, decay)));
}

struct OneCycleOptions {
  double rise = 0.3;            // the share of the iterations until the largest rate
  double start_divisor = 25;    // the largest rate over the first
  double end_divisor = 250000;  // and over the last
};

/// Half a cosine up to `rate` and one down to next to nothing, in `iterations`. Smith & Topin 2018; PyTorch's
/// OneCycleLR. Throws ConfigError also for a share that is not in (0, 1) and for divisors that are not
/// positive.
inline Schedule one_cycle(double rate, std::int64_t iterations, const OneCycleOptions& options = {}) {
  constexpr std::string_view name = "schedule::one_cycle";
  check::not_negative(name, "rate", rate);
  detail::check_iterations(name, "iterations", iterations);
  check::option(options.rise > 0 && options.rise < 1, name, "rise", options.rise, "it must be in (0, 1)");
  check::option(options.start_divisor > 0, name, "start_divisor", options.start_divisor,
                "it must be positive");
  check::option(options.end_divisor > 0, name, "end_divisor", options.end_divisor, "it must be positive");
  const double from = rate / options.start_divisor, to = rate / options.end_divisor;
  const double last = static_cast<double>(iterations - 1), top = options.rise * (last + 1) - 1;
  return [=](std::int64_t iteration) {
    const double it = static_cast<double>(iteration);
    if (it >= last) return to;
    return it < top ? detail::along_cosine(from, rate, it / top)
                    : detail::along_cosine(rate, to, (it - top) / (last - top));
  };
}

}  // namespace schedule

}  // namespace cria
