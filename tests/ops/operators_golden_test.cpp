// The operators of docs/operators.md in double against PyTorch's (tests/golden/make_operator_goldens.py).

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/golden.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(operators_golden)

namespace {

using namespace cria;
using cria::test::check_close;
using cria::test::Values;
using X = std::vector<Tensor<double>>;

Tensor<std::int32_t> rows_of_index() {
  return Tensor<std::int32_t>::from({4, 1}, {2, 0, 2, 1});
}
Tensor<std::int32_t> targets() {
  return Tensor<std::int32_t>::from({4}, {1, -100, 3, 0});
}

const std::map<std::string, std::function<Tensor<double>(const X&)>>& operators() {
  static const std::map<std::string, std::function<Tensor<double>(const X&)>> all{
      {"abs", [](const X& x) { return abs(x[0]); }},
      {"square", [](const X& x) { return square(x[0]); }},
      {"exp", [](const X& x) { return exp(x[0]); }},
      {"expm1", [](const X& x) { return expm1(x[0]); }},
      {"sigmoid", [](const X& x) { return sigmoid(x[0]); }},
      {"tanh", [](const X& x) { return tanh(x[0]); }},
      {"erf", [](const X& x) { return erf(x[0]); }},
      {"sin", [](const X& x) { return sin(x[0]); }},
      {"cos", [](const X& x) { return cos(x[0]); }},
      {"relu", [](const X& x) { return relu(x[0]); }},
      {"silu", [](const X& x) { return silu(x[0]); }},
      {"gelu", [](const X& x) { return gelu(x[0]); }},
      {"softplus", [](const X& x) { return softplus(x[0]); }},
      {"elu", [](const X& x) { return elu(x[0]); }},
      {"leaky_relu", [](const X& x) { return leaky_relu(x[0]); }},
      {"gelu_tanh", [](const X& x) { return gelu_tanh(x[0]); }},
      {"clamp", [](const X& x) { return clamp(x[0], -0.5, 0.5); }},
      {"sqrt", [](const X& x) { return sqrt(x[0]); }},
      {"rsqrt", [](const X& x) { return rsqrt(x[0]); }},
      {"log", [](const X& x) { return log(x[0]); }},
      {"log1p", [](const X& x) { return log1p(x[0]); }},
      {"power", [](const X& x) { return pow(x[0], x[1]); }},
      {"divide", [](const X& x) { return x[0] / x[1]; }},
      {"maximum", [](const X& x) { return maximum(x[0], x[1]); }},
      {"minimum", [](const X& x) { return minimum(x[0], x[1]); }},
      {"where", [](const X& x) { return where(x[0] > x[1], x[0] * x[1], x[0] - x[1]); }},
      {"lerp", [](const X& x) { return lerp(x[0], x[1], x[2]); }},
      {"masked_fill", [](const X& x) { return masked_fill(x[0], x[0] > 0.3, -2); }},
      {"permute",
       [](const X& x) {
         return permute(x[0], {2, 0, 1});
       }},
      {"slice", [](const X& x) { return cria::slice(x[0], 1, 1, 5, 2); }},
      {"select", [](const X& x) { return cria::select(x[0], 1, -2); }},
      {"split",
       [](const X& x) {
         return split(x[0], {2, 3}, 1)[1];
       }},
      {"chunk", [](const X& x) { return chunk(x[0], 3, 1)[2]; }},
      {"concat",
       [](const X& x) {
         return concat({x[0], x[1]}, 1);
       }},
      {"stack",
       [](const X& x) {
         return stack({x[0], x[1]}, 1);
       }},
      {"expand",
       [](const X& x) {
         return expand(x[0], {3, 4, 2});
       }},
      {"repeat",
       [](const X& x) {
         return repeat(x[0], {2, 3});
       }},
      {"flip",
       [](const X& x) {
         return flip(x[0], {0, 1});
       }},
      {"roll", [](const X& x) { return roll(x[0], 2, 1); }},
      {"pad",
       [](const X& x) {
         return pad(x[0], {{3, 0}, {1, 2}}, 0.25);
       }},
      {"tril", [](const X& x) { return tril(x[0], 1); }},
      {"triu", [](const X& x) { return triu(x[0], -1); }},
      {"unfold",
       [](const X& x) {
         return cria::unfold(x[0], {2, 3}, {.stride = {2, 1}, .padding = 1, .dilation = {1, 2}});
       }},
      {"flatten", [](const X& x) { return flatten(x[0], 1); }},
      {"sum",
       [](const X& x) {
         return sum(x[0], {0, 2});
       }},
      {"mean", [](const X& x) { return mean(x[0], 1, {.keepdim = true}); }},
      {"prod", [](const X& x) { return prod(x[0], 1); }},
      {"max",
       [](const X& x) {
         return max(x[0], {0, 2});
       }},
      {"min",
       [](const X& x) {
         return min(x[0], {0, 1});
       }},
      {"variance",
       [](const X& x) {
         return variance(x[0], {0, 2});
       }},
      {"standard_deviation",
       [](const X& x) {
         return standard_deviation(x[0], {1, 2}, {.correction = 0});
       }},
      {"norm",
       [](const X& x) {
         return norm(x[0], {0, 2});
       }},
      {"logsumexp",
       [](const X& x) {
         return logsumexp(x[0], {0, 2});
       }},
      {"matmul", [](const X& x) { return cria::matmul(x[0], x[1]); }},
      {"matmul_of_vectors", [](const X& x) { return cria::matmul(x[0], x[1]); }},
      {"bmm", [](const X& x) { return bmm(x[0], x[1]); }},
      {"dot", [](const X& x) { return dot(x[0], x[1]); }},
      {"outer", [](const X& x) { return outer(x[0], x[1]); }},
      {"linear", [](const X& x) { return cria::linear(x[0], x[1], x[2]); }},
      {"conv1d",
       [](const X& x) { return conv1d(x[0], x[1], x[2], {.stride = 2, .padding = 1, .groups = 2}); }},
      {"conv2d",
       [](const X& x) {
         return conv2d(x[0], x[1], x[2],
                       {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2});
       }},
      {"conv_transpose2d",
       [](const X& x) {
         return conv_transpose2d(
             x[0], x[1], x[2],
             {.stride = 2, .padding = 1, .output_padding = {1, 0}, .dilation = {1, 2}, .groups = 2});
       }},
      {"max_pool2d",
       [](const X& x) {
         return max_pool2d(x[0], {3, 2}, {.stride = {2, 1}, .padding = {1, 0}});
       }},
      {"avg_pool2d", [](const X& x) { return avg_pool2d(x[0], 2, {.padding = 1}); }},
      {"interpolate_nearest",
       [](const X& x) {
         return interpolate_nearest(x[0], {2, 3});
       }},
      {"softmax", [](const X& x) { return cria::softmax(x[0], 1); }},
      {"log_softmax", [](const X& x) { return log_softmax(x[0], -1); }},
      {"layer_norm", [](const X& x) { return layer_norm(x[0], x[1], x[2]); }},
      {"group_norm", [](const X& x) { return group_norm(x[0], 2, x[1], x[2]); }},
      {"batch_norm",
       [](const X& x) {
         Buffer<double> mean({4}), variance({4});
         return batch_norm(x[0], x[1], x[2], mean, variance);
       }},
      {"gather", [](const X& x) { return cria::gather(x[0], 1, rows_of_index()); }},
      {"index_select", [](const X& x) { return index_select(x[0], 0, flatten(rows_of_index())); }},
      {"scatter_add", [](const X& x) { return scatter_add(x[0], 1, rows_of_index(), x[1]); }},
      {"scatter", [](const X& x) { return scatter(x[0], 1, rows_of_index(), x[1]); }},
      {"einsum_product", [](const X& x) { return cria::einsum("bij,bjk->bik", x[0], x[1]); }},
      {"einsum_heads", [](const X& x) { return cria::einsum("bqhd,bkhd->bhqk", x[0], x[1]); }},
      {"einsum_sums", [](const X& x) { return cria::einsum("xij,jyi->i", x[0], x[1]); }},
      {"einsum_outer", [](const X& x) { return cria::einsum("i,j->ji", x[0], x[1]); }},
      {"einsum_scalar", [](const X& x) { return cria::einsum("ij,ij->", x[0], x[1]); }},
      {"mse_loss", [](const X& x) { return mse_loss(x[0], x[1]); }},
      {"l1_loss", [](const X& x) { return l1_loss(x[0], x[1]); }},
      {"huber_loss", [](const X& x) { return huber_loss(x[0], x[1], {.delta = 0.5}); }},
      {"binary_cross_entropy_with_logits",
       [](const X& x) { return binary_cross_entropy_with_logits(x[0], x[1]); }},
      {"kl_div", [](const X& x) { return kl_div(x[0], x[1], {.reduction = Reduction::sum}); }},
      {"cross_entropy", [](const X& x) { return cria::cross_entropy(x[0], targets()); }},
      {"cross_entropy_smoothed",
       [](const X& x) {
         const auto weight = Tensor<double>::from({5}, {1, 2, 0.5, 3, 1.5});
         return cria::cross_entropy(x[0], targets(), weight, {.label_smoothing = 0.2});
       }},
      {"nll_loss", [](const X& x) { return nll_loss(x[0], targets()); }},
      {"cosine_similarity", [](const X& x) { return cosine_similarity(x[0], x[1], 1); }},
  };
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(outputs_and_gradients_are_those_of_pytorch) {
  const auto golden = cria::test::golden_json("operators.json");
  BOOST_TEST(golden.size() == operators().size());
  for (const auto& [name, want] : golden.items()) {
    X inputs;
    for (const auto& dims : want.at("shapes")) {
      const Shape shape(dims.get<std::vector<std::int64_t>>());
      const double offset = 1.0 + static_cast<double>(inputs.size()), more = want.at("positive") ? 1.5 : 0.0;
      Values values;
      for (std::int64_t i = 0; i < shape.size(); ++i) {
        const auto at = static_cast<double>(i);
        values.push_back(std::sin(offset + 0.37 * at + at * at / 64.0) + more);
      }
      inputs.push_back(Tensor<double>::from(shape, values).set_requires_grad());
    }
    BOOST_TEST_REQUIRE(operators().contains(name), name);
    const auto y = operators().at(name)(inputs);
    BOOST_TEST(y.shape() == Shape(want.at("output_shape").get<std::vector<std::int64_t>>()), name);
    check_close(name, cria::test::to_values(y), want.at("output").get<Values>(), 1e-11);
    Values flow;
    for (std::int64_t i = 0; i < y.size(); ++i) flow.push_back(std::cos(1 + 0.53 * static_cast<double>(i)));
    backward(sum(y * Tensor<double>::from(y.shape(), flow)));
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      check_close(name + ", gradient of input " + std::to_string(k), cria::test::to_values(inputs[k].grad()),
                  want.at("gradients").at(k).get<Values>(), 1e-11);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
