#include "cria/backend/cpu/lanes.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(lanes)

namespace {

using namespace cria;

/// How many elements of [rows, columns] a transposition puts in a wrong place, with what it repeats of the
/// last row to fill a register.
template <class A>
std::int64_t misplaced(std::int64_t rows, std::int64_t columns) {
  const std::int64_t from_row = columns + 3, whole = cria::cpu::padded<A>(rows), to_row = whole + 1;
  std::vector<A> from(static_cast<std::size_t>((rows - 1) * from_row + columns));
  std::vector<A> to(static_cast<std::size_t>(columns * to_row));
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<A>(i);
  cria::cpu::transpose(rows, columns, from.data(), from_row, to.data(), to_row);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < whole; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto want = static_cast<A>(std::min(i, rows - 1) * from_row + j);
      count += to[static_cast<std::size_t>(j * to_row + i)] != want;
    }
    count += i < columns && to[static_cast<std::size_t>(i * to_row + whole)] != A(0);  // beside it
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(transposes) {
  for (const std::int64_t rows : {1, 2, 15, 16, 32, 37}) {
    for (const std::int64_t columns : {1, 4, 16, 18, 36}) {
      BOOST_TEST_CONTEXT(rows << " x " << columns) {
        BOOST_TEST(misplaced<float>(rows, columns) == 0);
        BOOST_TEST(misplaced<double>(rows, columns) == 0);
        BOOST_TEST(misplaced<std::uint32_t>(rows, columns) == 0);
        BOOST_TEST(misplaced<std::uint16_t>(rows, columns) == 0);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
