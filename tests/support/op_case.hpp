#pragma once
/// What every operation is tested for. A case is a struct:
///
///   struct Square {
///     template <class T> using Inputs = std::tuple<Tensor<T>>;  // Tensors and Parameters
///     static std::vector<Shapes> shapes();                      // of the inputs; one entry per run
///     static std::int64_t terms(const Shapes&);                 // how many products an element sums up
///     template <class T> static Tensor<...> run(const Tensor<T>& x);          // the operation
///     static Values reference(const std::vector<Values>& x, const Shapes&);   // plain loops, in double
///     static double input(double normal);  // optional: maps a normal random number to the domain
///   };
///
/// and CRIA_TEST_OPERATION(square, Square) makes a suite of it.

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/core/parameter.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"
#include "support/compare.hpp"
#include "support/gradcheck.hpp"

namespace cria::test {

using Shapes = std::vector<Shape>;
using ElementTypes = std::tuple<float, double, bfloat16, float16>;

/// `size` normal random numbers.
inline Values normals(std::int64_t size, std::uint64_t seed) {
  Rng rng(seed);
  Values values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(rng.normal());
  return values;
}

/// Rounds each value to T.
template <class T>
std::vector<T> rounded(const Values& values) {
  std::vector<T> result;
  for (const double value : values) result.push_back(static_cast<T>(static_cast<acc_t<T>>(value)));
  return result;
}

/// Numbers in [0, bound), as targets or tokens: different ones, and some twice.
inline Tensor<std::int32_t> indices(const Shape& shape, std::int64_t bound) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) {
    values.push_back(static_cast<std::int32_t>((i * i + 3 * i + 1) % bound));
  }
  return Tensor<std::int32_t>::from(shape, values);
}

namespace detail {

template <class Input>
struct InputTraits;
template <class T>
struct InputTraits<Tensor<T>> {
  static constexpr bool is_parameter = false;
  static Tensor<T> make(const Shape& shape, const Values& values, bool wanted) {
    auto x = Tensor<T>::from(shape, rounded<T>(values));
    if (wanted) x.set_requires_grad();
    return x;
  }
};
template <class T>
struct InputTraits<Parameter<T>> {
  static constexpr bool is_parameter = true;
  static Parameter<T> make(const Shape& shape, const Values& values, bool) {
    Parameter<T> x(shape);
    x.value().assign(rounded<T>(values));
    return x;
  }
};

/// An operation with inputs of type T for one entry of the case's shapes.
template <class Case, class T>
class Run {
 public:
  using Inputs = typename Case::template Inputs<T>;
  static constexpr std::size_t count = std::tuple_size_v<Inputs>;

  Run(const Shapes& shapes, std::vector<Values> values, std::vector<bool> wanted)
      : shapes_(shapes),
        values_(std::move(values)),
        inputs_(make_inputs(wanted, std::make_index_sequence<count>())) {}
  Run(const Shapes& shapes, std::vector<Values> values)
      : Run(shapes, std::move(values), std::vector<bool>(count, true)) {}

  auto output() const {
    return std::apply([](const auto&... x) { return Case::run(x...); }, inputs_);
  }
  /// The sum of the outputs, each times a fixed random number.
  auto loss() const {
    const auto y = output();
    using Y = typename decltype(y)::value_type;
    return sum(y * Tensor<Y>::from(y.shape(), rounded<Y>(loss_weights(y.size()))));
  }
  /// Runs the operation and differentiates its loss.
  void add_gradients() const { backward(loss()); }

  /// The gradient of every input; empty for one that has none.
  std::vector<Values> gradients() const {
    std::vector<Values> result;
    std::apply([&](const auto&... x) { (result.push_back(to_values(x.grad())), ...); }, inputs_);
    return result;
  }

 private:
  /// The weights in double are those that T can hold, so that both losses are the same function.
  static Values loss_weights(std::int64_t size) {
    Values result;
    for (const double weight : normals(size, 99)) result.push_back(std::round(weight * 16) / 16);
    return result;
  }

  template <std::size_t... I>
  Inputs make_inputs(const std::vector<bool>& wanted, std::index_sequence<I...>) const {
    return {InputTraits<std::tuple_element_t<I, Inputs>>::make(shapes_[I], values_[I], wanted[I])...};
  }

  Shapes shapes_;
  std::vector<Values> values_;
  Inputs inputs_;
};

/// Random values for every input, such that T can hold them.
template <class Case, class T>
std::vector<Values> input_values(const Shapes& shapes) {
  std::vector<Values> result;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    Values values = normals(shapes[i].size(), i);
    if constexpr (requires { Case::input(0.0); }) {
      for (double& value : values) value = Case::input(value);
    }
    for (double& value : values) value = to_double(static_cast<T>(static_cast<acc_t<T>>(value)));
    result.push_back(std::move(values));
  }
  return result;
}

inline std::string describe(std::string_view op, std::string_view dtype, const Shapes& shapes) {
  std::string text = std::string(op) + " of " + std::string(dtype);
  for (const Shape& shape : shapes) text += " " + to_string(shape);
  return text;
}

inline std::string gradient_of(const std::string& what, std::size_t input) {
  return what + ", gradient of input " + std::to_string(input);
}

}  // namespace detail

/// The output is what plain loops in double give for the same inputs.
template <class Case, class T>
void matches_reference(std::string_view op) {
  for (const Shapes& shapes : Case::shapes()) {
    const auto values = detail::input_values<Case, T>(shapes);
    const auto got = detail::Run<Case, T>(shapes, values).output();
    check_close(detail::describe(op, dtype_name<T>, shapes), to_values(got), Case::reference(values, shapes),
                tolerance<T>(Case::terms(shapes)));
  }
}

