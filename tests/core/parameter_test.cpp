// A parameter in the place of a tensor.

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/gradcheck.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(parameter)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::error_message;
using cria::test::to_values;
using cria::test::Values;

template <class T>
Parameter<T> parameter_of(const Shape& shape, const Values& values) {
  Parameter<T> result(shape);
  result.value().assign(cria::test::rounded<T>(values));
  return result;
}

/// The gradient of f(w) for a parameter w in double is that of finite differences.
template <class F>
void check_gradient(const Shape& shape, F f) {
  const Values at = cria::test::normals(shape.size(), 5);
  const auto w = parameter_of<double>(shape, at);
  backward(f(w));
  const auto moves = cria::test::directions(at.size());
  const auto loss = [&](const Values& values) { return f(parameter_of<double>(shape, values)).item(); };
  check_close("gradient", cria::test::along(moves, to_values(w.grad())),
              cria::test::finite_differences(loss, at, moves), 1e-7);
}

const auto x = [] { return Tensor<double>::from({3, 4}, cria::test::normals(12, 1)); };

}  // namespace

BOOST_AUTO_TEST_CASE(operations_take_it_for_a_tensor) {
  check_gradient({3, 4}, [](const auto& w) { return sum(w * x() + square(w) / 2); });
  check_gradient({3, 4}, [](const auto& w) { return sum(matmul(cria::transpose(w, 0, 1), x())); });
  check_gradient({3, 4}, [](const auto& w) { return sum(exp(cria::reshape(w, {12}))); });
}

BOOST_AUTO_TEST_CASE(weights_are_tied_transposed_normalised_and_decayed) {
  check_gradient({4, 4}, [](const auto& w) {
    return sum(square(linear(tanh(linear(x(), w)), cria::transpose(w, 0, 1))));  // two layers of one weight
  });
  check_gradient({5, 4}, [](const auto& v) {
    const auto weight = v / norm(v, 1, {.keepdim = true});  // weight normalisation
    return sum(square(linear(x(), weight))) + 0.1 * sum(square(v));
  });
}

BOOST_AUTO_TEST_CASE(a_low_rank_sum_is_a_weight) {  // Hu et al. 2021
  Parameter<double> frozen({5, 4});
  frozen.set_requires_grad(false);
  const auto b = parameter_of<double>({5, 2}, cria::test::normals(10, 2));
  check_gradient({2, 4}, [&](const auto& a) { return sum(square(linear(x(), frozen + matmul(b, a)))); });
  BOOST_TEST(b.has_grad());
  BOOST_TEST(!frozen.has_grad());
}

BOOST_AUTO_TEST_CASE(norms_embeddings_losses_and_biases_may_be_tensors) {
  const auto tokens = cria::test::indices({6}, 3);
  check_gradient({4}, [](const auto& w) { return sum(square(cria::rms_norm(x(), w * 2))); });
  check_gradient({3, 2}, [&](const auto& w) { return sum(square(cria::embedding(tokens, w * 2))); });
  check_gradient({5, 4}, [](const auto& w) {
    return cria::linear_cross_entropy(x(), w * 2, Tensor<std::int32_t>::from({3}, {4, 0, 2}));
  });
  check_gradient({2}, [](const auto& w) {
    const auto weight = Tensor<double>::from({2, 4}, cria::test::normals(8, 3));
    return sum(square(linear(x(), weight, w * 2)));
  });
}

BOOST_AUTO_TEST_CASE(tensors_of_sixteen_bits_get_their_gradients_from_sums_in_float) {
  auto weight = Tensor<bfloat16>::full({1, 1}, bfloat16(1.0f)).set_requires_grad();
  backward(sum(linear(Tensor<bfloat16>::full({300, 1}, bfloat16(1.0f)), weight)));
  BOOST_TEST(static_cast<float>(weight.grad().item()) == 300.0f);  // one by one they would stop at 256
}

BOOST_AUTO_TEST_CASE(uses_are_summed_up_in_float) {
  const Parameter<bfloat16> w({2});
  const auto ones = Tensor<bfloat16>::full({2}, bfloat16(1.0f));
  for (int use = 0; use < 300; ++use) backward(sum(w * ones));
  BOOST_TEST((w.grad().to_vector() == std::vector<float>{300, 300}));
  auto loss = sum(w * ones);
  for (int use = 1; use < 300; ++use) loss = loss + sum(w * ones);
  backward(loss);
  BOOST_TEST((w.grad().to_vector() == std::vector<float>{600, 600}));
}

BOOST_AUTO_TEST_CASE(both_ways_add_to_one_gradient) {
  for (const bool clears : {false, true}) {
    const Parameter<bfloat16> w({1, 2});
    const auto ones = Tensor<bfloat16>::full({1, 2}, bfloat16(1.0f));
    backward(sum(linear(ones, w)) + sum(w * ones));
    BOOST_TEST(w.has_grad());
    BOOST_TEST((w.grad().to_vector() == std::vector<float>{2, 2}));
    auto handle = w;
    backward(sum(w * ones));
    if (clears) {
      handle.clear_grad();
      BOOST_TEST(!w.has_grad());
    } else {
      handle.set_grad(Tensor<float>::full({1, 2}, 7.0f));
      BOOST_TEST((w.grad().to_vector() == std::vector<float>{7, 7}));
    }
  }
}

