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
///     // Optional: elements are moved and not computed with, so that one type of 16 bits stands for both.
///     static constexpr bool moves_elements = true;
///     // Optional: 0 times an infinity, or the difference of two, is NaN where loops take another way.
///     static constexpr bool infinities_are_exact = false;
///   };
///
/// and CRIA_TEST_OPERATION(square, Square) makes a suite of it.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
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
#ifdef CRIA_CUDA_EMULATION
#include "support/threads.hpp"
#endif

namespace cria::test {

using Shapes = std::vector<Shape>;

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

/// A tensor of normals(size, seed).
template <class T>
Tensor<T> normal_tensor(const Shape& shape, std::uint64_t seed) {
  return Tensor<T>::from(shape, rounded<T>(normals(shape.size(), seed)));
}

/// Numbers in [0, bound), as targets or tokens: different ones, and some twice.
inline Tensor<std::int32_t> indices(const Shape& shape, std::int64_t bound) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) {
    values.push_back(static_cast<std::int32_t>((i * i + 3 * i + 1) % bound));
  }
  return Tensor<std::int32_t>::from(shape, values);
}

/// The element of an input that element `index` of the result is computed from.
inline std::size_t broadcast_index(const Shape& from, const Shape& result, std::int64_t index) {
  std::int64_t at = 0, stride = 1;
  for (int axis = -1; axis >= -result.rank(); --axis) {
    if (axis >= -from.rank()) {
      at += stride * (index % result.dim(axis) % from.dim(axis));
      stride *= from.dim(axis);
    }
    index /= result.dim(axis);
  }
  return static_cast<std::size_t>(at);
}

/// What one run of an operation gave.
struct Result {
  Values output;
  double loss = 0;                              // the sum of the outputs, each times a fixed random number
  bool recorded = false;                        // whether the output requires a gradient
  std::vector<Values> gradients;                // of every input; empty for one that has none
  std::vector<Values> gradients_of_two_losses;  // after the run was repeated on the same inputs
  bool refused = false;                         // backward, since an input was changed
};

/// What a run does beside the operation.
struct Way {
  bool on_one_tensor = false;               // the first is also every other of its type and shape
  std::optional<std::size_t> changed = {};  // input that NaN overwrites between forward and backward
};

/// One case for one element type, without types: so the checks below are compiled once.
struct Operation {
  std::string name, dtype;
  std::vector<Shapes> shapes;
  std::vector<bool> is_parameter;  // of every input
  std::function<Result(const Shapes&, const std::vector<Values>&, const std::vector<bool>&wanted, const Way&)>
      run_as_dtype, run_as_double;
  Values (*reference)(const std::vector<Values>&, const Shapes&);
  std::int64_t (*terms)(const Shapes&);
  double (*tolerance)(std::int64_t terms);
  double (*input)(double normal);  // in the operation's domain, rounded to the element type
  bool infinities_are_exact;

  std::string describe(const Shapes& of) const {
    std::string text = name + " of " + dtype;
    for (const Shape& shape : of) text += " " + to_string(shape);
    return text;
  }
  std::string describe_gradient(const Shapes& of, std::size_t index) const {
    return describe(of) + ", gradient of input " + std::to_string(index);
  }
  /// Random values for every input.
  std::vector<Values> values(const Shapes& of) const {
    std::vector<Values> result;
    for (std::size_t i = 0; i < of.size(); ++i) {
      result.push_back(normals(of[i].size(), i));
      for (double& value : result.back()) value = input(value);
    }
    return result;
  }
  std::vector<bool> all_wanted() const { return std::vector<bool>(is_parameter.size(), true); }

  Result run(const Shapes& of, const std::vector<Values>& x, const std::vector<bool>& wanted) const {
    return run_as_dtype(of, x, wanted, {});
  }
  Result run_in_double(const Shapes& of, const std::vector<Values>& x,
                       const std::vector<bool>& wanted) const {
    return run_as_double(of, x, wanted, {});
  }
};

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

