#include "cria/ops/gather.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "cria/ops/reduce.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(gather)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::indices;
using cria::test::Shapes;
using cria::test::Values;
using Floats = std::vector<float>;

/// Rows 1 of [outer, n, inner], m of which are taken, some twice and some never.
struct Places {
  std::int64_t outer, n, inner, m;
  explicit Places(const Shape& x) : outer(x.dim(0)), n(x.dim(1)), inner(x.product(2, x.rank())), m(n + 2) {}
};

struct Gathered {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 5}}, {{1, 3, 300}}, {{40, 1}}, {{2, 3, 2, 2}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(1); }
  static Tensor<std::int32_t> index(const Shape& x) { return indices(x.with_dim(1, Places(x).m), x.dim(1)); }
  static auto run(const auto& x) { return cria::gather(x, 1, index(x.shape())); }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Places p(shapes[0]);
    const auto from = index(shapes[0]).to_vector();
    Values y;
    for (std::size_t at = 0; at < from.size(); ++at) {
      const auto i = static_cast<std::int64_t>(at);
      y.push_back(inputs[0][static_cast<std::size_t>((i / (p.m * p.inner) * p.n + from[at]) * p.inner +
                                                     i % p.inner)]);
    }
    return y;
  }
};
struct Selected : Gathered {
  static auto run(const auto& x) {
    return cria::index_select(x, -x.rank() + 1, indices({x.dim(1) + 2}, x.dim(1)));
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Places p(shapes[0]);
    const auto from = indices({p.m}, p.n).to_vector();
    Values y;
    for (std::int64_t o = 0; o < p.outer; ++o) {
      for (const std::int32_t j : from) {
        const auto first = inputs[0].begin() + (o * p.n + j) * p.inner;
        y.insert(y.end(), first, first + p.inner);
      }
    }
    return y;
  }
};
struct Scattered {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 5}, {3, 7}}, {{2, 3, 2}, {2, 5, 2}}}; }
  static std::int64_t terms(const Shapes&) { return 4; }
  static auto run(const auto& x, const auto& source) {
    return cria::scatter_add(x, 1, indices(source.shape(), x.dim(1)), source);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Places p(shapes[0]);
    const auto to = indices(shapes[1], p.n).to_vector();
    Values y = inputs[0];
    for (std::size_t at = 0; at < to.size(); ++at) {
      const auto i = static_cast<std::int64_t>(at);
      y[static_cast<std::size_t>((i / (p.m * p.inner) * p.n + to[at]) * p.inner + i % p.inner)] +=
          inputs[1][at];
    }
    return y;
  }
};

/// As PyTorch, where no place is named twice.
struct Replaced {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{3, 5}, {3, 2}}, {{2, 4, 3}, {2, 3, 3}}, {{2, 3}, {2, 0}}}; }
  static std::int64_t terms(const Shapes&) { return 1; }
  static std::int64_t place(std::int64_t j, std::int64_t o, std::int64_t n) { return (n - 1 - j + o) % n; }
  static auto run(const auto& x, const auto& source) {
    std::vector<std::int32_t> index;
    for (std::int64_t i = 0; i < source.size(); ++i) {
      const std::int64_t inner = source.shape().product(2, source.rank()), m = source.dim(1);
      index.push_back(static_cast<std::int32_t>(place(i / inner % m, i / (inner * m), x.dim(1))));
    }
    return cria::scatter(x, 1, Tensor<std::int32_t>::from(source.shape(), index), source);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t n = shapes[0].dim(1), m = shapes[1].dim(1);
    const std::int64_t inner = shapes[0].product(2, shapes[0].rank());
    Values y = inputs[0];
    for (std::int64_t i = 0; i < shapes[1].size(); ++i) {
      const std::int64_t o = i / (inner * m);
      y[static_cast<std::size_t>((o * n + place(i / inner % m, o, n)) * inner + i % inner)] =
          inputs[1][static_cast<std::size_t>(i)];
    }
    return y;
  }
};

}  // namespace

CRIA_TEST_OPERATION(replaced, Replaced)
CRIA_TEST_OPERATION(gathered, Gathered)
CRIA_TEST_OPERATION(selected, Selected)
CRIA_TEST_OPERATION(scattered, Scattered)

BOOST_AUTO_TEST_CASE(integers_and_masks_are_gathered) {
  const auto order = Tensor<std::int32_t>::from({3}, {2, 0, 2});
  BOOST_TEST((cria::index_select(arange<std::int64_t>(10, 13), 0, order).to_vector() ==
              std::vector<std::int64_t>{12, 10, 12}));
  BOOST_TEST((cria::gather(arange<std::int32_t>(3) > 1, 0, order).to_vector() ==
              std::vector<bool>{true, false, true}));
}

