#include "cria/ops/map.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "cria/ops/cast.hpp"
#include "cria/ops/elementwise.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(map)

namespace {

using namespace cria;
using cria::test::broadcast_index;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

/// Four inputs, each repeated along other dimensions.
struct Chain {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{3, 5}, {5}, {3, 1}, {}},
            {{2, 3, 7}, {3, 1}, {2, 1, 7}, {1, 1, 1}},
            {{2, 1}, {1, 1030}, {2, 1030}, {1}}};
  }
  static std::int64_t terms(const Shapes&) { return 1100; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x, const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c) {
    return cria::map([](auto u, auto v, auto w, auto z) { return tanh(u * v) + w * z; }, x, a, b, c);
  }
  static Values reference(const std::vector<Values>& in, const Shapes& shapes) {
    const Shape result = broadcast_shape("reference", std::array{shapes[0], shapes[1], shapes[2], shapes[3]});
    Values y;
    for (std::int64_t i = 0; i < result.size(); ++i) {
      const auto at = [&](std::size_t k) { return in[k][broadcast_index(shapes[k], result, i)]; };
      y.push_back(std::tanh(at(0) * at(1)) + at(2) * at(3));
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(chain, Chain)

BOOST_AUTO_TEST_CASE(comparisons_give_masks) {
  const float nan = std::nanf("");
  const auto a = Tensor<float>::from({4}, {1, 2, 3, nan}), b = Tensor<float>::from({4}, {2, 2, 2, nan});
  const auto is = [](const Tensor<bool>& mask, std::vector<bool> want) {
    BOOST_TEST((mask.to_vector() == want));
  };
  is(a < b, {true, false, false, false});
  is(a <= b, {true, true, false, false});
  is(a > b, {false, false, true, false});
  is(a >= b, {false, true, true, false});
  is(a == b, {false, true, false, false});
  is(a != b, {true, false, true, true});
  is(a < 2, {true, false, false, false});
  is(a <= 2, {true, true, false, false});
  is(a > 2, {false, false, true, false});
  is(a >= 2, {false, true, true, false});
  is(a == 2, {false, true, false, false});
  is(a != 2, {true, false, true, true});
  is(!(a < 2), {false, true, true, true});
  is(a < 2 || a > 2, {true, false, true, false});
  is(a >= 2 && a <= 2, {false, true, false, false});
}

BOOST_AUTO_TEST_CASE(where_passes_each_gradient_to_what_was_taken) {
  auto a = Tensor<float>::from({2, 2}, {1, 2, 3, 4}).set_requires_grad();
  auto b = Tensor<float>::from({2}, {10, 20}).set_requires_grad();
  const auto y = where(a > 2, a, b);
  BOOST_TEST((y.to_vector() == std::vector<float>{10, 20, 3, 4}));
  backward(sum(y * Tensor<float>::from({4 / 2, 2}, {1, 2, 3, 4})));
  BOOST_TEST((a.grad().to_vector() == std::vector<float>{0, 0, 3, 4}));
  BOOST_TEST((b.grad().to_vector() == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(integers_are_mapped) {
  const auto x = Tensor<std::int32_t>::from({3}, {1, 2, 3});
  const auto y = cria::map([](auto v) { return 2 * v + 1; }, x);
  BOOST_TEST((y.to_vector() == std::vector<std::int32_t>{3, 5, 7}));
  const auto z = cria::map([](auto v, auto w) { return v * w; }, x, Tensor<float>::full({1}, 0.5f));
  BOOST_TEST((z.to_vector() == std::vector<float>{0.5f, 1, 1.5f}));
}

BOOST_AUTO_TEST_CASE(every_function_of_tensors_is_its_formula) {
  auto x = Tensor<float>::from({2}, {0.5f, 1.5f});
  const auto is = [](const Tensor<float>& y, double first, double second) {
    cria::test::check_close("y", cria::test::to_values(y), {first, second}, 1e-6);
  };
  is(abs(-x), 0.5, 1.5);
  is(sqrt(x), std::sqrt(0.5), std::sqrt(1.5));
  is(rsqrt(x), 1 / std::sqrt(0.5), 1 / std::sqrt(1.5));
  is(expm1(x), std::expm1(0.5), std::expm1(1.5));
  is(log1p(x), std::log1p(0.5), std::log1p(1.5));
  is(sigmoid(x), 1 / (1 + std::exp(-0.5)), 1 / (1 + std::exp(-1.5)));
  is(tanh(x), std::tanh(0.5), std::tanh(1.5));
  is(erf(x), std::erf(0.5), std::erf(1.5));
  is(sin(x), std::sin(0.5), std::sin(1.5));
  is(cos(x), std::cos(0.5), std::cos(1.5));
  is(floor(x), 0, 1);
  is(ceil(x), 1, 2);
  is(round(x), 0, 2);
  is(leaky_relu(x - 1, 0.1f), -0.05, 0.5);
  is(elu(x - 1, 2), 2 * std::expm1(-0.5), 0.5);
  is(gelu(x), 0.25 * std::erfc(-0.5 / std::sqrt(2)), 0.75 * std::erfc(-1.5 / std::sqrt(2)));
  is(gelu_tanh(x), 0.345714, 1.399572);  // PyTorch 2.9
  is(softplus(x), std::log1p(std::exp(0.5)), std::log1p(std::exp(1.5)));
  is(clamp(x, 0.75f, 1), 0.75, 1);
  is(pow(x, 3), 0.125, 3.375);
  is(pow(x, x), std::pow(0.5, 0.5), std::pow(1.5, 1.5));
  is(maximum(x, Tensor<float>::full({}, 1)), 1, 1.5);
  is(minimum(x, Tensor<float>::full({}, 1)), 0.5, 1);
  is(lerp(x, Tensor<float>::full({}, 2), Tensor<float>::full({}, 0.5f)), 1.25, 1.75);
}

BOOST_AUTO_TEST_CASE(sums_for_what_is_repeated_are_exact_to_the_last_digits) {
  constexpr std::int64_t rows = 300'000;
  auto number = Tensor<float>::full({}, 0.5f).set_requires_grad();
  auto row = Tensor<float>::full({3}, 0.5f).set_requires_grad();
  backward(sum(cria::map([](auto x, auto a, auto b) { return x * a * b; },
                         Tensor<float>::full({rows, 3}, 0.1f), number, row)));
  const double each = 0.5 * static_cast<double>(0.1f) * rows;
  BOOST_TEST(std::abs(static_cast<double>(number.grad().item()) - 3 * each) < 1e-6 * each);
  for (const float got : row.grad().to_vector())
    BOOST_TEST(std::abs(static_cast<double>(got) - each) < 1e-6 * each);
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  cria::test::check_threads_do_not_matter([&] {
    const auto x =
        Tensor<float>::from({300, 401}, cria::test::rounded<float>(cria::test::normals(300 * 401, 1)));
    const auto y = cria::map([](auto a, auto b) { return exp(a) * b; }, x, Tensor<float>::full({401}, 3));
    return cria::test::to_values(y);
  });
}

BOOST_AUTO_TEST_CASE(messages_name_the_operation) {
  const auto a = Tensor<float>::zeros({2, 3}), b = Tensor<float>::zeros({4}), c = Tensor<float>::zeros({1});
  BOOST_TEST(error_message<ShapeError>([&] { maximum(a, b); }) ==
             "maximum: shapes [2, 3] and [4] do not fit together; counted from the last, dimensions must be "
             "equal or 1");
  BOOST_TEST(error_message<ShapeError>([&] { a > b; }) ==
             "greater: shapes [2, 3] and [4] do not fit together; counted from the last, dimensions must be "
             "equal or 1");
  BOOST_TEST(error_message<ShapeError>([&] { lerp(c, a, b); }) ==
             "lerp: shapes [1], [2, 3] and [4] do not fit together; counted from the last, dimensions must "
             "be equal or 1");
}

BOOST_AUTO_TEST_CASE(one_side_may_be_a_number) {
  auto x = Tensor<float>::from({3}, {1, -2, 3}).set_requires_grad();
  const auto positive = x > 0.0f;
  BOOST_TEST((where(positive, x, 7).to_vector() == std::vector<float>{1, 7, 3}));
  BOOST_TEST((where(positive, 7, x).to_vector() == std::vector<float>{7, -2, 7}));
  backward(sum(where(positive, x * 2, 7) + where(positive, 7, x)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{2, 1, 2}));
}

BOOST_AUTO_TEST_CASE(integers_are_calculated_with) {
  const auto a = Tensor<std::int32_t>::from({2, 1}, {3, -4}), b = Tensor<std::int32_t>::from({2}, {10, 20});
  BOOST_TEST((((a + b) * 2 - 1).to_vector() == std::vector<std::int32_t>{25, 45, 11, 31}));
  BOOST_TEST(((-(a * b) - a).to_vector() == std::vector<std::int32_t>{-33, -63, 44, 84}));
  BOOST_TEST(((5 - a).to_vector() == std::vector<std::int32_t>{2, 9}));
}

BOOST_AUTO_TEST_CASE(integers_and_masks_are_chosen_from) {
  using Integers = std::vector<std::int32_t>;
  const auto a = Tensor<std::int32_t>::from({3}, {3, -4, 7}),
             b = Tensor<std::int32_t>::from({3}, {10, -20, 7});
  BOOST_TEST((cria::maximum(a, b).to_vector() == Integers{10, -4, 7}));
  BOOST_TEST((cria::minimum(a, b).to_vector() == Integers{3, -20, 7}));
  BOOST_TEST((cria::maximum(a, 0).to_vector() == Integers{3, 0, 7}));
  BOOST_TEST((cria::minimum(a, 5).to_vector() == Integers{3, -4, 5}));
  BOOST_TEST((cria::clamp(a, -1, 5).to_vector() == Integers{3, -1, 5}));
  BOOST_TEST((where(a > 0, a, b).to_vector() == Integers{3, -20, 7}));
  BOOST_TEST((where(a > 0, 1, b).to_vector() == Integers{1, -20, 1}));
  BOOST_TEST((cria::masked_fill(a, a > 0, -1).to_vector() == Integers{-1, -4, -1}));
  BOOST_TEST((where(a > 0, a == b, a != b).to_vector() == std::vector<bool>{false, true, true}));
  auto x = Tensor<float>::from({3}, {1, -2, 3}).set_requires_grad();
  const auto y = cria::maximum(x, 0.5f);
  BOOST_TEST((y.to_vector() == std::vector<float>{1, 0.5f, 3}));
  backward(sum(y + cria::minimum(x, 1)));  // equal ones have half the derivative
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{1.5f, 1, 1}));
}

template <class N>
concept IsComparedWithIntegers = requires(const Tensor<std::int32_t>& x, N number) {
  x < number;
};

// Of others the compiler says so (compile_errors/errors.cpp).
BOOST_AUTO_TEST_CASE(numbers_beside_integers_are_integers) {
  BOOST_TEST((IsComparedWithIntegers<std::int64_t> && !IsComparedWithIntegers<double>));
  const auto x = Tensor<std::int32_t>::from({2}, {1, 2});
  BOOST_TEST(((x - 3).to_vector() == std::vector<std::int32_t>{-2, -1}));
  BOOST_TEST(((3 - x * std::int64_t{2}).to_vector() == std::vector<std::int32_t>{1, -1}));
  BOOST_TEST(error_message<ConfigError>([&] { x + (std::int64_t{1} << 40); }) ==
             "Tensor: the number 1099511627776 stands beside elements of int32; it must be one of them");
}

BOOST_AUTO_TEST_CASE(bounds_must_be_in_order) {
  const auto x = Tensor<float>::zeros({2});
  BOOST_TEST(error_message<ConfigError>([&] { clamp(x, 1, -1); }) ==
             "clamp: low is 1.000000; it must be at most high = -1.000000");
}

BOOST_AUTO_TEST_CASE(numbers_become_integers_and_masks) {
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  const auto x = Tensor<float>::from({7}, {1.9f, -1.9f, 0, 3e9f, -infinity, nan, 0.25f});
  constexpr auto most = std::numeric_limits<std::int32_t>::max(),
                 least = std::numeric_limits<std::int32_t>::lowest();
  BOOST_TEST(
      (cria::cast<std::int32_t>(x).to_vector() == std::vector<std::int32_t>{1, -1, 0, most, least, 0, 0}));
  BOOST_TEST(
      (cria::cast<bool>(x).to_vector() == std::vector<bool>{true, true, false, true, true, true, true}));
  const auto whole = Tensor<std::int64_t>::from({2}, {-3, 5'000'000'000});
  BOOST_TEST((cria::cast<double>(whole).to_vector() == std::vector<double>{-3, 5e9}));
  BOOST_TEST((cria::cast<bfloat16>(whole > std::int64_t{0}).to_vector() ==
              std::vector<bfloat16>{bfloat16(0), bfloat16(1)}));
  BOOST_TEST((cria::cast<std::int64_t>(cria::cast<bfloat16>(x)).to_vector()[0] == 1));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
