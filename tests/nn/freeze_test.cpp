// Frozen parameters: operations, optimisers, copies, and a model that is fine-tuned by matrices of low rank.

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/memory.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(freeze)

namespace {

using namespace cria;

/// A parameter of random numbers.
template <class T>
Parameter<T> trained(const Shape& shape) {
  Parameter<T> parameter(shape);
  parameter.value().assign(test::rounded<T>(test::normals(shape.size(), 5)));
  return parameter;
}

template <class T>
Tensor<T> leaf(const Shape& shape) {
  auto x = Tensor<T>::from(shape, test::rounded<T>(test::normals(shape.size(), 6)));
  return x.set_requires_grad();
}

/// That operation(x, weight) gives x the same gradient, bit for bit, whether its weight is frozen or not,
/// that a frozen weight gets none, and that nothing is recorded where x wants none either.
template <class T, class F>
void check_operation(const Shape& of_x, const Shape& of_weight, F operation) {
  auto weight = trained<T>(of_weight);
  const auto gradient = [&] {
    const auto x = leaf<T>(of_x);
    backward(operation(x, weight));
    return cast<acc_t<T>>(x.grad()).to_vector();
  };
  const auto want = gradient();
  BOOST_TEST(weight.has_grad());
  weight.set_requires_grad(false);
  BOOST_TEST(!weight.has_grad());
  const auto got = gradient();
  BOOST_TEST((got == want));
  BOOST_TEST(!weight.has_grad());
  BOOST_TEST(!operation(leaf<T>(of_x).detach(), weight).requires_grad());
  weight.set_requires_grad(true);
  gradient();
  BOOST_TEST(weight.has_grad());
}

template <class F>
void check_operation(const Shape& of_x, const Shape& of_weight, F operation) {
  check_operation<float>(of_x, of_weight, operation);
  check_operation<double>(of_x, of_weight, operation);
  check_operation<bfloat16>(of_x, of_weight, operation);
  check_operation<float16>(of_x, of_weight, operation);
}

}  // namespace

BOOST_AUTO_TEST_CASE(linear_passes_through_a_frozen_weight) {
  check_operation({5, 7}, {3, 7}, [](const auto& x, const auto& weight) { return sum(linear(x, weight)); });
}

BOOST_AUTO_TEST_CASE(linear_passes_through_a_frozen_bias) {
  check_operation({5, 7}, {3}, []<class T>(const Tensor<T>& x, const Parameter<T>& bias) {
    auto weight = trained<T>({3, 7});
    weight.set_requires_grad(false);
    return sum(square(linear(x, weight, bias)));
  });
}

BOOST_AUTO_TEST_CASE(a_bias_is_trained_where_its_weight_is_frozen) {
  auto weight = trained<float>({3, 7});
  const auto bias = trained<float>({3});
  weight.set_requires_grad(false);
  backward(sum(linear(leaf<float>({5, 7}).detach(), weight, bias)));
  BOOST_TEST((bias.grad().to_vector() == std::vector<float>{5, 5, 5}));
  BOOST_TEST(!weight.has_grad());
}

BOOST_AUTO_TEST_CASE(rms_norm_passes_through_a_frozen_weight) {
  for (const std::int64_t n : {7, 16}) {
    check_operation({5, n}, {n},
                    [](const auto& x, const auto& weight) { return sum(square(rms_norm(x, weight))); });
    check_operation({5, n}, {n}, [](const auto& x, const auto& weight) {
      const auto [both, normed] = add_rms_norm(x, square(x), weight);
      return sum(both * square(normed));
    });
  }
}

BOOST_AUTO_TEST_CASE(a_forgotten_norm_with_a_frozen_weight_is_computed_again) {
  check_operation({5, 7}, {7}, [](const auto& x, const auto& weight) {
    const auto y = rms_norm(x, weight);
    const auto loss = sum(square(y));
    y.forget();
    return loss;
  });
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_passes_through_a_frozen_weight) {
  const auto targets = Tensor<std::int32_t>::from({5}, {3, 0, -100, 8, 1});
  check_operation({5, 7}, {9, 7}, [&](const auto& x, const auto& weight) {
    return linear_cross_entropy(x, weight, targets);
  });
}