/// Few digits, so that every element type holds them exactly.
template <class T>
Tensor<T> loss_weights(const Shape& shape) {
  Values values = normals(shape.size(), 99);
  for (double& value : values) value = std::round(value * 16) / 16;
  return Tensor<T>::from(shape, rounded<T>(values));
}

// What needs to know the inputs' types alone is compiled once for all operations that have the same.

template <class Inputs>
Inputs make_inputs(const Shapes& shapes, const std::vector<Values>& values, const std::vector<bool>& wanted) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return Inputs{InputTraits<std::tuple_element_t<I, Inputs>>::make(shapes[I], values[I], wanted[I])...};
  }
  (std::make_index_sequence<std::tuple_size_v<Inputs>>());
}

template <class Inputs>
std::vector<Values> gradients(const Inputs& inputs) {
  return std::apply([](const auto&... x) { return std::vector<Values>{to_values(x.grad())...}; }, inputs);
}

/// Puts the first tensor also in the place of every other input of its type and shape.
template <class Inputs>
void share_first(Inputs& inputs) {
  std::apply(
      []<class... Rest>(const auto& first, Rest&... rest) {
        [[maybe_unused]] const auto share = [&]<class X>(X& x) {
          if constexpr (std::is_same_v<const X&, decltype(first)>) {
            if (x.shape() == first.shape()) x = first;
          }
        };
        (share(rest), ...);
      },
      inputs);
}

template <class T>
void overwrite_by_nan(Tensor<T> x) {
  x.assign(rounded<T>(Values(static_cast<std::size_t>(x.size()), std::nan(""))));
}
template <class T>
void overwrite_by_nan(Parameter<T> x) {
  overwrite_by_nan(x.value());
}
template <class Inputs>
void overwrite_by_nan(const Inputs& inputs, std::size_t index) {
  std::apply([&](const auto&... x) { ((index-- == 0 ? overwrite_by_nan(x) : void()), ...); }, inputs);
}

template <class Y>
Tensor<acc_t<Y>> loss_of(const Tensor<Y>& y) {
  return sum(y * loss_weights<Y>(y.shape()));
}

template <class Inputs, class Y>
Result run(Y (*operation)(const Inputs&), const Shapes& shapes, const std::vector<Values>& values,
           const std::vector<bool>& wanted, const Way& way) {
  auto inputs = make_inputs<Inputs>(shapes, values, wanted);
  if (way.on_one_tensor) share_first(inputs);
  Result result;
  for (auto* after : {&result.gradients, &result.gradients_of_two_losses}) {
    const auto y = operation(inputs);
    if (way.changed) overwrite_by_nan(inputs, *way.changed);
    const auto loss = loss_of(y);
    result.output = to_values(y);
    result.loss = to_double(loss.item());
    result.recorded = y.requires_grad();
    if (!result.recorded) break;
    try {
      backward(loss);
    } catch (const AutogradError&) {
      if (!way.changed) throw;
      result.refused = true;
    }
    *after = gradients(inputs);
    if (way.changed) break;
  }
  return result;
}
template <class Inputs, class Y>
auto runner(Y (*operation)(const Inputs&)) {
  return [operation](const Shapes& shapes, const std::vector<Values>& values, const std::vector<bool>& wanted,
                     const Way& way) { return run(operation, shapes, values, wanted, way); };
}

/// The operation alone, of all inputs.
template <class Case, class Inputs>
auto output(const Inputs& inputs) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return Case::run(std::get<I>(inputs)...);
  }
  (std::make_index_sequence<std::tuple_size_v<Inputs>>());
}
template <class Case, class T>
auto runner_of() {
  return runner(output<Case, typename Case::template Inputs<T>>);
}

template <class Case, class T>
double input(double normal) {
  if constexpr (requires { Case::input(normal); }) normal = Case::input(normal);
  return to_double(static_cast<T>(static_cast<acc_t<T>>(normal)));
}

template <class Case>
constexpr bool infinities_are_exact() {
  if constexpr (requires { Case::infinities_are_exact; }) return Case::infinities_are_exact;
  return true;
}

