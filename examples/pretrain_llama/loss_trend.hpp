#pragma once

#include <cstddef>
#include <cstdio>
#include <deque>
#include <string>

namespace pretrain {

/// Where a loss that jumps up and down is going.
class LossTrend {
 public:
  /// The loss of the next iteration.
  void add(double loss) {
    losses_.push_back(loss);
    if (losses_.size() > window) losses_.pop_front();
  }

  /// By how much the straight line of least squares through the last 100 losses changes from the first of
  /// them to the last. Of a single loss 0; NaN if one of them is no finite number.
  double change() const {
    const auto count = static_cast<double>(losses_.size());
    const double middle = (count - 1) / 2;
    double sum = 0, squares = 0, place = -middle;
    for (const double loss : losses_) {
      sum += place * loss;
      squares += place * place;
      ++place;
    }
    return squares > 0 ? sum / squares * (count - 1) : 0;
  }

  /// "loss 2.3134 (-0.0521)", the last one and the change.
  std::string text() const {
    char text[64];
    std::snprintf(text, sizeof(text), "loss %.4f (%+.4f)", losses_.back(), change());
    return text;
  }

 private:
  static constexpr std::size_t window = 100;
  std::deque<double> losses_;
};

}  // namespace pretrain
