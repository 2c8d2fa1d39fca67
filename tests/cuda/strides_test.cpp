// Loops in strides of the grid: as many items as one round of it has, and some more.

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "cria/cria.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(strides)

namespace {

using namespace cria;

/// Of one round, and a few of a second.
std::int64_t items() {
  return std::int64_t{cria::cuda::grid_for(std::int64_t{1} << 40)} * cria::cuda::block_size + 100;
}

/// 0, 1, 2, 3, 4, 0, 1, ...
Tensor<float> numbers(const Shape& shape) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) values.push_back(static_cast<float>(i % 5));
  return Tensor<float>::from(shape, values);
}

/// Whether x[i] is of(i) everywhere.
void check(const char* what, const Tensor<float>& x, auto of) {
  const auto values = x.to_vector();
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    wrong += values[i] == static_cast<float>(of(static_cast<std::int64_t>(i))) ? 0 : 1;
  }
  BOOST_TEST(wrong == 0, what << ": " << wrong << " elements are wrong");
}

}  // namespace

BOOST_AUTO_TEST_CASE(elements) {
  auto x = numbers({4 * items()}).set_requires_grad();
  const auto y = x * x;
  check("packs", y, [](std::int64_t i) { return i % 5 * (i % 5); });
  backward(sum(y));
  check("packs, backward", x.grad(), [](std::int64_t i) { return 2 * (i % 5); });
  check("repeated", numbers({items(), 1}) * numbers({1, 2}),
        [](std::int64_t i) { return i / 2 % 5 * (i % 2); });
}

BOOST_AUTO_TEST_CASE(dropped_elements) {
  std::int64_t kept = 0;
  const auto y = dropout(Tensor<float>::full({4 * items()}, 1.0f), 0.5f, Rng(1)).to_vector();
  for (std::size_t i = y.size() - 400; i < y.size(); ++i) {
    BOOST_TEST((y[i] == 0.0f || y[i] == 2.0f));
    kept += y[i] == 2.0f ? 1 : 0;
  }
  BOOST_TEST((kept > 150 && kept < 250));
}

BOOST_AUTO_TEST_CASE(rows) {
  const std::int64_t n = items();
  auto x = numbers({n, 2}).set_requires_grad();
  check("transpose", transpose(x, 0, 1), [n](std::int64_t i) { return (i % n * 2 + i / n) % 5; });
  const auto seconds = gather(x, 1, Tensor<std::int32_t>::full({n, 1}, 1));
  check("gather", seconds, [](std::int64_t i) { return (2 * i + 1) % 5; });
  backward(sum(seconds));
  check("gather, backward", x.grad(), [](std::int64_t i) { return i % 2; });
  const Parameter<float> table({3, 1}, 7.0);
  check("embedding", embedding(Tensor<std::int32_t>::full({n}, 2), table), [](std::int64_t) { return 7; });
  check("cumsum", cumsum(x, 1), [](std::int64_t i) { return i % 2 == 0 ? i % 5 : (i - 1) % 5 + i % 5; });
  check("sort", sort(numbers({n, 1})).values, [](std::int64_t i) { return i % 5; });
}

BOOST_AUTO_TEST_CASE(heads_and_images) {
  const std::int64_t n = items();
  check("rope", cria::rope(numbers({n, 1, 1, 2})), [](std::int64_t i) { return i % 5; });  // at position 0
  auto image = numbers({1, 1, 1, n}).set_requires_grad();
  const auto y = conv2d(image, Tensor<float>::full({1, 1, 1, 1}, 3.0f));
  check("conv2d", y, [](std::int64_t i) { return 3 * (i % 5); });
  backward(sum(y));
  check("conv2d, backward", image.grad(), [](std::int64_t) { return 3; });
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
