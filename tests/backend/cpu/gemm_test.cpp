#include "cria/backend/cpu/gemm.hpp"

#include <Eigen/Core>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "cria/core/random.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(gemm)

namespace {

using namespace cria;
using Reference = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Sizes {
  std::int64_t m, n, k;
};

/// What the product is added to.
enum class To { nothing, itself, each_row };

/// Which operands are transposed, and what the product is added to.
struct Way {
  bool a_transposed, b_transposed;
  To added;
};
std::vector<Way> all_ways() {
  std::vector<Way> ways;
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      for (const To added : {To::nothing, To::itself, To::each_row}) ways.push_back({a, b, added});
    }
  }
  return ways;
}

template <class T>
std::vector<T> numbers(std::int64_t size, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> x(static_cast<std::size_t>(size));
  for (T& value : x) value = static_cast<T>(static_cast<acc_t<T>>(rng.normal()));
  return x;
}

/// x, or its transpose, as it lies in memory.
template <class T>
std::vector<T> stored(const std::vector<T>& x, std::int64_t rows, std::int64_t columns, bool transposed) {
  if (!transposed) return x;
  std::vector<T> y(x.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      y[static_cast<std::size_t>(j * rows + i)] = x[static_cast<std::size_t>(i * columns + j)];
    }
  }
  return y;
}

/// Two matrices [m, k] and [k, n], and one and a row [n] to add to.
template <class T, class C>
struct Case {
  Sizes size;
  std::vector<T> a = numbers<T>(size.m * size.k, 1), b = numbers<T>(size.k * size.n, 2);
  std::vector<C> before = numbers<C>(size.m * size.n, 3), row = numbers<C>(size.n, 4);

  std::vector<C> product(Way way) const {
    const auto left = stored(a, size.m, size.k, way.a_transposed);
    const auto right = stored(b, size.k, size.n, way.b_transposed);
    std::vector<C> c = before;
    const Rows<C> result{c.data(), size.m, size.n};
    cria::cpu::gemm(way.a_transposed ? transposed(Rows<const T>{left.data(), size.k, size.m})
                                     : plain(Rows<const T>{left.data(), size.m, size.k}),
                    way.b_transposed ? transposed(Rows<const T>{right.data(), size.n, size.k})
                                     : plain(Rows<const T>{right.data(), size.k, size.n}),
                    way.added == To::each_row ? cria::cpu::each_row(Vec<const C>{row.data(), size.n})
                                              : cria::cpu::itself_if(way.added == To::itself, result),
                    result);
    return c;
  }
};

template <class T>
Reference as_reference(const std::vector<T>& x, std::int64_t rows, std::int64_t columns) {
  Reference y(rows, columns);
  for (std::size_t i = 0; i < x.size(); ++i) {
    y.data()[i] = static_cast<double>(static_cast<acc_t<T>>(x[i]));
  }
  return y;
}

/// Compares with Eigen's product in double: no element is off by more than the rounding of its additions, and
/// of the result.
template <class T, class C>
void check(Sizes size) {
  const Case<T, C> x{size};
  const Reference a = as_reference(x.a, size.m, size.k), b = as_reference(x.b, size.k, size.n);
  const Reference before = as_reference(x.before, size.m, size.n), row = as_reference(x.row, 1, size.n);
  const Reference product = a * b, sizes_of_terms = a.cwiseAbs() * b.cwiseAbs();
  const double of_sums = static_cast<double>(std::numeric_limits<acc_t<T>>::epsilon()) *
                         std::sqrt(static_cast<double>(size.k) + 1) * 2;
  const double of_result = static_cast<double>(static_cast<acc_t<C>>(std::numeric_limits<C>::epsilon()));
  const double least = static_cast<double>(static_cast<acc_t<C>>(std::numeric_limits<C>::denorm_min()));
  for (const Way way : all_ways()) {
    Reference added = Reference::Zero(size.m, size.n);
    if (way.added == To::itself) added = before;
    if (way.added == To::each_row) added = row.replicate(size.m, 1);
    const Reference want = product + added, terms = sizes_of_terms + added.cwiseAbs();
    const Reference error = (as_reference(x.product(way), size.m, size.n) - want).cwiseAbs();
    const Reference bound = ((of_sums * terms + of_result * want.cwiseAbs()).array() + least).matrix();
    const double worst = error.cwiseQuotient(bound).maxCoeff();
    BOOST_TEST(worst < 1, dtype_name<T> << " to " << dtype_name<C> << ", " << size.m << " x " << size.n
                                        << " over " << size.k << ", transposed " << way.a_transposed
                                        << way.b_transposed << ", added to " << static_cast<int>(way.added)
                                        << ": off by " << worst << " times the bound");
  }
}

