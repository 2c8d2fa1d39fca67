#include "cria/ops/convolution.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "cria/ops/create.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(convolution)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;
using Floats = std::vector<float>;

std::size_t at(const Shape& s, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return static_cast<std::size_t>(((a * s.dim(1) + b) * s.dim(2) + c) * s.dim(3) + d);
}
/// The pixel of x, or what is outside.
double pixel(const Values& x, const Shape& s, std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j,
             double outside = 0) {
  return i < 0 || j < 0 || i >= s.dim(2) || j >= s.dim(3) ? outside : x[at(s, n, c, i, j)];
}

template <class Options>
struct Convolution {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() { return {Options::shapes()}; }
  static std::int64_t terms(const Shapes& shapes) { return 2 * shapes[1].size(); }
  static auto run(const auto& x, const auto& weight, const auto& bias) {
    return cria::conv2d(x, weight, bias, Options::of());
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Conv2dOptions o = Options::of();
    const Shape &x = shapes[0], &w = shapes[1];
    const std::int64_t of_group = w.dim(0) / o.groups;
    Values y;
    for (std::int64_t n = 0; n < x.dim(0); ++n) {
      for (std::int64_t out = 0; out < w.dim(0); ++out) {
        for (std::int64_t i = -o.padding.height;
             i + o.dilation.height * (w.dim(2) - 1) < x.dim(2) + o.padding.height; i += o.stride.height) {
          for (std::int64_t j = -o.padding.width;
               j + o.dilation.width * (w.dim(3) - 1) < x.dim(3) + o.padding.width; j += o.stride.width) {
            double sum = inputs[2][static_cast<std::size_t>(out)];
            for (std::int64_t c = 0; c < w.dim(1); ++c) {
              for (std::int64_t u = 0; u < w.dim(2); ++u) {
                for (std::int64_t v = 0; v < w.dim(3); ++v) {
                  sum += inputs[1][at(w, out, c, u, v)] *
                         pixel(inputs[0], x, n, out / of_group * w.dim(1) + c, i + u * o.dilation.height,
                               j + v * o.dilation.width);
                }
              }
            }
            y.push_back(sum);
          }
        }
      }
    }
    return y;
  }
};
struct Plain {
  static Shapes shapes() { return {{3, 2, 4, 5}, {3, 2, 3, 3}, {3}}; }
  static Conv2dOptions of() { return {}; }
};
struct Strided {
  static Shapes shapes() { return {{2, 2, 5, 7}, {2, 2, 3, 2}, {2}}; }
  static Conv2dOptions of() { return {.stride = {2, 3}, .padding = {2, 1}}; }
};
struct Grouped {
  static Shapes shapes() { return {{2, 4, 5, 4}, {6, 2, 2, 2}, {6}}; }
  static Conv2dOptions of() { return {.padding = 1, .dilation = {2, 1}, .groups = 2}; }
};
// Channels enough to lie in the lanes of registers.
struct Wide {
  static Shapes shapes() { return {{2, 9, 4, 5}, {17, 9, 3, 2}, {17}}; }
  static Conv2dOptions of() { return {.padding = {1, 2}}; }
};
struct WideStrided {
  static Shapes shapes() { return {{1, 8, 6, 8}, {8, 8, 2, 3}, {8}}; }
  static Conv2dOptions of() { return {.stride = {3, 2}, .padding = {0, 2}, .dilation = {1, 2}}; }
};
struct WideGrouped {
  static Shapes shapes() { return {{1, 16, 3, 4}, {18, 8, 2, 2}, {18}}; }
  static Conv2dOptions of() { return {.padding = 1, .groups = 2}; }
};
struct Pixelwise {
  static Shapes shapes() { return {{2, 4, 3, 3}, {6, 2, 1, 1}, {6}}; }
  static Conv2dOptions of() { return {.groups = 2}; }
};

