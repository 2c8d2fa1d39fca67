#pragma once
/// Comparing arrays, and the one place that says how exact an element type is.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "cria/core/dtype.hpp"
#include "cria/core/tensor.hpp"

namespace cria::test {

using Values = std::vector<double>;

/// The distance from 1 to the next larger T.
template <class T>
double epsilon() {
  if constexpr (std::is_same_v<T, bfloat16>) return 0x1p-7;
  if constexpr (std::is_same_v<T, float16>) return 0x1p-10;
  if constexpr (!std::is_same_v<T, acc_t<T>>) return 0;
  if constexpr (std::is_same_v<T, acc_t<T>>) return std::numeric_limits<T>::epsilon();
}

/// How far a T that was summed from `terms` products of numbers around 1 may be from the exact value: some
/// roundings to T, and for each term some of the type that sums are kept in. Relative above 1, absolute
/// below.
template <class T>
double tolerance(std::int64_t terms = 1) {
  return 2 * epsilon<T>() + 4 * static_cast<double>(terms) * epsilon<acc_t<T>>();
}

template <class T>
double to_double(T value) {
  return static_cast<double>(static_cast<acc_t<T>>(value));
}

/// All elements as doubles; none if the tensor is undefined.
template <class T, class B>
Values to_values(const Tensor<T, B>& x) {
  Values values;
  if (!x.defined()) return values;
  for (const T element : x.to_vector()) values.push_back(to_double(element));
  return values;
}

/// Fails with the place, got and want of the worst element unless each is within `tolerance`.
inline void check_close(const std::string& what, const Values& got, const Values& want, double tolerance) {
  if (got.size() != want.size()) {
    BOOST_ERROR(what << ": got " << got.size() << " elements, want " << want.size());
    return;
  }
  std::size_t worst = 0, wrong = 0;
  double worst_excess = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    const double excess = std::abs(got[i] - want[i]) / std::max(1.0, std::abs(want[i]));
    if (excess <= tolerance) continue;
    ++wrong;
    if (wrong == 1 || !(excess <= worst_excess)) {
      worst = i;
      worst_excess = excess;
    }
  }
  if (wrong > 0) {
    BOOST_ERROR(what << ": " << wrong << " of " << got.size() << " elements are wrong, the worst at index "
                     << worst << ": got " << std::setprecision(17) << got[worst] << ", want " << want[worst]
                     << ", tolerance " << tolerance);
  } else {
    BOOST_TEST(wrong == 0u);  // so that a test whose arrays all agree has checked something
  }
}

}  // namespace cria::test