template <class... Input>
std::vector<bool> parameters_among(const std::tuple<Input...>*) {
  return {InputTraits<Input>::is_parameter...};
}

}  // namespace detail

template <class Case, class T>
Operation operation(const std::string& name) {
  using Inputs = typename Case::template Inputs<T>;
  return {name,
          std::string(dtype_name<T>),
          Case::shapes(),
          detail::parameters_among(static_cast<const Inputs*>(nullptr)),
          detail::runner_of<Case, T>(),
          detail::runner_of<Case, double>(),
          Case::reference,
          Case::terms,
          tolerance<T>,
          detail::input<Case, T>,
          detail::infinities_are_exact<Case>()};
}

/// The case for every element type.
template <class Case>
std::vector<Operation> operations(const std::string& name) {
  if constexpr (requires { Case::moves_elements; }) {
    return {operation<Case, float>(name), operation<Case, double>(name), operation<Case, bfloat16>(name)};
  } else {
    return {operation<Case, float>(name), operation<Case, double>(name), operation<Case, bfloat16>(name),
            operation<Case, float16>(name)};
  }
}

/// The output is what plain loops in double give for the same inputs.
inline void matches_reference(const Operation& op) {
  for (const Shapes& shapes : op.shapes) {
    const auto values = op.values(shapes);
    check_close(op.describe(shapes), op.run(shapes, values, op.all_wanted()).output,
                op.reference(values, shapes), op.tolerance(op.terms(shapes)));
  }
}

/// Gradients in double are those of finite differences.
inline void gradients_match_finite_differences(const Operation& op) {
  for (const Shapes& shapes : op.shapes) {
    const auto values = op.values(shapes);
    const auto gradients = op.run_in_double(shapes, values, op.all_wanted()).gradients;
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      const auto moves = directions(values[input].size());
      const auto loss = [&](const Values& moved) {
        const NoGrad guard;
        auto all = values;
        all[input] = moved;
        return op.run_in_double(shapes, all, op.all_wanted()).loss;
      };
      check_close(op.describe_gradient(shapes, input) + ", along each direction",
                  along(moves, gradients[input]), finite_differences(loss, values[input], moves), 1e-7);
    }
  }
}

/// Gradients are those that the same inputs have in double; those of double itself are compared with finite
/// differences.
inline void gradients_match_double(const Operation& op) {
  if (op.dtype == dtype_name<double>) return;
  for (const Shapes& shapes : op.shapes) {
    const auto values = op.values(shapes);
    const auto got = op.run(shapes, values, op.all_wanted()).gradients;
    const auto want = op.run_in_double(shapes, values, op.all_wanted()).gradients;
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      // A gradient may sum up as many terms as there are elements.
      check_close(op.describe_gradient(shapes, input), got[input], want[input],
                  4 * op.tolerance(op.terms(shapes) + shapes[0].size()));
    }
  }
}

/// A second backward adds to the gradients that are there, and an operation that gets one tensor as several
/// inputs adds up their gradients.
inline void accumulates_into_existing_gradients(const Operation& op) {
  for (const Shapes& shapes : op.shapes) {
    const Result result = op.run(shapes, op.values(shapes), op.all_wanted());
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      Values doubled = result.gradients[input];
      for (double& value : doubled) value *= 2;
      check_close(op.describe_gradient(shapes, input) + ", twice", result.gradients_of_two_losses[input],
                  doubled, op.tolerance(op.terms(shapes) + shapes[0].size()));
    }
    // One tensor as several inputs, where it fits in the place of another.
    auto values = op.values(shapes);
    const auto is_first_too = [&](std::size_t i) { return !op.is_parameter[i] && shapes[i] == shapes[0]; };
    bool any_is_first_too = false;
    for (std::size_t i = 1; i < shapes.size(); ++i) {
      if (!is_first_too(i)) continue;
      any_is_first_too = true;
      values[i] = values[0];
    }
    if (!any_is_first_too) continue;
    const auto apart = op.run(shapes, values, op.all_wanted()).gradients;
    Values total = apart[0];
    for (std::size_t i = 1; i < shapes.size(); ++i) {
      for (std::size_t at = 0; is_first_too(i) && at < total.size(); ++at) total[at] += apart[i][at];
    }
    check_close(op.describe_gradient(shapes, 0) + ", as several inputs",
                op.run_as_dtype(shapes, values, op.all_wanted(), {.on_one_tensor = true}).gradients[0], total,
                4 * op.tolerance(op.terms(shapes) + shapes[0].size()));
  }
}

