#include "cria/nn/cache.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(cache)

namespace {

using namespace cria;
using Cache = cria::nn::KeyValueCache<float>;

/// Numbers from `first` on.
Tensor<float> numbers(const Shape& shape, float first) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) values.push_back(first + static_cast<float>(i));
  return Tensor<float>::from(shape, values);
}

/// The elements of a part, which is all heads of some positions.
std::vector<float> elements(const HeadsPart<float>& part) {
  const std::int64_t first = part.offset() / part.whole().shape().product(2, 4);
  return slice(part.whole(), 1, first, first + part.dim(1)).to_vector();
}

}  // namespace

BOOST_AUTO_TEST_CASE(positions_are_appended_to_each_text) {
  Cache cache(2, 4, 1, 2);
  cache.append(numbers({2, 1, 1, 2}, 0), numbers({2, 1, 1, 2}, 100));
  cache.append(numbers({2, 2, 1, 2}, 10), numbers({2, 2, 1, 2}, 110));
  BOOST_TEST(cache.length() == 3);
  BOOST_TEST((elements(cache.keys()) == std::vector<float>{0, 1, 10, 11, 12, 13, 2, 3, 14, 15, 16, 17}));
  BOOST_TEST((elements(cache.values()) ==
              std::vector<float>{100, 101, 110, 111, 112, 113, 102, 103, 114, 115, 116, 117}));
  cache.truncate(3);  // which drops none
  BOOST_TEST(cache.length() == 3);
  cache.truncate(1);
  cache.append(numbers({2, 1, 1, 2}, 20), numbers({2, 1, 1, 2}, 120));
  BOOST_TEST((elements(cache.keys()) == std::vector<float>{0, 1, 20, 21, 2, 3, 22, 23}));
  BOOST_TEST(cache.length() == 2);
  BOOST_TEST(cache.capacity() == 4);
}

BOOST_AUTO_TEST_CASE(all_heads_of_a_position_are_kept) {
  Cache cache(2, 3, 2, 2);
  cache.append(numbers({2, 1, 2, 2}, 0), numbers({2, 1, 2, 2}, 100));
  cache.append(numbers({2, 2, 2, 2}, 10), numbers({2, 2, 2, 2}, 110));
  BOOST_TEST((elements(cache.keys()) == std::vector<float>{0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17,  //
                                                           4, 5, 6, 7, 18, 19, 20, 21, 22, 23, 24, 25}));
  BOOST_TEST((elements(cache.values()) ==
              std::vector<float>{100, 101, 102, 103, 110, 111, 112, 113, 114, 115, 116, 117,  //
                                 104, 105, 106, 107, 118, 119, 120, 121, 122, 123, 124, 125}));
}

BOOST_AUTO_TEST_CASE(a_copy_has_positions_and_memory_of_its_own) {
  Cache cache(2, 3, 1, 2);
  cache.append(numbers({2, 2, 1, 2}, 0), numbers({2, 2, 1, 2}, 100));
  Cache copy = cache.copy(4);
  BOOST_TEST(copy.capacity() == 4);
  BOOST_TEST(copy.batch() == 2);
  cache.truncate(0);
  cache.append(numbers({2, 2, 1, 2}, 50), numbers({2, 2, 1, 2}, 150));
  copy.append(numbers({2, 1, 1, 2}, 20), numbers({2, 1, 1, 2}, 120));
  BOOST_TEST((elements(copy.keys()) == std::vector<float>{0, 1, 2, 3, 20, 21, 4, 5, 6, 7, 22, 23}));
  BOOST_TEST((elements(copy.values()) ==
              std::vector<float>{100, 101, 102, 103, 120, 121, 104, 105, 106, 107, 122, 123}));
  BOOST_TEST(test::error_message<ShapeError>([&] { cache.copy(1); }) ==
             "KeyValueCache: a copy of capacity 1; there are 2 positions");
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_and_changes_nothing) {
  Cache cache(2, 4, 1, 2);
  cache.append(numbers({2, 3, 1, 2}, 0), numbers({2, 3, 1, 2}, 100));
  const auto message = [&](const Shape& k, const Shape& v) {
    return test::error_message<ShapeError>(
        [&] { cache.append(Tensor<float>::zeros(k), Tensor<float>::zeros(v)); });
  };
  BOOST_TEST(
      message({2, 2, 1, 2}, {2, 2, 1, 2}) ==
      "KeyValueCache: k is [2, 2, 1, 2]; 3 of the cache's 4 positions are filled, so at most 1 more are "
      "allowed");
  BOOST_TEST(message({2, 1, 1, 2}, {2, 1, 2, 2}) ==
             "KeyValueCache: shapes differ: k is [2, 1, 1, 2], v is [2, 1, 2, 2]; they must be equal");
  const auto of_other_size = [&](const Shape& shape) { return message(shape, shape); };
  BOOST_TEST(
      of_other_size({3, 1, 1, 2}) ==
      "KeyValueCache: dimensions differ: k is [3, 1, 1, 2], the cache is [2, 4, 1, 2]; k.dim(0) = 3 must "
      "equal the cache.dim(0) = 2");
  BOOST_TEST(
      of_other_size({2, 1, 3, 2}) ==
      "KeyValueCache: dimensions differ: k is [2, 1, 3, 2], the cache is [2, 4, 1, 2]; k.dim(2) = 3 must "
      "equal the cache.dim(2) = 1");
  BOOST_TEST(
      of_other_size({2, 1, 1, 4}) ==
      "KeyValueCache: dimensions differ: k is [2, 1, 1, 4], the cache is [2, 4, 1, 2]; k.dim(3) = 4 must "
      "equal the cache.dim(3) = 2");
  BOOST_TEST(message({2, 1, 2}, {2, 1, 2}) == "KeyValueCache: k is [2, 1, 2]; it must have 4 dimensions");
  BOOST_TEST(test::error_message<ShapeError>([&] { cache.truncate(4); }) ==
             "KeyValueCache: truncate to 4 positions; it has 3");
  BOOST_TEST(test::error_message<ShapeError>([&] { cache.truncate(-1); }) ==
             "KeyValueCache: truncate to -1 positions; it has 3");
  const auto wanted = Tensor<float>::zeros({2, 1, 1, 2}).set_requires_grad();
  const auto other = Tensor<float>::zeros({2, 1, 1, 2});
  const std::string sentence =
      "KeyValueCache: a gradient is wanted; a cache passes none on and is for NoGrad";
  BOOST_TEST(test::error_message<AutogradError>([&] { cache.append(wanted, other); }) == sentence);
  BOOST_TEST(test::error_message<AutogradError>([&] { cache.append(other, wanted); }) == sentence);
  BOOST_TEST((elements(cache.keys()) == numbers({2, 3, 1, 2}, 0).to_vector()));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