BOOST_AUTO_TEST_CASE(linear_cross_entropy_does_not_compute_a_frozen_weights_gradient) {
  auto weight = trained<float>({4096, 64});
  const auto targets = Tensor<std::int32_t>::full({4}, 7);
  const auto peak = [&] {
    return test::peak_bytes([&] { backward(linear_cross_entropy(leaf<float>({4, 64}), weight, targets)); });
  };
  peak();
  weight.clear_grad();
  const std::size_t with = peak();
  weight.set_requires_grad(false);
  BOOST_TEST(peak() + 4096 * 64 * sizeof(float) < with);
}

BOOST_AUTO_TEST_CASE(embedding_has_no_gradient_for_a_frozen_weight) {
  auto weight = trained<float>({9, 4});
  const auto tokens = Tensor<std::int32_t>::from({3}, {8, 0, 8});
  backward(sum(embedding(tokens, weight)));
  BOOST_TEST(weight.has_grad());
  weight.set_requires_grad(false);
  BOOST_TEST(!embedding(tokens, weight).requires_grad());
}

BOOST_AUTO_TEST_CASE(copies_and_replicas_are_frozen_together_and_clones_apart) {
  auto parameter = trained<float>({2});
  auto copy = parameter, replica = parameter.with_own_gradient();
  parameter.set_requires_grad(false);
  auto clone = parameter.clone();
  for (const auto& other : {copy, replica, clone}) BOOST_TEST(!other.requires_grad());
  replica.set_requires_grad(true);
  BOOST_TEST(parameter.requires_grad());
  BOOST_TEST(copy.requires_grad());
  BOOST_TEST(!clone.requires_grad());
}

namespace {

/// The values of all parameters, and their gradients.
struct Snapshot {
  std::map<std::string, std::vector<std::byte>> values;
  std::map<std::string, std::vector<float>> gradients;
};

template <class M>
Snapshot snapshot(const M& model) {
  Snapshot all;
  for (const auto& tensor : cria::nn::state_dict(model)) all.values[tensor.name] = tensor.read();
  cria::nn::for_each_parameter(model, [&](const std::string& name, const auto& parameter) {
    if (parameter.has_grad()) all.gradients[name] = parameter.grad().to_vector();
  });
  return all;
}

/// linear(x) + up(down(x)) of a frozen linear: x [..., in] -> [..., out]. Hu et al. 2022.
struct LowRank {
  cria::nn::Linear<float> linear, down, up;