template <class T, class C>
void check_all() {
  // Every edge of tiles of up to 8 x 48, what few rows take, and several sections of depth.
  for (const std::int64_t m : {1, 3, 4, 8, 15, 50}) {
    for (const std::int64_t n : {1, 16, 33, 50, 97}) {
      for (const std::int64_t k : {1, 2, 33}) check<T, C>({m, n, k});
    }
    check<T, C>({m, 50, 801});
  }
  // Rows that are a multiple of some pages apart, several blocks of rows and columns.
  check<T, C>({40, 64, 1024});
  check<T, C>({600, 70, 64});
  check<T, C>({70, 3200, 30});
}

}  // namespace

BOOST_AUTO_TEST_CASE(products_are_those_of_eigen_in_double) {
  check_all<float, float>();
  check_all<double, double>();
  check_all<bfloat16, bfloat16>();
  check_all<bfloat16, float>();
  check_all<float16, float16>();
  check_all<float16, float>();
}

BOOST_AUTO_TEST_CASE(a_product_over_nothing_is_what_it_is_added_to) {
  for (const Way way : all_ways()) {
    const Case<float, float> x{{5, 20, 0}};
    const auto got = x.product(way);
    for (std::size_t i = 0; i < got.size(); ++i) {
      BOOST_TEST(got[i] == (way.added == To::itself     ? x.before[i]
                            : way.added == To::each_row ? x.row[i % 20]
                                                        : 0.0f));
    }
  }
}

// Texts that are written side by side depend on it.
BOOST_AUTO_TEST_CASE(of_few_rows_each_is_the_same_whatever_others_there_are) {
  const auto check_bits = []<class T>(T) {
    for (const std::int64_t depth : {3, 37, 100, 768}) {
      const std::int64_t columns = 33;
      const Case<T, T> x{{cria::cpu::few_rows, columns, depth}};
      const Rows<const T> b{x.b.data(), columns, depth};
      const auto rows = [&](std::int64_t first, std::int64_t count) {
        std::vector<T> c(static_cast<std::size_t>(count * columns));
        cria::cpu::gemm(plain(Rows<const T>{x.a.data() + first * depth, count, depth}), transposed(b), false,
                        Rows<T>{c.data(), count, columns});
        return c;
      };
      for (std::int64_t count = 1; count <= cria::cpu::few_rows; ++count) {
        const auto together = rows(0, count);
        for (std::int64_t i = 0; i < count; ++i) {
          const auto alone = rows(i, 1);
          BOOST_TEST(std::memcmp(together.data() + i * columns, alone.data(), alone.size() * sizeof(T)) == 0);
        }
      }
    }
  };
  check_bits(float());
  check_bits(double());
  check_bits(bfloat16());
  check_bits(float16());
}

