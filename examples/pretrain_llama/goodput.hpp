#pragma once
/// What failures and slow nodes leave of a long run's time, and how often it should save.

#include <cstdint>
#include <vector>

namespace pretrain {

/// What happens to a run on many nodes. Times are in seconds.
struct Faults {
  std::int64_t ranks = 1;
  double nodes = 1;
  double mtbf = 0;       // of a node
  double restart = 0;    // from a failure to the next step
  double save = 0;       // that a checkpoint stops the run
  double jitter = 0;     // standard deviation of a rank's step, as a share of the step; all wait for the last
  double slow_mtbf = 0;  // mean time until a node turns slow; 0: never
  double slow_factor = 1.1;  // of a step, while one is
  double slow_time = 3600;   // until it is found and replaced by a spare

  /// Mean time between failures of the whole run.
  double run_mtbf() const { return mtbf / nodes; }
};

/// Where a simulated run's time went: shares, which add up to 1.
struct Goodput {
  double useful = 0;      // steps that were kept, as long as they take where no rank is slow
  double stragglers = 0;  // waiting for the last rank
  double saves = 0, lost_work = 0, restarts = 0;
  double failures = 0;  // their number
};

/// Expected maximum of n numbers of the standard normal distribution.
double expected_maximum(std::int64_t n);

/// Simulates `seconds` of a run that saves after every `interval` seconds of work. Failures of nodes, and
/// nodes that turn slow, are Poisson processes; a failure costs the work since the last complete checkpoint
/// and a restart, during which another one may happen. `seed` decides all.
Goodput simulate(const Faults& faults, double interval, double seconds, std::uint64_t seed);

/// The best interval by Young 1974, sqrt(2 save mtbf).
double young_interval(double save, double mtbf);
/// By Daly 2006: higher orders of the same; mtbf if a save takes more than 2 mtbf.
double daly_interval(double save, double mtbf);
/// The useful share by Daly 2006:
/// interval / (mtbf e^(restart / mtbf) (e^((interval + save) / mtbf) - 1)).
double daly_goodput(const Faults& faults, double interval);

/// Simulated goodput at intervals from an eighth of Young's to eight times it, each sqrt(2) times the one
/// before.
struct IntervalGoodput {
  double interval;
  Goodput goodput;
};
std::vector<IntervalGoodput> goodput_by_interval(const Faults& faults, std::uint64_t seed = 1);
/// The interval with the most useful time among these.
const IntervalGoodput& best_interval(const std::vector<IntervalGoodput>& all);

}  // namespace pretrain
