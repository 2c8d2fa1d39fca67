#include "cria/ops/rearrange.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "cria/ops/expand.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(rearrange)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;
using Index = std::vector<std::int64_t>;
using Ints = std::vector<std::int32_t>;

/// The indices of an element, and back.
Index unravel(std::int64_t at, const Shape& shape) {
  Index index(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = at % shape.dim(axis);
    at /= shape.dim(axis);
  }
  return index;
}
std::int64_t ravel(const Index& index, const Shape& shape) {
  std::int64_t at = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    at = at * shape.dim(axis) + index[static_cast<std::size_t>(axis)];
  }
  return at;
}

/// An operation on one tensor, whose element `i` of the result is element `Move::source(i)` of x.
template <class Move>
struct Moved {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{2, 3, 2}}, {{1, 5, 3}}, {{33, 1, 40}}, {{65, 2, 34}}, {{0, 2, 3}}, {{2, 3, 4}}};
  }
  static std::int64_t terms(const Shapes&) { return 1; }
  static constexpr bool moves_elements = true;
  static auto run(const auto& x) { return Move::run(x); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape result = Move::result(shapes[0]);
    Values y;
    for (std::int64_t i = 0; i < result.size(); ++i) {
      const Index from = Move::source(unravel(i, result), shapes[0]);
      y.push_back(from.empty() ? 0.0 : inputs[0][static_cast<std::size_t>(ravel(from, shapes[0]))]);
    }
    return y;
  }
};

struct Turned {  // the last dimension comes first
  static auto run(const auto& x) { return cria::permute(x, {2, 0, -2}); }
  static Shape result(const Shape& x) { return {x.dim(2), x.dim(0), x.dim(1)}; }
  static Index source(const Index& i, const Shape&) { return {i[1], i[2], i[0]}; }
};
struct Swapped {
  static auto run(const auto& x) { return cria::transpose(x, 0, -1); }
  static Shape result(const Shape& x) { return {x.dim(2), x.dim(1), x.dim(0)}; }
  static Index source(const Index& i, const Shape&) { return {i[2], i[1], i[0]}; }
};
struct EverySecond {
  static auto run(const auto& x) { return cria::slice(x, 2, 1, 100, 2); }
  static Shape result(const Shape& x) { return {x.dim(0), x.dim(1), x.dim(2) / 2}; }
  static Index source(const Index& i, const Shape&) { return {i[0], i[1], 1 + 2 * i[2]}; }
};
struct LeadingRows {  // which share memory where that is aligned
  static auto run(const auto& x) { return cria::slice(x, 0, -2, 1000) * 1; }
  static Shape result(const Shape& x) { return x.with_dim(0, std::min<std::int64_t>(x.dim(0), 2)); }
  static Index source(const Index& i, const Shape& x) {
    return {i[0] + std::max<std::int64_t>(x.dim(0) - 2, 0), i[1], i[2]};
  }
};
struct Flipped {
  static auto run(const auto& x) { return cria::flip(x, {0, 2}); }
  static Shape result(const Shape& x) { return x; }
  static Index source(const Index& i, const Shape& x) {
    return {x.dim(0) - 1 - i[0], i[1], x.dim(2) - 1 - i[2]};
  }
};
struct Rolled {
  static auto run(const auto& x) { return cria::roll(x, -4, 1); }
  static Shape result(const Shape& x) { return x; }
  static Index source(const Index& i, const Shape& x) { return {i[0], (i[1] + 4) % x.dim(1), i[2]}; }
};
struct Padded {
  static auto run(const auto& x) { return cria::pad(x, {{0, 1}, {2, 0}, {1, 1}}); }
  static Shape result(const Shape& x) { return {x.dim(0) + 1, x.dim(1) + 2, x.dim(2) + 2}; }
  static Index source(const Index& i, const Shape& x) {
    const bool inside = i[0] < x.dim(0) && i[1] >= 2 && i[2] >= 1 && i[2] <= x.dim(2);
    return inside ? Index{i[0], i[1] - 2, i[2] - 1} : Index{};
  }
};
struct Repeated {
  static auto run(const auto& x) { return cria::repeat(x, {2, 1, 3}); }
  static Shape result(const Shape& x) { return {2 * x.dim(0), x.dim(1), 3 * x.dim(2)}; }
  static Index source(const Index& i, const Shape& x) { return {i[0] % x.dim(0), i[1], i[2] % x.dim(2)}; }
};
struct Lower {
  static auto run(const auto& x) { return cria::tril(x, 1); }
  static Shape result(const Shape& x) { return x; }
  static Index source(const Index& i, const Shape&) { return i[2] <= i[1] + 1 ? i : Index{}; }
};
struct Upper {
  static auto run(const auto& x) { return cria::triu(x, -1); }
  static Shape result(const Shape& x) { return x; }
  static Index source(const Index& i, const Shape&) { return i[2] >= i[1] - 1 ? i : Index{}; }
};
struct Transposed : Moved<Transposed> {  // matrices of a batch, each large enough to be moved in squares
  static std::vector<Shapes> shapes() { return {{{3, 9, 35}}}; }
  static auto run(const auto& x) { return cria::transpose(x, 1, 2); }
  static Shape result(const Shape& x) { return {x.dim(0), x.dim(2), x.dim(1)}; }
  static Index source(const Index& i, const Shape&) { return {i[0], i[2], i[1]}; }
};
struct Expanded : Moved<Expanded> {
  static std::vector<Shapes> shapes() { return {{{2, 1, 3}}, {{1, 1, 1}}, {{5, 1, 1}}}; }
  static auto run(const auto& x) { return cria::expand(x, result(x.shape())); }
  static Shape result(const Shape& x) { return {2, x.dim(0), 4, x.dim(2)}; }
  static Index source(const Index& i, const Shape&) { return {i[1], 0, i[3]}; }
};

