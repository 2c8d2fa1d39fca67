#include "cria/backend/cpu/small_product.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "support/compare.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(small_product)

namespace {

using namespace cria;
using cria::test::Values;

/// Normal numbers that are exact in T.
template <class T>
Values numbers(std::int64_t size, std::uint64_t seed) {
  Values values;
  for (const T value : cria::test::rounded<T>(cria::test::normals(size, seed)))
    values.push_back(cria::test::to_double(value));
  return values;
}

/// c = 1 + a b for a [depth, rows] and b [depth, columns], by factors of T and one by one.
template <class T>
void check_product(std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  using A = acc_t<T>;
  using F = cria::cpu::factor_t<T>;
  const Values left = numbers<T>(depth * rows, 1);
  const Values right = numbers<T>(depth * columns, 2);
  const auto joined = [depth](const Values& from, std::int64_t width) {  // neighbours in a column
    const std::int64_t even = depth + depth % 2;
    std::vector<A> sums(static_cast<std::size_t>(even * width), A(0));
    for (std::size_t i = 0; i < from.size(); ++i) sums[i] = static_cast<A>(from[i]);
    std::vector<F> factors(static_cast<std::size_t>(even * width));
    const F* at = cria::cpu::Packing<F>::sums_down_columns(sums.data(), even, width, factors.data());
    return std::vector<F>(at, at + cria::cpu::factors_for<F>(depth) * width);
  };
  const std::int64_t wide = cria::cpu::padded<A>(rows);  // sums_down_columns takes whole registers
  Values padded_left;
  for (std::int64_t k = 0; k < depth; ++k) {
    for (std::int64_t i = 0; i < wide; ++i)
      padded_left.push_back(i < rows ? left[static_cast<std::size_t>(k * rows + i)] : 0);
  }
  const std::vector<F> a = joined(padded_left, wide), b = joined(right, columns);
  std::vector<A> c(static_cast<std::size_t>(rows * columns), A(1));
  cria::cpu::small_product<1>(rows, columns, cria::cpu::factors_for<F>(depth), a.data(), wide, b.data(),
                              columns, c.data(), columns, true);
  Values got(c.begin(), c.end()), want;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 1;
      for (std::int64_t k = 0; k < depth; ++k) {
        sum +=
            left[static_cast<std::size_t>(k * rows + i)] * right[static_cast<std::size_t>(k * columns + j)];
      }
      want.push_back(sum);
    }
  }
  cria::test::check_close(
      std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(depth), got, want,
      8 * static_cast<double>(depth) * cria::test::epsilon<A>());
}

template <class T>
void check_products() {
  constexpr std::int64_t lanes = cria::cpu::lane_count<acc_t<T>>;
  for (const std::int64_t rows : {1, 5, 12, 31}) {
    for (const std::int64_t columns : {lanes, 2 * lanes, 3 * lanes, 5 * lanes}) {
      for (const std::int64_t depth : {1, 4, 37}) check_product<T>(rows, columns, depth);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(sums_products) {
  check_products<float>();
  check_products<double>();
  check_products<bfloat16>();
}

/// Neighbours in a row: what the first factor of the first operand is made of where it lies row by row.
BOOST_AUTO_TEST_CASE(packs_rows_of_odd_width) {
  using F = cria::cpu::factor_t<bfloat16>;
  const auto lanes = static_cast<std::size_t>(cria::cpu::lane_count<F>);
  std::vector<bfloat16> row;
  for (int i = 1; i <= 6; ++i) row.emplace_back(static_cast<float>(i));
  const std::int64_t depth = cria::cpu::factors_for<F>(3);
  std::vector<F> factors(2 * static_cast<std::size_t>(depth));
  cria::cpu::Packing<F>::along_rows(row.data(), 2, 3, factors.data());
  BOOST_TEST((cria::cpu::Packing<F>::along_rows_in_place(row.data(), 3, 3) == nullptr));
  // (1, 2, 3) and (4, 5, 6), each times itself
  for (std::size_t part = 0; part < 2; ++part) {
    std::vector<F> columns(3 * lanes, F{});
    const F* own = factors.data() + static_cast<std::int64_t>(part) * depth;
    for (std::int64_t k = 0; k < depth; ++k) columns[static_cast<std::size_t>(k) * lanes] = own[k];
    std::vector<float> sum(lanes);
    cria::cpu::small_product<1>(1, cria::cpu::lane_count<F>, depth, own, 1, columns.data(),
                                cria::cpu::lane_count<F>, sum.data(), cria::cpu::lane_count<F>, false);
    BOOST_TEST(sum[0] == (part == 0 ? 14.0f : 77.0f));
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
