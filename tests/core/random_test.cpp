#include "cria/core/random.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>
#include <vector>

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(random)

namespace {

using cria::philox;
using cria::Rng;
using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

}  // namespace

BOOST_AUTO_TEST_CASE(philox_gives_the_known_answers) {
  // kat_vectors of Random123, the authors' library.
  BOOST_TEST((philox(Counter{}, Key{}) == Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xFFFFFFFF;
  BOOST_TEST((philox(Counter{ones, ones, ones, ones}, Key{ones, ones}) ==
              Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  BOOST_TEST((philox(Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, Key{0xa4093822, 0x299f31d0}) ==
              Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

BOOST_AUTO_TEST_CASE(a_seed_names_its_stream) {
  Rng a(7), b(7), c(8);
  const std::uint64_t first = a.next();
  BOOST_TEST(b.next() == first);
  BOOST_TEST(c.next() != first);
  BOOST_TEST(a.next() != first);
}

BOOST_AUTO_TEST_CASE(the_stream_walks_through_the_blocks) {
  Rng rng(7);
  for (std::uint64_t index = 0; index < 3; ++index) {
    const auto words = rng.block(index);
    BOOST_TEST(rng.next() == (words[0] | std::uint64_t{words[1]} << 32));
    BOOST_TEST(rng.next() == (words[2] | std::uint64_t{words[3]} << 32));
  }
}

BOOST_AUTO_TEST_CASE(splitting_does_not_depend_on_what_was_drawn) {
  Rng rng(7);
  const std::uint64_t want = rng.split(3).next();
  rng.next();
  BOOST_TEST(rng.split(3).next() == want);
}

BOOST_AUTO_TEST_CASE(child_streams_differ_from_each_other_and_their_parent) {
  std::set<std::uint64_t> seen{Rng(0).next(), Rng(1).next()};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    seen.insert(Rng(0).split(i).next());
    seen.insert(Rng(1).split(i).next());
    seen.insert(Rng(0).split(i).split(0).next());
  }
  BOOST_TEST(seen.size() == 3002u);
}

BOOST_AUTO_TEST_CASE(child_streams_are_not_correlated) {
  constexpr int count = 100'000;
  Rng a = Rng(1).split(0), b = Rng(1).split(1);
  double product = 0;
  for (int i = 0; i < count; ++i) product += (a.uniform() - 0.5) * (b.uniform() - 0.5);
  BOOST_TEST(std::abs(product / count) < 4 / 12.0 / std::sqrt(count));  // four standard deviations
}

BOOST_AUTO_TEST_CASE(uniform_numbers_have_the_moments_of_their_distribution) {
  constexpr int count = 100'000;
  Rng rng(3);
  double sum = 0, squares = 0;
  bool inside = true;
  for (int i = 0; i < count; ++i) {
    const double x = rng.uniform();
    inside = inside && x >= 0 && x < 1;
    sum += x;
    squares += x * x;
  }
  BOOST_TEST(inside);
  BOOST_TEST(std::abs(sum / count - 1.0 / 2) < 4 * std::sqrt(1.0 / 12 / count));
  BOOST_TEST(std::abs(squares / count - 1.0 / 3) < 4 * std::sqrt(4.0 / 45 / count));
}

BOOST_AUTO_TEST_CASE(normal_numbers_have_the_moments_of_their_distribution) {
  constexpr int count = 100'000;
  Rng rng(3);
  std::array<double, 5> moment{};
  for (int i = 0; i < count; ++i) {
    const double x = rng.normal();
    for (std::size_t n = 1; n < moment.size(); ++n) moment[n] += std::pow(x, n) / count;
  }
  // Four standard deviations each: the variance of x^n is E x^2n - (E x^n)^2.
  const double unit = 4 / std::sqrt(count);
  BOOST_TEST(std::abs(moment[1]) < unit);
  BOOST_TEST(std::abs(moment[2] - 1) < unit * std::sqrt(2));
  BOOST_TEST(std::abs(moment[3]) < unit * std::sqrt(15));
  BOOST_TEST(std::abs(moment[4] - 3) < unit * std::sqrt(96));
}

BOOST_AUTO_TEST_CASE(numbers_below_a_bound_are_equally_likely) {
  constexpr int count = 70'000, bound = 7;
  Rng rng(3);
  std::array<int, bound> seen{};
  for (int i = 0; i < count; ++i) ++seen.at(rng.below(bound));
  double chi_square = 0;
  for (const int n : seen) chi_square += std::pow(n - 10'000.0, 2) / 10'000;
  BOOST_TEST(chi_square < 22.46);  // six degrees of freedom: exceeded once in a thousand seeds
  BOOST_TEST(rng.below(1) == 0u);
}

BOOST_AUTO_TEST_CASE(numbers_below_a_large_bound_have_no_bias) {
  // A plain remainder would draw the lower half of [0, 3 * 2^62) twice as often as it should its third.
  constexpr std::uint64_t bound = 3ull << 62;
  Rng rng(3);
  int low = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t x = rng.below(bound);
    BOOST_REQUIRE(x < bound);
    low += x < 1ull << 62;
  }
  BOOST_TEST(std::abs(low - 10'000) < 4 * std::sqrt(30'000 * 2 / 9.0));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
