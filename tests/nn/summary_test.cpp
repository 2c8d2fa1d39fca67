#include "cria/nn/summary.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "cria/nn/linear.hpp"
#include "cria/nn/normalization.hpp"
#include "cria/nn/sequential.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(nn)
BOOST_AUTO_TEST_SUITE(summary)

namespace {

using namespace cria;

auto network() {
  return cria::nn::Sequential{cria::nn::Linear<float>(40, 64, {.bias = true}),
                              cria::nn::BatchNorm<bfloat16>(64)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_module_is_a_table) {
  auto model = network();
  BOOST_TEST(cria::nn::summary(model) ==
             "name            shape     dtype     elements   bytes\n"
             "0.weight        [64, 40]  float32      2,560  10,240\n"
             "0.bias          [64]      float32         64     256\n"
             "1.weight        [64]      bfloat16        64     128\n"
             "1.bias          [64]      bfloat16        64     128\n"
             "1.running_mean  [64]      float32         64     256  buffer\n"
             "1.running_var   [64]      float32         64     256  buffer\n"
             "2,752 parameters; 128 elements in buffers; 11,264 bytes\n");
  cria::nn::freeze(std::get<1>(model.modules));
  BOOST_TEST(cria::nn::summary(model).ends_with(
      "2,752 parameters, of which 128 are frozen; 128 elements in buffers; 11,264 bytes\n"));
  BOOST_TEST(cria::nn::summary(model).find(
                 "1.weight        [64]      bfloat16        64     128  frozen\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(parameters_are_a_range) {
  auto model = network();
  std::string text;
  for (const auto& parameter : cria::nn::parameters(model)) {
    text += parameter.name + " " + std::string(parameter.dtype) + " " + to_string(parameter.shape) + "; ";
    if (parameter.name.ends_with("bias")) parameter.set_requires_grad(false);
  }
  BOOST_TEST(
      text ==
      "0.weight float32 [64, 40]; 0.bias float32 [64]; 1.weight bfloat16 [64]; 1.bias bfloat16 [64]; ");
  BOOST_TEST(!std::get<0>(model.modules).bias->requires_grad());
  BOOST_TEST(cria::nn::parameters(model)[0].requires_grad());
  BOOST_TEST(!cria::nn::parameters(model)[1].requires_grad());
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
