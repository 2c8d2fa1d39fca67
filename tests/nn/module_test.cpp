#include "cria/nn/module.hpp"

#include <boost/test/unit_test.hpp>

#include "cria/cria.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(module)

namespace {

using namespace cria;

auto small_network() {
  return cria::nn::Sequential{cria::nn::Linear<float>(2, 16), cria::nn::Relu{},
                              cria::nn::Linear<float>(16, 1)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(parameters_are_named_by_their_path) {
  auto network = small_network();
  std::vector<std::string> names;
  cria::nn::for_each_parameter(network, [&](const std::string& name, const auto&) { names.push_back(name); });
  BOOST_TEST((names == std::vector<std::string>{"0.weight", "2.weight"}));
  BOOST_TEST(cria::nn::parameter_count(network) == 2 * 16 + 16);
}

BOOST_AUTO_TEST_CASE(xor_is_learned) {
  auto network = small_network();
  cria::nn::initialize(network, Rng(42));
  const auto x = Tensor<float>::from({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
  const auto y = Tensor<float>::from({4, 1}, {0, 1, 1, 0});
  AdamW optimizer(network, {.learning_rate = 1e-2});
  float last = 1;
  for (int step = 0; step < 500; ++step) {
    const auto loss = mean(square(network(x) - y));
    last = loss.item();
    backward(loss);
    optimizer.step();
  }
  BOOST_TEST(last < 1e-3f);
}

/// A matrix, a vector that is not called bias, and factors of a norm.
struct Own {
  Parameter<float> matrix{{64, 32}}, offset{{8}}, factors{{8}, 1.0};
  static void visit(auto& self, auto&& field) {
    field("matrix", self.matrix);
    field("offset", self.offset);
    field("factors", self.factors);
  }
};

BOOST_AUTO_TEST_CASE(parameters_start_as_zeros_or_as_their_constant) {
  { const auto dirt = Tensor<float>::full({64, 32}, 7.0f); }  // memory that the matrix may get
  const Own own;
  BOOST_TEST((own.matrix.value().to_vector() == std::vector<float>(64 * 32)));
  BOOST_TEST((own.offset.value().to_vector() == std::vector<float>(8)));
  BOOST_TEST((own.factors.value().to_vector() == std::vector<float>(8, 1.0f)));
  const cria::nn::RmsNorm<bfloat16> norm(4);
  BOOST_TEST(static_cast<float>(norm.weight.value().to_vector()[3]) == 1.0f);
}

BOOST_AUTO_TEST_CASE(initialisation_goes_by_shape_and_constant_and_not_by_name) {
  Own own;
  own.offset.value().assign(std::vector<float>(8, 5.0f));
  own.factors.value().assign(std::vector<float>(8, 5.0f));
  cria::nn::initialize(own, Rng(1));
  BOOST_TEST((own.offset.value().to_vector() == std::vector<float>(8)));
  BOOST_TEST((own.factors.value().to_vector() == std::vector<float>(8, 1.0f)));
  double squares = 0;
  for (const float x : own.matrix.value().to_vector()) squares += static_cast<double>(x * x);
  BOOST_TEST(std::sqrt(squares / (64 * 32)) == 1 / std::sqrt(32.0), boost::test_tools::tolerance(0.1));
}

BOOST_AUTO_TEST_CASE(a_copy_shares_its_parameters) {
  auto network = cria::nn::Linear<double>(3, 2);
  const auto copy = network;
  network.weight.value().assign(std::vector<double>(6, 5.0));
  BOOST_TEST(copy.weight.value().to_vector()[0] == 5.0);
}

BOOST_AUTO_TEST_CASE(a_clone_shares_nothing) {
  auto network = cria::nn::Linear<double>(3, 2);
  cria::nn::initialize(network, Rng(1));
  auto other = cria::nn::clone(network);
  BOOST_TEST((other.weight.value().to_vector() == network.weight.value().to_vector()));
  const double before = other.weight.value().to_vector()[0];
  network.weight.value().assign(std::vector<double>(6, 5.0));
  BOOST_TEST(other.weight.value().to_vector()[0] == before);
}

BOOST_AUTO_TEST_CASE(state_dict_reads_and_writes_the_values) {
  auto network = cria::nn::Linear<float>(3, 2);
  cria::nn::initialize(network, Rng(1));
  const auto state = cria::nn::state_dict(network);
  BOOST_TEST_REQUIRE(state.size() == 1u);
  BOOST_TEST(state[0].name == "weight");
  BOOST_TEST(state[0].dtype == "float32");
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  state[0].write(std::as_bytes(std::span(values)));
  BOOST_TEST((network.weight.value().to_vector() == values));
}

namespace {

struct WithBuffer {
  cria::nn::Linear<float> layer{2, 2, {.bias = true}};
  Buffer<float> running_mean{{2}, 3.0f};
  std::optional<Buffer<std::int64_t>> batches{Buffer<std::int64_t>({})};

  static void visit(auto& self, auto&& field) {
    field("layer", self.layer);
    field("running_mean", self.running_mean);
    field("batches", self.batches);
  }
};

}  // namespace

/// A matrix and a buffer on a backend.
template <class T, class B>
struct Moved {
  Parameter<T, B> matrix;
  Buffer<float, B> mean{{2}, 1.0f};
  explicit Moved(const Shape& shape) : matrix(shape, 3.0) {}
  static void visit(auto& self, auto&& field) {
    field("matrix", self.matrix);
    field("mean", self.mean);
  }
};

BOOST_AUTO_TEST_CASE(values_are_copied_to_a_module_on_another_backend) {
  Moved<float, Cpu> here({2, 3});
  here.mean.value().assign(std::vector<float>{5, 6});
  Moved<float, DefaultBackend> there({2, 3});
  there.matrix.value().assign(std::vector<float>(6, 9.0f));
  cria::nn::copy_values(here, there);
  BOOST_TEST((there.matrix.value().to_vector() == std::vector<float>(6, 3.0f)));
  BOOST_TEST((there.mean.value().to_vector() == std::vector<float>{5, 6}));
  here.matrix.value().assign(std::vector<float>(6, 4.0f));
  BOOST_TEST(there.matrix.value().at({1, 2}) == 3.0f);  // no longer one value
  cria::nn::copy_values(there, here);
  BOOST_TEST(here.matrix.value().at({1, 2}) == 3.0f);
}

struct NoFields {
  static void visit(auto&, auto&&) {}
};

BOOST_AUTO_TEST_CASE(values_are_copied_only_between_modules_that_are_alike) {
  const auto message = [](const auto& from, auto to) {
    const auto before = to.mean.value().to_vector();
    const std::string said = test::error_message<ConfigError>([&] { cria::nn::copy_values(from, to); });
    BOOST_TEST((to.mean.value().to_vector() == before));
    return said;
  };
  const std::string rule = "; both modules need the same names, shapes and dtypes";
  const Moved<float, Cpu> from({2, 3});
  BOOST_TEST(message(from, Moved<float, DefaultBackend>({3, 2})) ==
             "copy_values: 'matrix' is float32 [2, 3] and in the other module float32 [3, 2]" + rule);
  BOOST_TEST(message(from, Moved<bfloat16, DefaultBackend>({2, 3})) ==
             "copy_values: 'matrix' is float32 [2, 3] and in the other module bfloat16 [2, 3]" + rule);
  cria::nn::Linear<float> layer(2, 3);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::copy_values(from, layer); }) ==
             "copy_values: 'matrix' is called 'weight' in the other module" + rule);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::copy_values(small_network(), layer); }) ==
             "copy_values: '0.weight' is called 'weight' in the other module" + rule);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::copy_values(NoFields(), layer); }) ==
             "copy_values: 'weight' is not in the module that is copied" + rule);
  BOOST_TEST(test::error_message<ConfigError>([&] {
               NoFields none;
               cria::nn::copy_values(layer, none);
             }) == "copy_values: 'weight' is not in the module that gets the values" + rule);
}