namespace {

/// Calls check(T{}) for every element type.
void for_every_type(auto check) {
  check(float{}), check(double{}), check(bfloat16{}), check(float16{});
}

/// The gradient that f has for a parameter is that of finite differences in double, and in other types that
/// of double.
template <class F>
void check_in_every_type(const char* what, F f) {
  check_gradient({4, 4}, f);
  const Values at = cria::test::normals(16, 7);
  const auto exact = parameter_of<double>({4, 4}, cria::test::to_values(parameter_of<bfloat16>({4, 4}, at)));
  backward(f(exact));
  for_every_type([&]<class T>(T) {
    const auto w = parameter_of<T>({4, 4}, cria::test::to_values(parameter_of<bfloat16>({4, 4}, at)));
    backward(f(w));
    check_close(what, to_values(w.grad()), to_values(exact.grad()), 16 * cria::test::tolerance<T>(32));
  });
}

}  // namespace

// An operation asks for the gradients of all its inputs before it writes to the first.
BOOST_AUTO_TEST_CASE(one_operation_may_use_it_more_than_once) {
  check_in_every_type("w w", [](const auto& w) { return sum(w * w); });
  check_in_every_type("w / w^2", [](const auto& w) { return sum(w / (w * w + 1)); });
  check_in_every_type("w + w", [](const auto& w) { return sum(w + w); });
  check_in_every_type("matmul(w, w)", [](const auto& w) { return sum(matmul(w, w)); });
  check_in_every_type("linear(w, w)", [](const auto& w) { return sum(linear(w, w)); });
  check_in_every_type("rms_norm(row, row)", [](const auto& w) {
    const auto row = cria::reshape(w, {16});
    return sum(cria::rms_norm(row, row));
  });
}

BOOST_AUTO_TEST_CASE(the_way_of_tensors_gives_what_the_direct_one_does) {
  const auto input = []<class T>(T) {
    return Tensor<T>::from({3, 4}, cria::test::rounded<T>(cria::test::normals(12, 1)));
  };
  for_every_type([&]<class T>(T of_type) {
    const auto direct = parameter_of<T>({5, 4}, cria::test::normals(20, 2));
    const auto tensors = parameter_of<T>({5, 4}, cria::test::normals(20, 2));
    backward(sum(square(linear(input(of_type), direct))));
    backward(sum(square(matmul(input(of_type), cria::transpose(tensors, 0, 1)))));
    check_close("a product", to_values(tensors.grad()), to_values(direct.grad()),
                8 * cria::test::tolerance<T>(12));
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_left_of_a_backward_that_failed) {
  for_every_type([]<class T>(T) {
    Parameter<T> w({2});
    const auto failing =
        record("failing", Tensor<T>::zeros({}), inputs(w), [w = Tensor<T>(w)](const Tensor<T>&) {
          sink(w).vec();
          throw ShapeError("as asked");
        });
    BOOST_CHECK_THROW(backward(failing), ShapeError);
    w.clear_grad();
    const Tensor<T> handle = w;
    backward(sum(handle * 3));
    BOOST_TEST((to_values(w.grad()) == Values{3, 3}));
  });
}

BOOST_AUTO_TEST_CASE(what_is_frozen_gets_no_gradient_by_any_way) {
  Parameter<float> w({2, 2});
  auto replica = w.with_own_gradient();
  replica.set_requires_grad(false);  // of all that share the value
  BOOST_TEST(!square(w).requires_grad());
  BOOST_TEST(!sum(linear(Tensor<float>::zeros({1, 2}), w)).requires_grad());
  w.set_requires_grad(true);
  backward(sum(square(replica)));
  BOOST_TEST(replica.has_grad());
  BOOST_TEST(!w.has_grad());
  BOOST_TEST(!w.clone().has_grad());
}

BOOST_AUTO_TEST_CASE(values_are_those_of_the_parameter) {
  Parameter<float> w({2});
  const auto y = square(w);
  w.value().assign(std::vector<float>{1, 2});
  BOOST_TEST((w.to_vector() == std::vector<float>{1, 2}));
  BOOST_TEST((square(w).to_vector() == std::vector<float>{1, 4}));
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(y)); }).starts_with("backward: a value that"));
  BOOST_TEST(!w.value().requires_grad());
}

BOOST_AUTO_TEST_CASE(recomputation_sees_its_gradient) {
  for_every_type([]<class T>(T) {
    const auto w = parameter_of<T>({3}, {1, 2, 3}), a = parameter_of<T>({3}, {4, 5, 6});
    const auto f = [w](const Tensor<T>& from) { return square(w * from); };
    backward(sum(cria::nn::recompute(f, a)));
    BOOST_TEST((to_values(w.grad()) == Values{32, 100, 216}));  // 2 w a^2
    BOOST_TEST((to_values(a.grad()) == Values{8, 40, 108}));    // 2 w^2 a
    auto y = sum(cria::nn::recompute(f, a));
    auto handle = w;
    handle.value().assign(cria::test::rounded<T>({1, 1, 1}));
    BOOST_TEST(error_message<AutogradError>([&] { backward(y); }).starts_with("backward: a value that"));
  });
}

BOOST_AUTO_TEST_CASE(outside_the_graph_is_said_to_be_the_cause) {
  const Parameter<float> w({2});
  Tensor<float> y;
  {
    const NoGrad guard;
    y = sum(square(w));
  }
  const std::string sentence =
      "backward: the tensor was computed inside of NoGrad, where nothing is recorded";
  BOOST_TEST(error_message<AutogradError>([&] { backward(y); }) == sentence);
  BOOST_TEST(error_message<AutogradError>([&] { backward(y + 1); }) == sentence);
  std::pair<Tensor<float>, Tensor<float>> two;
  {
    const NoGrad guard;
    two = cria::add_rms_norm(square(w), square(w), w);
  }
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(two.first)); }) == sentence);
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(two.second)); }) == sentence);
  BOOST_TEST(error_message<AutogradError>([&] { backward(sum(Tensor<float>::zeros({2}) * 2)); }) ==
             "backward: the tensor was not computed from anything that requires a gradient");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
