#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cria/ops/attention.hpp"
#include "cria/ops/cross_entropy.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/rms_norm.hpp"
#include "cria/ops/rope.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

/// Operations in double against PyTorch's.
BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(golden)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::Values;

constexpr double tolerance = 2e-12;

struct Golden {
  explicit Golden(const std::string& operation)
      : name(operation), json(cria::test::golden_json("ops.json").at(operation)) {}

  static Shape shape_of(const nlohmann::json& array) {
    return Shape(array.at("shape").get<std::vector<std::int64_t>>());
  }
  static Values values_of(const nlohmann::json& array) { return array.at("values").get<Values>(); }

  Tensor<double> input(const std::string& input_name) const {
    const auto& array = json.at("inputs").at(input_name);
    return Tensor<double>::from(shape_of(array), values_of(array)).set_requires_grad();
  }

  /// Compares y, and after backward the gradients of the named inputs.
  template <class... Input>
  void check(const Tensor<double>& y, const std::pair<const char*, Input>&... inputs) const {
    BOOST_TEST(y.shape() == shape_of(json.at("output")));
    check_close(name + ", output", cria::test::to_values(y), values_of(json.at("output")), tolerance);
    backward(sum(y * Tensor<double>::from(y.shape(), values_of(json.at("output_gradient")))));
    (check_close(name + ", gradient of " + inputs.first, cria::test::to_values(inputs.second.grad()),
                 values_of(json.at("gradients").at(inputs.first)), tolerance),
     ...);
  }

  std::string name;
  nlohmann::json json;
};

}  // namespace

BOOST_AUTO_TEST_CASE(silu) {
  const Golden golden("silu");
  const auto x = golden.input("x");
  golden.check(cria::silu(x), std::pair("x", x));
}

BOOST_AUTO_TEST_CASE(swiglu) {
  const Golden golden("swiglu");
  const auto gate = golden.input("gate"), up = golden.input("up");
  golden.check(cria::swiglu(gate, up), std::pair("gate", gate), std::pair("up", up));
}

BOOST_AUTO_TEST_CASE(rms_norm) {
  const Golden golden("rms_norm");
  const auto x = golden.input("x"), values = golden.input("weight");
  Parameter<double> weight(values.shape());
  weight.value().assign(values.to_vector());
  golden.check(cria::rms_norm(x, weight, golden.json.at("epsilon").get<float>()), std::pair("x", x),
               std::pair("weight", weight));
}

BOOST_AUTO_TEST_CASE(cross_entropy) {
  const Golden golden("cross_entropy");
  const auto logits = golden.input("logits");
  const auto targets = golden.json.at("targets").get<std::vector<std::int32_t>>();
  golden.check(cria::cross_entropy(logits, Tensor<std::int32_t>::from({logits.dim(0)}, targets),
                                   golden.json.at("ignore_index").get<std::int32_t>()),
               std::pair("logits", logits));
}

BOOST_AUTO_TEST_CASE(rope) {
  const Golden golden("rope");
  const auto x = golden.input("x");
  golden.check(
      cria::rope(x, golden.json.at("start").get<std::int64_t>(), golden.json.at("theta").get<float>()),
      std::pair("x", x));
}

BOOST_AUTO_TEST_CASE(causal_attention) {
  const Golden golden("causal_attention");
  const auto q = golden.input("q"), k = golden.input("k"), v = golden.input("v");
  golden.check(cria::attention(q, k, v), std::pair("q", q), std::pair("k", k), std::pair("v", v));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