BOOST_AUTO_TEST_CASE(buffers_are_saved_and_cloned_but_not_trained) {
  WithBuffer module;
  BOOST_TEST(cria::nn::parameter_count(module) == 6);
  std::vector<std::string> names;
  for (const auto& tensor : cria::nn::state_dict(module)) names.push_back(tensor.name);
  BOOST_TEST((names == std::vector<std::string>{"layer.weight", "layer.bias", "running_mean", "batches"}));
  const auto copy = cria::nn::clone(module);
  module.running_mean.value().assign(std::vector<float>{1, 2});
  BOOST_TEST((copy.running_mean.value().to_vector() == std::vector<float>{3, 3}));
  const auto handle = module;
  BOOST_TEST((handle.running_mean.value().to_vector() == std::vector<float>{1, 2}));
  AdamW optimizer(module, AdamWOptions{});
  cria::nn::initialize(module, Rng(1));
  BOOST_TEST((module.running_mean.value().to_vector() == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(parameters_are_frozen_by_their_names) {
  WithBuffer module;
  cria::nn::freeze(module, [](std::string_view name) { return !name.ends_with("bias"); });
  BOOST_TEST(!module.layer.weight.requires_grad());
  BOOST_TEST(module.layer.bias->requires_grad());
  cria::nn::freeze(module);
  cria::nn::unfreeze(module, [](std::string_view name) { return name == "layer.weight"; });
  BOOST_TEST(module.layer.weight.requires_grad());
  BOOST_TEST(!module.layer.bias->requires_grad());
}

BOOST_AUTO_TEST_CASE(a_predicate_that_no_name_satisfies_is_refused) {
  WithBuffer module;
  const auto misspelt = [](std::string_view name) { return name.starts_with("layers."); };
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::freeze(module, misspelt); }) ==
             "nn::freeze: no parameter has a name that satisfies the predicate; the first is called "
             "'layer.weight'");
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::unfreeze(module, misspelt); }) ==
             "nn::unfreeze: no parameter has a name that satisfies the predicate; the first is called "
             "'layer.weight'");
  cria::nn::Relu none;
  BOOST_TEST(
      test::error_message<ConfigError>([&] { cria::nn::freeze(none, misspelt); }) ==
      "nn::freeze: no parameter has a name that satisfies the predicate; the module has no parameters");
  cria::nn::freeze(none);  // all of none
}