/// In double, gradients are those of finite differences (of up to 48 elements of each input).
template <class Case>
void gradients_match_finite_differences(std::string_view op) {
  for (const Shapes& shapes : Case::shapes()) {
    const auto values = detail::input_values<Case, double>(shapes);
    const detail::Run<Case, double> run(shapes, values);
    run.add_gradients();
    const auto gradients = run.gradients();
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      const auto at = spread(values[input].size(), 48);
      const auto loss = [&](const Values& moved) {
        const NoGrad guard;
        auto all = values;
        all[input] = moved;
        return detail::Run<Case, double>(shapes, all).loss().item();
      };
      Values got;
      for (const std::size_t i : at) got.push_back(gradients[input].at(i));
      check_close(detail::gradient_of(detail::describe(op, "float64", shapes), input), got,
                  finite_differences(loss, values[input], at), 1e-7);
    }
  }
}

/// Gradients are those that the same inputs have in double.
template <class Case, class T>
void gradients_match_double(std::string_view op) {
  for (const Shapes& shapes : Case::shapes()) {
    const auto values = detail::input_values<Case, T>(shapes);
    const detail::Run<Case, T> run(shapes, values);
    const detail::Run<Case, double> exact(shapes, values);
    run.add_gradients();
    exact.add_gradients();
    const auto got = run.gradients(), want = exact.gradients();
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      // A gradient may sum up as many terms as there are elements.
      check_close(detail::gradient_of(detail::describe(op, dtype_name<T>, shapes), input), got[input], want[input],
                  4 * tolerance<T>(Case::terms(shapes) + shapes[0].size()));
    }
  }
}

/// A second backward adds to the gradients that are there.
template <class Case, class T>
void accumulates_into_existing_gradients(std::string_view op) {
  for (const Shapes& shapes : Case::shapes()) {
    const detail::Run<Case, T> run(shapes, detail::input_values<Case, T>(shapes));
    run.add_gradients();
    const auto once = run.gradients();
    run.add_gradients();
    const auto twice = run.gradients();
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      Values doubled = once[input];
      for (double& value : doubled) value *= 2;
      check_close(detail::gradient_of(detail::describe(op, dtype_name<T>, shapes) + " twice", input), twice[input],
                  doubled, tolerance<T>());
    }
  }
}

/// Each tensor alone gets the gradient that it gets among others, and the others get none; where nothing is
/// wanted, nothing is recorded.
template <class Case, class T>
void skips_inputs_without_gradient(std::string_view op) {
  using Run = detail::Run<Case, T>;
  constexpr auto is_parameter = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<bool, Run::count>{
        detail::InputTraits<std::tuple_element_t<I, typename Run::Inputs>>::is_parameter...};
  }
  (std::make_index_sequence<Run::count>());
  const Shapes shapes = Case::shapes().back();
  const auto values = detail::input_values<Case, T>(shapes);
  const Run all(shapes, values);
  all.add_gradients();
  const auto want = all.gradients();
  for (std::size_t wanted = 0; wanted <= Run::count; ++wanted) {  // Run::count: none of them
    std::vector<bool> only(Run::count, false);
    if (wanted < Run::count) only[wanted] = true;
    const Run run(shapes, values, only);
    const bool any = std::any_of(is_parameter.begin(), is_parameter.end(), [](bool x) { return x; });
    BOOST_TEST(run.output().requires_grad() == (any || wanted < Run::count));
    if (!run.output().requires_grad()) continue;
    run.add_gradients();
    const auto got = run.gradients();
    for (std::size_t input = 0; input < Run::count; ++input) {
      check_close(detail::gradient_of(detail::describe(op, dtype_name<T>, shapes), input), got[input],
                  only[input] || is_parameter[input] ? want[input] : Values{}, 0);
    }
  }
  const NoGrad guard;
  BOOST_TEST(!all.output().requires_grad());
}

}  // namespace cria::test

/// The suite of one case.
#define CRIA_TEST_OPERATION(suite, Case)                                                     \
  BOOST_AUTO_TEST_SUITE(suite)                                                               \
  BOOST_AUTO_TEST_CASE_TEMPLATE(matches_reference, T, cria::test::ElementTypes) {            \
    cria::test::matches_reference<Case, T>(#suite);                                          \
  }                                                                                          \
  BOOST_AUTO_TEST_CASE(gradients_match_finite_differences) {                                 \
    cria::test::gradients_match_finite_differences<Case>(#suite);                            \
  }                                                                                          \
  BOOST_AUTO_TEST_CASE_TEMPLATE(gradients_match_double, T, cria::test::ElementTypes) {       \
    cria::test::gradients_match_double<Case, T>(#suite);                                     \
  }                                                                                          \
  BOOST_AUTO_TEST_CASE_TEMPLATE(accumulates_into_existing_gradients, T, cria::test::ElementTypes) { \
    cria::test::accumulates_into_existing_gradients<Case, T>(#suite);                        \
  }                                                                                          \
  BOOST_AUTO_TEST_CASE_TEMPLATE(skips_inputs_without_gradient, T, cria::test::ElementTypes) { \
    cria::test::skips_inputs_without_gradient<Case, T>(#suite);                              \
  }                                                                                          \
  BOOST_AUTO_TEST_SUITE_END()