struct Concatenated {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{2, 3, 2}, {2, 1, 2}, {2, 3, 2}}, {{40, 2}, {40, 0}, {40, 5}}, {{0, 1}, {0, 2}, {0, 3}}};
  }
  static std::int64_t terms(const Shapes&) { return 1; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c) {
    return cria::concat({a, b, c}, 1);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    Values y;
    for (std::int64_t row = 0; row < shapes[0].dim(0); ++row) {
      for (std::size_t k = 0; k < 3; ++k) {
        const auto size = shapes[k].product(1, shapes[k].rank());
        const auto first = inputs[k].begin() + row * size;
        y.insert(y.end(), first, first + size);
      }
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(permute, Moved<Turned>)
CRIA_TEST_OPERATION(swap, Moved<Swapped>)
CRIA_TEST_OPERATION(every_second, Moved<EverySecond>)
CRIA_TEST_OPERATION(leading_rows, Moved<LeadingRows>)
CRIA_TEST_OPERATION(flipped, Moved<Flipped>)
CRIA_TEST_OPERATION(rolled, Moved<Rolled>)
CRIA_TEST_OPERATION(padded, Moved<Padded>)
CRIA_TEST_OPERATION(repeated, Moved<Repeated>)
CRIA_TEST_OPERATION(lower, Moved<Lower>)
CRIA_TEST_OPERATION(upper, Moved<Upper>)
CRIA_TEST_OPERATION(transposed, Transposed)
CRIA_TEST_OPERATION(expanded, Expanded)
CRIA_TEST_OPERATION(concatenated, Concatenated)

BOOST_AUTO_TEST_CASE(integers_and_masks_are_moved) {
  const auto x = cria::reshape(arange<std::int32_t>(6), {2, 3});
  BOOST_TEST((cria::permute(x, {1, 0}).to_vector() == Ints{0, 3, 1, 4, 2, 5}));
  BOOST_TEST((cria::select(x, 1, -1).to_vector() == Ints{2, 5}));
  BOOST_TEST((cria::select(x, 0, 1).to_vector() == Ints{3, 4, 5}));
  BOOST_TEST((cria::pad(x, {{1, 0}, {0, 1}}, 7).to_vector() == Ints{7, 7, 7, 7, 0, 1, 2, 7, 3, 4, 5, 7}));
  BOOST_TEST((cria::stack({x, x + 10}, -1).to_vector() == Ints{0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15}));
  BOOST_TEST((cria::expand(cria::select(x, 0, 1), {2, 3}).to_vector() == Ints{3, 4, 5, 3, 4, 5}));
  BOOST_TEST((cria::flip(x > 3, 1).to_vector() == std::vector<bool>{false, false, false, true, true, false}));
  const auto wide = arange<std::int64_t>(0, 10, 3);
  BOOST_TEST((cria::roll(wide, 1, 0).to_vector() == std::vector<std::int64_t>{9, 0, 3, 6}));
}

BOOST_AUTO_TEST_CASE(parts_cover_the_whole) {
  const auto x = arange<std::int32_t>(7);
  const auto parts = cria::split(x, {2, 0, 5}, 0);
  BOOST_TEST((parts[0].to_vector() == Ints{0, 1}));
  BOOST_TEST(parts[1].size() == 0);
  BOOST_TEST((cria::concat(parts, 0).to_vector() == x.to_vector()));
  const auto chunks = cria::chunk(x, 3, 0);
  BOOST_TEST(chunks.size() == 3u);
  BOOST_TEST((chunks[2].to_vector() == Ints{6}));
}

BOOST_AUTO_TEST_CASE(bounds_of_a_slice_are_those_of_the_tensor) {
  const auto x = arange<std::int32_t>(5);
  BOOST_TEST((cria::slice(x, 0, -2, 100).to_vector() == Ints{3, 4}));
  BOOST_TEST((cria::slice(x, 0, -100, 2).to_vector() == Ints{0, 1}));
  BOOST_TEST((cria::slice(x, 0, 1, -1, 2).to_vector() == Ints{1, 3}));
  BOOST_TEST(cria::slice(x, 0, 3, 2).size() == 0);
}

BOOST_AUTO_TEST_CASE(leading_rows_share_memory_where_it_is_aligned) {
  auto x = Tensor<float>::zeros({4, 64});
  const auto rows = cria::slice(x, 0, 1, 3), copy = cria::slice(cria::reshape(x, {256}), 0, 1, 3);
  x.assign(std::vector<float>(256, 1.0f));
  BOOST_TEST((rows.to_vector() == std::vector<float>(128, 1.0f)));
  BOOST_TEST((copy.to_vector() == std::vector<float>(2, 0.0f)));
}

BOOST_AUTO_TEST_CASE(a_change_of_shared_rows_is_noticed) {
  auto x = Tensor<float>::full({4, 64}, 1.0f).set_requires_grad();
  const auto y = square(cria::slice(x, 0, 1, 3));
  x.assign(std::vector<float>(256, 2.0f));
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(y)); }).starts_with("backward: a value that"));
}