/// conv_transpose2d spreads what conv2d gathers.
struct Transposed {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>>;
  static constexpr std::int64_t stride = 2, padding = 1, dilation = 2, groups = 2;
  static std::vector<Shapes> shapes() { return {{{2, 4, 3, 4}, {4, 3, 3, 2}}}; }
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].size(); }
  static auto run(const auto& x, const auto& weight) {
    return cria::conv_transpose2d(x, weight,
                                  {.stride = stride,
                                   .padding = padding,
                                   .output_padding = {1, 0},
                                   .dilation = dilation,
                                   .groups = groups});
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape &x = shapes[0], &w = shapes[1];
    const auto size = [](std::int64_t image, std::int64_t kernel) {
      return (image - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1;
    };
    const Shape y{x.dim(0), w.dim(1) * groups, size(x.dim(2), w.dim(2)) + 1, size(x.dim(3), w.dim(3))};
    Values result(static_cast<std::size_t>(y.size()));
    const std::int64_t of_group = x.dim(1) / groups;
    for (std::int64_t n = 0; n < x.dim(0); ++n) {
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        for (std::int64_t i = 0; i < x.dim(2); ++i) {
          for (std::int64_t j = 0; j < x.dim(3); ++j) {
            for (std::int64_t o = 0; o < w.dim(1); ++o) {
              for (std::int64_t u = 0; u < w.dim(2); ++u) {
                for (std::int64_t v = 0; v < w.dim(3); ++v) {
                  const std::int64_t row = i * stride + u * dilation - padding;
                  const std::int64_t column = j * stride + v * dilation - padding;
                  if (row < 0 || column < 0 || row >= y.dim(2) || column >= y.dim(3)) continue;
                  result[at(y, n, c / of_group * w.dim(1) + o, row, column)] +=
                      inputs[0][at(x, n, c, i, j)] * inputs[1][at(w, c, o, u, v)];
                }
              }
            }
          }
        }
      }
    }
    return result;
  }
};

}  // namespace

CRIA_TEST_OPERATION(plain, Convolution<Plain>)
CRIA_TEST_OPERATION(strided, Convolution<Strided>)
CRIA_TEST_OPERATION(grouped, Convolution<Grouped>)
CRIA_TEST_OPERATION(wide, Convolution<Wide>)
CRIA_TEST_OPERATION(wide_strided, Convolution<WideStrided>)
CRIA_TEST_OPERATION(wide_grouped, Convolution<WideGrouped>)
CRIA_TEST_OPERATION(pixelwise, Convolution<Pixelwise>)
CRIA_TEST_OPERATION(transposed, Transposed)

BOOST_AUTO_TEST_CASE(signals_are_images_of_one_line) {
  const auto x = Tensor<float>::from({1, 1, 4}, {1, 2, 3, 4}), w = Tensor<float>::from({1, 1, 2}, {10, 1});
  BOOST_TEST((conv1d(x, w).to_vector() == Floats{12, 23, 34}));
  BOOST_TEST((conv1d(x, w, Tensor<float>::from({1}, {100}), {.stride = 2, .padding = 1}).to_vector() ==
              Floats{101, 123, 140}));
}

BOOST_AUTO_TEST_CASE(windows_become_columns) {
  const auto x = reshape(arange<float>(9), {1, 1, 3, 3});
  BOOST_TEST((cria::unfold(x, 2).to_vector() == Floats{0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8}));
  BOOST_TEST(cria::unfold(x, {1, 3}, {.padding = {1, 0}}).shape() == Shape({1, 3, 5}));
}

BOOST_AUTO_TEST_CASE(pixels_become_blocks) {
  auto x = Tensor<float>::from({1, 1, 1, 2}, {1, 2}).set_requires_grad();
  const auto y = interpolate_nearest(x, {2, 3});
  BOOST_TEST((y.to_vector() == Floats{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2}));
  BOOST_TEST(y.shape() == Shape({1, 1, 2, 6}));
  backward(sum(y));
  BOOST_TEST((x.grad().to_vector() == Floats{6, 6}));
}

BOOST_AUTO_TEST_CASE(parameters_are_kernels) {
  const Parameter<bfloat16> weight({1, 1, 1, 1}, 1.0);
  const auto x = Tensor<bfloat16>::full({1, 1, 15, 20}, bfloat16(1));
  backward(sum(conv2d(x, weight)));
  BOOST_TEST(weight.grad().item() == 300.0f);
}