// A result is cut for threads where tiles end, and an element is the same in every tile.
BOOST_AUTO_TEST_CASE(bits_do_not_depend_on_the_number_of_threads) {
  const auto check_bits = []<class T>(T) {
    for (const Sizes size : {Sizes{150, 210, 500}, {1000, 70, 90}, {2, 5000, 300}, {30, 2000, 100}}) {
      const Case<T, T> x{size};
      for (const Way way : all_ways()) {
        const auto product = [&] { return x.product(way); };
        const auto alone = cria::test::on_threads(1, product);
        for (const int threads : {2, 3, 4}) {  // rectangles in a row or column, and two by two
          const auto together = cria::test::on_threads(threads, product);
          BOOST_TEST(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(T)) == 0);
        }
      }
    }
  };
  check_bits(float());
  check_bits(bfloat16());
}

// Neither the zeros that panels are filled up with nor a skipped zero may hide what is not a number.
BOOST_AUTO_TEST_CASE(nan_and_infinity_reach_what_they_are_multiplied_into_and_nothing_else) {
  const auto check_special = []<class T>(T) {
    for (const float special :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (const Way way : all_ways()) {
        for (const Sizes size : {Sizes{3, 21, 17}, {13, 50, 31}, {30, 21, 401}}) {
          Case<T, T> x{size};
          const std::int64_t row = size.m - 1;
          x.a.back() = static_cast<T>(static_cast<acc_t<T>>(special));
          const auto c = x.product(way);
          for (std::int64_t i = 0; i < size.m; ++i) {
            for (std::int64_t j = 0; j < size.n; ++j) {
              const auto value =
                  static_cast<double>(static_cast<acc_t<T>>(c[static_cast<std::size_t>(i * size.n + j)]));
              if (std::isfinite(value) == (i == row)) {
                BOOST_ERROR(dtype_name<T> << ": c[" << i << ", " << j << "] is " << value);
              }
            }
          }
        }
      }
    }
  };
  check_special(float());
  check_special(double());
  check_special(bfloat16());
  check_special(float16());
}

// Pairs of bfloat16 take subnormal numbers for 0; others keep them.
BOOST_AUTO_TEST_CASE(subnormal_numbers_are_multiplied) {
  const float tiny = std::numeric_limits<float>::denorm_min() * 1000;
  const std::vector<float> a(6 * 5, tiny), b(5 * 30, 2.0f);
  std::vector<float> c(6 * 30);
  cria::cpu::gemm(plain(Rows<const float>{a.data(), 6, 5}), plain(Rows<const float>{b.data(), 5, 30}), false,
                  Rows<float>{c.data(), 6, 30});
  for (const float value : c) BOOST_TEST(value == 10 * tiny);
  const std::vector<float16> half_a(6 * 5, std::numeric_limits<float16>::denorm_min()),
      half_b(5 * 30, static_cast<float16>(2.0f));
  std::vector<float16> half_c(6 * 30);
  cria::cpu::gemm(plain(Rows<const float16>{half_a.data(), 6, 5}),
                  plain(Rows<const float16>{half_b.data(), 5, 30}), false,
                  Rows<float16>{half_c.data(), 6, 30});
  const float least = static_cast<float>(std::numeric_limits<float16>::denorm_min());
  for (const float16 value : half_c) BOOST_TEST(static_cast<float>(value) == 10 * least);
}

// A sum in bfloat16 would stay at 256.
BOOST_AUTO_TEST_CASE(sums_are_rounded_once) {
  for (const std::int64_t rows : {1, 8}) {
    const std::vector<bfloat16> a(static_cast<std::size_t>(rows * 3000), static_cast<bfloat16>(1.0f)),
        b(3000 * 16, static_cast<bfloat16>(1.0f));
    std::vector<bfloat16> c(static_cast<std::size_t>(rows * 16));
    cria::cpu::gemm(plain(Rows<const bfloat16>{a.data(), rows, 3000}),
                    plain(Rows<const bfloat16>{b.data(), 3000, 16}), false,
                    Rows<bfloat16>{c.data(), rows, 16});
    for (const bfloat16 value : c) BOOST_TEST(static_cast<float>(value) == 3008.0f);  // 3000 has no bfloat16
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