BOOST_AUTO_TEST_CASE(views_of_what_is_forgotten_keep_their_values) {
  const auto x = Tensor<float>::full({4, 64}, 3.0f).set_requires_grad();
  const auto y = square(x);
  const auto rows = cria::slice(y, 0, 1, 2), flat = cria::reshape(y, {256});
  y.forget();
  BOOST_TEST(rows.to_vector()[0] == 9.0f);
  BOOST_TEST(flat.to_vector()[0] == 9.0f);
  backward(sum(square(rows)) + sum(flat));
  BOOST_TEST(x.grad().to_vector()[0] == 6.0f);
  BOOST_TEST(x.grad().to_vector()[64] == 6.0f * 19);  // 2 x (1 + 2 y)
}

BOOST_AUTO_TEST_CASE(a_tensor_may_be_concatenated_with_itself) {
  const auto x = Tensor<float>::full({2}, 3.0f).set_requires_grad();
  backward(sum(cria::concat({x, x * 2, x}, 0)));
  BOOST_TEST((x.grad().to_vector() == std::vector<float>{4, 4}));
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const auto x = Tensor<float>::zeros({2, 3});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] {
               cria::permute(x, {0, 0});
             }) == "permute: x is [2, 3] and axes are {0, 0}; each dimension must be named once");
  BOOST_TEST(message([&] { cria::permute(x, {0, 2}); }) == "permute: x is [2, 3]; it has no dimension 2");
  BOOST_TEST(message([&] { cria::transpose(x, 0, -3); }) == "transpose: x is [2, 3]; it has no dimension -3");
  BOOST_TEST(message([&] { cria::slice(x, 0, 2, 0, -1); }) ==
             "slice: step is -1; it must be at least 1, and flip turns the order round");
  BOOST_TEST(message([&] { cria::select(x, 1, 3); }) ==
             "select: x is [2, 3]; index 3 along dimension 1 must be in [-3, 3)");
  BOOST_TEST(message([&] {
               cria::split(x, {1, 1}, 1);
             }) == "split: x is [2, 3] and sizes are {1, 1}; they must be 0 or more and add up to 3");
  BOOST_TEST(message([&] { cria::chunk(x, 0, 1); }) == "chunk: count is 0; it must be at least 1");
  BOOST_TEST(message([&] {
               cria::concat({x, Tensor<float>::zeros({3, 3})}, 1);
             }) == "concat: tensor 0 is [2, 3] and tensor 1 is [3, 3]; all dimensions but 1 must be equal");
  BOOST_TEST(message([&] { cria::concat(std::vector<Tensor<float>>{}, 1); }) ==
             "concat: there are no tensors; at least one is needed");
  BOOST_TEST(message([&] {
               cria::stack({x, Tensor<float>::zeros({3, 2})}, 0);
             }) == "stack: shapes differ: tensor 0 is [2, 3], another tensor is [3, 2]; they must be equal");
  BOOST_TEST(
      message([&] {
        cria::expand(x, {2, 2, 4});
      }) ==
      "expand: shapes [2, 3] and [2, 2, 4] do not fit together; counted from the last, dimensions must be "
      "equal or 1");
  BOOST_TEST(
      message([&] {
        cria::expand(x, {1, 3});
      }) ==
      "expand: x is [2, 3], which cannot be expanded to [1, 3]; counted from the last, dimensions must be "
      "equal, or 1 in x");
  BOOST_TEST(message([&] { cria::repeat(x, {2}); }) ==
             "repeat: x is [2, 3] and there are 1 counts; each dimension needs one, of 0 or more");
  BOOST_TEST(
      message([&] {
        cria::pad(x, {{0, 1}, {-1, 0}});
      }) == "pad: x is [2, 3] and there are 2 pairs; each dimension needs one, {before, after} of 0 or more");
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(message([&] {
               cria::repeat(x, {far, 1});
             }) == "repeat: x is [2, 3]; dimension 0 9223372036854775807 times is too large");
  BOOST_TEST((cria::repeat(x, {1 << 30, 0}).shape() == Shape{2LL << 30, 0}));
  BOOST_TEST(message([&] {
               cria::repeat(x, {1, far / 4});
             }).starts_with("Shape: [2, 6917529027641081853] has"));
  BOOST_TEST(message([&] {
               cria::split(x, {far, far, 5}, 1);
             }) ==
             "split: x is [2, 3] and sizes are {9223372036854775807, 9223372036854775807, 5}; they must be "
             "0 or more and add up to 3");
  BOOST_TEST(cria::chunk(x, far, 1).size() == 3u);
  BOOST_TEST(message([&] {
               cria::pad(x, {{0, 0}, {far, 1}});
             }) ==
             "pad: x is [2, 3]; dimension 1 with 9223372036854775807 before it and 1 behind it is too large");
  BOOST_TEST(message([&] {
               cria::stack({x, x}, 4);
             }) == "stack: tensor 0 is [2, 3]; there is no place for a dimension 4");
  const auto full = Tensor<float>::zeros({1, 1, 1, 1, 1, 1});
  BOOST_TEST(message([&] {
               cria::stack({full, full}, 0);
             }) ==
             "stack: tensor 0 is [1, 1, 1, 1, 1, 1]; there is no place for a dimension 0 beside 6 others");
  BOOST_TEST(message([&] { cria::tril(Tensor<float>::zeros({3})); }) ==
             "tril: x is [3]; at least 2 dimensions are needed");
  BOOST_TEST(message([&] { cria::flip(x, {0, -2}); }) == "flip: x is [2, 3]; dimension -2 is named twice");
  BOOST_TEST(message([&] { cria::roll(x, 1, 2); }) == "roll: x is [2, 3]; it has no dimension 2");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