BOOST_AUTO_TEST_CASE(classes_become_vectors) {
  const auto classes = Tensor<std::int32_t>::from({2, 2}, {2, 0, -100, 1});
  const auto y = one_hot(classes, 3);
  BOOST_TEST(y.shape() == Shape({2, 2, 3}));
  BOOST_TEST((y.to_vector() == Floats{0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0}));
  BOOST_TEST((one_hot<std::int32_t>(classes, 1).to_vector() == std::vector<std::int32_t>{0, 1, 0, 0}));
}

BOOST_AUTO_TEST_CASE(masks_are_filled) {
  auto x = Tensor<float>::from({2, 2}, {1, 2, 3, 4}).set_requires_grad();
  const auto y = masked_fill(x, Tensor<bool>::from({2}, {true, false}), -1);
  BOOST_TEST((y.to_vector() == Floats{-1, 2, -1, 4}));
  backward(sum(y * y));
  BOOST_TEST((x.grad().to_vector() == Floats{0, 4, 0, 8}));
}

BOOST_AUTO_TEST_CASE(sixteen_bits_are_summed_in_float) {
  auto x = Tensor<bfloat16>::zeros({1}).set_requires_grad();
  backward(sum(cria::index_select(x, 0, Tensor<std::int32_t>::zeros({300}))));
  BOOST_TEST(static_cast<float>(x.grad().item()) == 300.0f);
}

BOOST_AUTO_TEST_CASE(what_is_not_zero_is_found) {
  const auto x = Tensor<float>::from({2, 3}, {0, std::nanf(""), -1, -0.0f, 0, 2});
  const auto places = nonzero(x);
  BOOST_TEST(places.shape() == Shape({3, 2}));
  BOOST_TEST((places.to_vector() == std::vector<std::int32_t>{0, 1, 0, 2, 1, 2}));
  BOOST_TEST((nonzero(arange<std::int32_t>(4) > 1).to_vector() == std::vector<std::int32_t>{2, 3}));
  BOOST_TEST((nonzero(Tensor<bfloat16>::zeros({2, 2, 2})).shape() == Shape({0, 3})));
  BOOST_TEST((nonzero(Tensor<double>::scalar(3)).shape() == Shape({1, 0})));
}

BOOST_AUTO_TEST_CASE(indices_must_be_in_range) {
  const auto x = Tensor<float>::zeros({2, 3});
  for (const std::int32_t bad : {-1, 3}) {
    const std::string sentence =
        ": index " + std::to_string(bad) + " at position 1 is out of range; it must be in [0, 3)";
    const auto index = Tensor<std::int32_t>::from({2}, {0, bad});
    BOOST_TEST(error_message<ShapeError>([&] { cria::index_select(x, 1, index).to_vector(); }) ==
               "index_select" + sentence);
    // Of one row, where every other place is outside of the memory.
    BOOST_TEST(error_message<ShapeError>([&] {
                 cria::scatter_add(Tensor<float>::zeros({1, 3}), 1, reshape(index, {1, 2}),
                                   Tensor<float>::zeros({1, 2}))
                     .to_vector();
               }) == "scatter_add" + sentence);
    BOOST_TEST(error_message<ShapeError>([&] {
                 cria::gather(x, 1, reshape(index, {2, 1})).to_vector();
               }) == "gather" + sentence);
  }
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const auto x = Tensor<float>::zeros({2, 3});
  const auto index = Tensor<std::int32_t>::zeros({3, 3});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] { cria::gather(x, 1, index); }) ==
             "gather: x is [2, 3] and index is [3, 3]; all dimensions but 1 must be equal");
  BOOST_TEST(message([&] { cria::index_select(x, 1, index); }) ==
             "index_select: index is [3, 3]; it must have 1 dimension");
  BOOST_TEST(message([&] { cria::scatter_add(x, 1, index, x); }) ==
             "scatter_add: shapes differ: index is [3, 3], source is [2, 3]; they must be equal");
  BOOST_TEST(error_message<ConfigError>([&] { cria::one_hot(index, -1); }) ==
             "one_hot: classes is -1; it must be in [0, 2^31)");
  BOOST_TEST(message([&] { cria::gather(x, 2, index); }) == "gather: x is [2, 3]; it has no dimension 2");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