// An image is taken a few lines of windows at a time, and these are other lines where there is half of it.
BOOST_AUTO_TEST_CASE(large_images_are_convolved_as_their_parts_are) {
  const auto random = [](const Shape& shape, std::uint64_t seed) {
    return Tensor<float>::from(shape, test::rounded<float>(test::normals(shape.size(), seed)))
        .set_requires_grad();
  };
  const auto results = [&](std::int64_t results_of_a_group, bool in_parts) {
    const auto x = random({2, 64, 24, 40}, 1), w = random({results_of_a_group * 2, 32, 5, 5}, 2);
    const Conv2dOptions options{.groups = 2};
    const auto y = in_parts ? concat({conv2d(cria::slice(x, 2, 0, 13), w, options),
                                      conv2d(cria::slice(x, 2, 9, 24), w, options)},
                                     2)
                            : conv2d(x, w, options);
    backward(sum(y * random(y.shape(), 3).detach()));
    return std::array{test::to_values(y), test::to_values(x.grad()), test::to_values(w.grad())};
  };
  for (const std::int64_t results_of_a_group : {2, 10}) {
    const auto got = results(results_of_a_group, false), want = results(results_of_a_group, true);
    for (std::size_t i = 0; i < got.size(); ++i) {
      test::check_close("result " + std::to_string(i), got[i], want[i], 1e-4);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  const auto x = Tensor<float>::zeros({1, 4, 2, 5}), w = Tensor<float>::zeros({2, 4, 3, 3});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] { conv2d(x, w); }) ==
             "conv2d: x is [1, 4, 2, 5]; with its padding it must be at least as large as a window, 3 by 3");
  BOOST_TEST(
      message([&] { conv2d(x, w, {.groups = 2}); }) ==
      "conv2d: x is [1, 4, 2, 5] and weight is [2, 4, 3, 3] in 2 groups; groups must divide the channels of "
      "both sides, and weight.dim(1) must be those of a group");
  BOOST_TEST(message([&] { conv2d(x, Tensor<float>::zeros({3})); }) ==
             "conv2d: weight is [3]; it must have 4 dimensions");
  BOOST_TEST(error_message<ConfigError>([&] {
               conv2d(x, w, {.stride = {1, 0}});
             }) == "conv2d: stride is 0; it must be at least 1");
  BOOST_TEST(error_message<ConfigError>([&] { conv2d(x, w, {.padding = -1}); }) ==
             "conv2d: padding is -1; it must be at least 0");
  BOOST_TEST(error_message<ConfigError>([&] {
               conv_transpose2d(x, Tensor<float>::zeros({4, 1, 3, 3}), {.output_padding = 1});
             }) ==
             "conv_transpose2d: output_padding is 1 by 1; it must be 0 or more and less than the stride");
  BOOST_TEST(message([&] {
               conv_transpose2d(x, Tensor<float>::zeros({4, 1, 3, 3}), {.padding = 3});
             }) ==
             "conv_transpose2d: x is [1, 4, 2, 5] and weight is [4, 1, 3, 3]; without its padding the "
             "result would be -2 by 1, and must be at least 1 by 1");
}

BOOST_AUTO_TEST_CASE(sizes_that_cannot_be_counted_are_refused) {
  // 2 * padding and dilation * (kernel - 1) wrapped round.
  const auto x = Tensor<float>::zeros({1, 4, 5, 5}), w = Tensor<float>::zeros({2, 4, 3, 3});
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  const auto refused = [](const char* name, auto run) {
    BOOST_TEST(error_message<ConfigError>(run) ==
               std::string(name) + " is 9223372036854775807; it must be at most 1073741824");
  };
  refused("conv2d: dilation", [&] { conv2d(x, w, {.dilation = far}); });
  refused("conv2d: padding", [&] { conv2d(x, w, {.padding = far}); });
  refused("conv_transpose2d: stride", [&] {
    conv_transpose2d(x, Tensor<float>::zeros({4, 1, 3, 3}), {.stride = far});
  });
}

BOOST_AUTO_TEST_CASE(signals_are_named_as_they_were_given) {
  const auto x = Tensor<float>::zeros({1, 3, 4}), w = Tensor<float>::zeros({2, 3, 5});
  const auto message = [](auto run) { return error_message<ShapeError>(run); };
  BOOST_TEST(message([&] { conv1d(x, w); }) ==
             "conv1d: x is [1, 3, 4]; with its padding it must be at least as large as a window, 1 by 5");
  BOOST_TEST(message([&] {
               conv1d(x, Tensor<float>::zeros({2, 2, 3}));
             }) ==
             "conv1d: x is [1, 3, 4] and weight is [2, 2, 3] in 1 group; groups must divide the channels of "
             "both sides, and weight.dim(1) must be those of a group");
  BOOST_TEST(error_message<ConfigError>([&] { conv1d(x, w, {.stride = 0}); }) ==
             "conv1d: stride is 0; it must be at least 1");
  BOOST_TEST(message([&] { conv1d(x, w, Tensor<float>::zeros({1}), {.padding = 1}); }) ==
             "conv1d: dimensions differ: the result is [1, 2, 2], bias is [1]; the result.dim(1) = 2 must "
             "equal bias.dim(0) = 1");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