namespace {
struct TwoOfOneName {
  cria::nn::Linear<float> first{2, 3}, second{3, 2};
  static void visit(auto& self, auto&& field) {
    field("layer", self.first);
    field("layer", self.second);
  }
};
}  // namespace

BOOST_AUTO_TEST_CASE(two_fields_of_one_name_are_refused) {
  TwoOfOneName module;
  const std::string want = "nn: two fields are called 'layer.weight'; visit must give each a name of its own";
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::initialize(module, Rng(1)); }) == want);
  BOOST_TEST(test::error_message<ConfigError>([&] { cria::nn::state_dict(module); }) == want);
  BOOST_TEST(test::error_message<ConfigError>([&] { AdamW<> optimizer(module); }) == want);
}

BOOST_AUTO_TEST_CASE(dropout_layers_draw_from_the_stream_and_rest_under_no_grad) {
  const cria::nn::Dropout layer{0.5f};
  auto x = Tensor<float>::full({1000}, 1.0f);
  x.set_requires_grad();
  const auto draw = [&](std::uint64_t seed) {
    const cria::nn::DropoutStream stream{Rng(seed)};
    return std::pair(layer(x).to_vector(), layer(x).to_vector());
  };
  BOOST_TEST((draw(1) == draw(1)));
  BOOST_TEST((draw(1) != draw(2)));
  BOOST_TEST((draw(1).first != draw(1).second));
  const NoGrad guard;
  BOOST_TEST((draw(1).first == x.to_vector()));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