/// Each tensor alone gets the gradient that it gets among others, and the others get none; where nothing is
/// wanted, nothing is recorded.
inline void skips_inputs_without_gradient(const Operation& op) {
  const Shapes shapes = op.shapes.back();
  const auto values = op.values(shapes);
  const auto want = op.run(shapes, values, op.all_wanted()).gradients;
  for (std::size_t alone = 0; alone <= shapes.size(); ++alone) {  // shapes.size(): none of them
    std::vector<bool> wanted = op.is_parameter;
    if (alone < shapes.size()) wanted[alone] = true;
    const Result result = op.run(shapes, values, wanted);
    const bool any = std::find(wanted.begin(), wanted.end(), true) != wanted.end();
    BOOST_TEST(result.recorded == any, op.describe(shapes));
    for (std::size_t input = 0; any && input < shapes.size(); ++input) {
      check_close(op.describe_gradient(shapes, input), result.gradients[input],
                  wanted[input] ? want[input] : Values{}, 0);
    }
  }
  const NoGrad guard;
  BOOST_TEST(!op.run(shapes, values, op.all_wanted()).recorded, op.describe(shapes));
}

/// Where the reference is NaN since an input is, the output is NaN, too.
inline void nan_in_gives_nan_out(const Operation& op) {
  const NoGrad guard;
  for (const Shapes& shapes : op.shapes) {
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      auto values = op.values(shapes);
      const std::size_t size = values[input].size();
      if (values.front().empty() || size == 0) continue;
      for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) values[input][at] = std::nan("");
      const Values got = op.run(shapes, values, op.all_wanted()).output;
      const Values want = op.reference(values, shapes);
      std::size_t nan = 0, lost = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        nan += std::isnan(want[i]);
        lost += std::isnan(want[i]) && !std::isnan(got[i]);
      }
      BOOST_TEST(nan > 0u, op.describe(shapes));
      BOOST_TEST(lost == 0u, op.describe(shapes) << ": " << lost << " of " << nan << " NaN were lost");
    }
  }
}

/// Of infinities comes what plain loops make of them, or at least nothing finite where they do not.
inline void infinities_match_reference(const Operation& op) {
  const NoGrad guard;
  for (const Shapes& shapes : op.shapes) {
    for (std::size_t input = 0; input < shapes.size(); ++input) {
      auto values = op.values(shapes);
      if (values[input].empty()) continue;
      constexpr double infinity = std::numeric_limits<double>::infinity();
      values[input].back() = -infinity;
      values[input].front() = infinity;
      const std::string what = op.describe(shapes) + ", input " + std::to_string(input) + " infinite";
      const Values got = op.run(shapes, values, op.all_wanted()).output;
      const Values want = op.reference(values, shapes);
      if (op.infinities_are_exact) {
        check_close(what, got, want, op.tolerance(op.terms(shapes)));
        continue;
      }
      std::size_t lost = 0;
      for (std::size_t i = 0; i < want.size(); ++i) lost += !std::isfinite(want[i]) && std::isfinite(got[i]);
      BOOST_TEST(lost == 0u, what << ": " << lost << " elements are finite");
    }
  }
}

