#include "goodput.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cria/core/random.hpp"

namespace pretrain {

double expected_maximum(std::int64_t n) {
  // The integral of x n phi(x) Phi(x)^(n - 1).
  constexpr double step = 1.0 / 256;
  const auto count = static_cast<double>(n);
  double sum = 0;
  for (double x = -10; x <= 10; x += step) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    const double below = 1 - 0.5 * std::erfc(x / std::numbers::sqrt2);
    sum += x * count * density * std::pow(below, count - 1) * step;
  }
  return sum;
}

Goodput simulate(const Faults& faults, double interval, double seconds, std::uint64_t seed) {
  constexpr double never = std::numeric_limits<double>::infinity();
  cria::Rng failure_times = cria::Rng(seed).split(0), slow_times = cria::Rng(seed).split(1);
  const auto after = [](cria::Rng& times, double mean) {
    return mean > 0 ? -mean * std::log(1 - times.uniform()) : never;
  };
  const double waiting = 1 + faults.jitter * expected_maximum(faults.ranks);
  const double slow_mean = faults.slow_mtbf / faults.nodes;

  Goodput result;
  double clock = 0, slow_until = 0;
  double failure = after(failure_times, faults.run_mtbf()), slow = after(slow_times, slow_mean);
  while (clock < seconds) {
    // Work until the next checkpoint, and its time; both are lost if they do not end.
    const double begin = clock;
    double work = interval;
    bool failed = false;
    while (work > 0 && !failed) {
      const bool is_slow = clock < slow_until;
      const double pace = waiting * (is_slow ? faults.slow_factor : 1);
      const double end = std::min({clock + work * pace, failure, slow, is_slow ? slow_until : never});
      work = end == clock + work * pace ? 0 : work - (end - clock) / pace;
      clock = end;
      if (clock >= slow) {
        slow_until = clock + faults.slow_time;
        slow = clock + after(slow_times, slow_mean);
      }
      failed = clock >= failure;
    }
    if (!failed && clock + faults.save <= failure) {
      result.useful += interval;
      result.stragglers += clock - begin - interval;
      result.saves += faults.save;
      clock += faults.save;
      continue;
    }
    result.lost_work += failure - begin;
    for (bool again = true; again;) {
      ++result.failures;
      clock = failure + faults.restart;
      const double next = failure + after(failure_times, faults.run_mtbf());
      again = next < std::min(clock, seconds);
      result.restarts += std::min(next, clock) - failure;
      failure = next;
    }
  }
  for (double* share :
       {&result.useful, &result.stragglers, &result.saves, &result.lost_work, &result.restarts}) {
    *share /= clock;
  }
  return result;
}

double young_interval(double save, double mtbf) {
  return std::sqrt(2 * save * mtbf);
}

double daly_interval(double save, double mtbf) {
  if (save >= 2 * mtbf) return mtbf;
  const double root = std::sqrt(save / (2 * mtbf));
  return young_interval(save, mtbf) * (1 + root / 3 + root * root / 9) - save;
}

double daly_goodput(const Faults& faults, double interval) {
  const double mtbf = faults.run_mtbf();
  return interval / (mtbf * std::exp(faults.restart / mtbf) * std::expm1((interval + faults.save) / mtbf));
}

std::vector<IntervalGoodput> goodput_by_interval(const Faults& faults, std::uint64_t seed) {
  // So many failures that chance moves the shares by little; fewer where they are rare beside the intervals.
  const double young = young_interval(faults.save, faults.run_mtbf());
  const double seconds = std::min(4000 * faults.run_mtbf(), 100'000 * young);
  std::vector<IntervalGoodput> all;
  for (int i = -6; i <= 6; ++i) {
    const double interval = young * std::pow(2.0, i / 2.0);
    all.push_back({interval, simulate(faults, interval, seconds, seed)});
  }
  return all;
}

const IntervalGoodput& best_interval(const std::vector<IntervalGoodput>& all) {
  return *std::max_element(all.begin(), all.end(), [](const IntervalGoodput& a, const IntervalGoodput& b) {
    return a.goodput.useful < b.goodput.useful;
  });
}

}  // namespace pretrain