  LowRank(std::int64_t in, std::int64_t out, std::int64_t rank)
      : linear(in, out), down(in, rank), up(rank, out) {
    cria::nn::freeze(linear);
  }
  Tensor<float> operator()(const Tensor<float>& x) const { return linear(x) + up(down(x)); }
  static void visit(auto& self, auto&& field) {
    field("linear", self.linear);
    field("down", self.down);
    field("up", self.up);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_model_is_fine_tuned_by_matrices_of_low_rank) {
  LowRank model(8, 6, 2);
  cria::nn::initialize(model, Rng(1));
  AdamW optimizer(model, {.learning_rate = 0.02, .weight_decay = 0});
  const auto x = leaf<float>({32, 8}).detach();
  const auto want = linear(x, trained<float>({6, 8}));
  const auto before = snapshot(model);
  std::vector<float> losses;
  for (int step = 0; step < 60; ++step) {
    const auto loss = mean(square(model(x) - want.detach()));
    losses.push_back(loss.item());
    backward(loss);
    BOOST_TEST((snapshot(model).gradients.contains("linear.weight") == false));
    optimizer.step();
  }
  BOOST_TEST(losses.back() < 0.7f * losses.front());
  const auto after = snapshot(model);
  BOOST_TEST((after.values.at("linear.weight") == before.values.at("linear.weight")));
  BOOST_TEST((after.values.at("up.weight") != before.values.at("up.weight")));
  std::vector<std::string> state;
  for (const auto& tensor : optimizer.state_dict()) state.push_back(tensor.name);
  BOOST_TEST((state == std::vector<std::string>{"down.weight.first_moment", "down.weight.second_moment",
                                                "up.weight.first_moment", "up.weight.second_moment"}));
  BOOST_TEST(optimizer.decayed().tensors == 2);
  BOOST_TEST(optimizer.decayed().values == 2 * (8 + 6));
}

BOOST_AUTO_TEST_CASE(a_parameter_that_is_unfrozen_later_is_trained_from_then_on) {
  LowRank model(4, 4, 1);
  cria::nn::initialize(model, Rng(2));
  AdamW optimizer(model);
  const auto step = [&] {
    backward(sum(square(model(Tensor<float>::full({1, 4}, 1.0f)))));
    optimizer.step();
    return model.linear.weight.value().to_vector();
  };
  const auto frozen = step();
  cria::nn::unfreeze(model.linear);
  BOOST_TEST((step() != frozen));
  BOOST_TEST(optimizer.state_dict().size() == 6u);
  cria::nn::freeze(model.linear);
  const auto again = model.linear.weight.value().to_vector();
  BOOST_TEST((step() == again));
}

// embedding knew in forward where its gradient goes.
BOOST_AUTO_TEST_CASE(a_parameter_that_is_frozen_between_forward_and_backward_is_not_updated) {
  cria::nn::Embedding<float> model(3, 2);
  cria::nn::initialize(model, Rng(3));
  AdamW optimizer(model);
  const auto before = model.weight.value().to_vector();
  const auto loss = sum(model(Tensor<std::int32_t>::from({1}, {2})));
  cria::nn::freeze(model);
  backward(loss);
  optimizer.step();
  BOOST_TEST((model.weight.value().to_vector() == before));
  BOOST_TEST(optimizer.gradient_norm() == 0.0);
  BOOST_TEST(!model.weight.has_grad());
}

BOOST_AUTO_TEST_CASE(a_frozen_parameter_takes_no_part_in_the_norm) {
  LowRank model(4, 4, 1);
  cria::nn::initialize(model, Rng(2));
  cria::nn::unfreeze(model);
  backward(sum(square(model(Tensor<float>::full({1, 4}, 1.0f)))));
  const double all = gradient_norm(model);
  cria::nn::freeze(model.linear);
  const double rest = gradient_norm(model);
  cria::nn::freeze(model);
  BOOST_TEST(0 < rest);
  BOOST_TEST(rest < all);
  BOOST_TEST(gradient_norm(model) == 0.0);
}

BOOST_AUTO_TEST_CASE(the_rest_of_a_llama_gets_the_same_gradients) {
  const auto golden = test::golden_json("tied_kv2.json");
  const auto batch = test::golden_batch(golden, 0);
  auto model = test::golden_model<float>(golden);
  const auto gradients = [&] {
    cria::nn::zero_grad(model);
    backward(model.loss(batch.inputs, batch.targets));
    return snapshot(model).gradients;
  };
  auto want = gradients();
  cria::nn::freeze(model.model.layers[0]);
  model.model.embed_tokens.weight.set_requires_grad(false);
  model.model.norm.weight.set_requires_grad(false);
  const auto got = gradients();
  const std::size_t count = want.size();
  std::erase_if(want, [](const auto& entry) {
    return entry.first.starts_with("model.layers.0.") || entry.first == "model.embed_tokens.weight" ||
           entry.first == "model.norm.weight";
  });
  BOOST_TEST(want.size() == count - 11);
  BOOST_TEST((got == want));
  cria::nn::freeze(model);
  BOOST_TEST(test::error_message<AutogradError>([&] { backward(model.loss(batch.inputs, batch.targets)); }) ==
             "backward: the tensor was not computed from anything that requires a gradient");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