/// An input that was changed between forward and backward is noticed, unless backward does not read it.
inline void changed_inputs_are_noticed(const Operation& op) {
  const Shapes shapes = op.shapes.back();
  const auto values = op.values(shapes);
  const auto want = op.run(shapes, values, op.all_wanted()).gradients;
  for (std::size_t changed = 0; changed < shapes.size(); ++changed) {
    const Result got = op.run_as_dtype(shapes, values, op.all_wanted(), {.changed = changed});
    for (std::size_t input = 0; !got.refused && input < shapes.size(); ++input) {
      check_close(op.describe_gradient(shapes, input) + ", input " + std::to_string(changed) + " changed",
                  got.gradients[input], want[input], 0);
    }
  }
}

#ifdef CRIA_CUDA_EMULATION
/// Output and gradients are the same bits in whatever order blocks, warps and threads run.
inline void repeats_in_every_order(const Operation& op) {
  for (const Shapes& shapes : op.shapes) {
    check_threads_do_not_matter([&] {
      const Result result = op.run(shapes, op.values(shapes), op.all_wanted());
      Values all = result.output;
      for (const auto* gradients : {&result.gradients, &result.gradients_of_two_losses}) {
        for (const Values& gradient : *gradients) all.insert(all.end(), gradient.begin(), gradient.end());
      }
      return all;
    });
  }
}
#endif

/// On a GPU operators that are composed of others are the same templates for every type.
template <class Case>
std::vector<Operation> composed_operations(const std::string& name) {
#ifdef CRIA_DEFAULT_BACKEND_CUDA
  return {operation<Case, float>(name), operation<Case, double>(name)};
#else
  return operations<Case>(name);
#endif
}

/// Adds the checks to the suite that is being registered, each as a test case of all element types.
inline bool add_checks(const char* name, std::vector<Operation> (*operations)(const std::string&),
                       [[maybe_unused]] bool in_every_order, const char* file, std::size_t line) {
  const auto add = [&](const char* check_name, void (*check)(const Operation&),
                       std::initializer_list<std::string_view> dtypes) {
    const auto run = [=, dtypes = std::vector<std::string_view>(dtypes)] {
      const char* without = std::getenv("CRIA_TESTS_WITHOUT");
      for (const Operation& op : operations(name)) {
        if (without && op.dtype == without) continue;
        if (std::find(dtypes.begin(), dtypes.end(), op.dtype) != dtypes.end()) check(op);
      }
    };
    boost::unit_test::framework::current_auto_test_suite().add(
        boost::unit_test::make_test_case(run, check_name, file, line));
  };
  const auto all = {dtype_name<float>, dtype_name<double>, dtype_name<bfloat16>, dtype_name<float16>};
  add("matches_reference", matches_reference, all);
  add("gradients_match_double", gradients_match_double, all);
  add("accumulates_into_existing_gradients", accumulates_into_existing_gradients, all);
  add("skips_inputs_without_gradient", skips_inputs_without_gradient, all);
  add("nan_in_gives_nan_out", nan_in_gives_nan_out, all);
  add("infinities_match_reference", infinities_match_reference, all);
  add("changed_inputs_are_noticed", changed_inputs_are_noticed, all);
  add("gradients_match_finite_differences", gradients_match_finite_differences, {dtype_name<double>});
#ifdef CRIA_CUDA_EMULATION
  if (in_every_order) {
    add("repeats_in_every_order", repeats_in_every_order, {dtype_name<float>, dtype_name<bfloat16>});
  }
#endif
  return true;
}

}  // namespace cria::test

/// The suite of one case.
#define CRIA_TEST_IN(operations, in_every_order, suite, ...) \
  BOOST_AUTO_TEST_SUITE(suite) \
  [[maybe_unused]] const bool added = cria::test::add_checks(#suite, cria::test::operations<__VA_ARGS__>, \
                                                             in_every_order, __FILE__, __LINE__); \
  BOOST_AUTO_TEST_SUITE_END()
#define CRIA_TEST_OPERATION(suite, ...) CRIA_TEST_IN(operations, true, suite, __VA_ARGS__)
/// The suite of one that is composed of other operations.
#define CRIA_TEST_COMPOSED(suite, ...) CRIA_TEST_IN(composed_operations, false, suite, __VA_ARGS__)
