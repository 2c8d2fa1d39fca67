// The smallest network that needs its hidden layer: exclusive or.

#include <cria/cria.hpp>
#include <cstdio>

using namespace cria;

int main() {
  const auto x = Tensor<float>::from({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
  const auto y = Tensor<float>::from({4, 1}, {0, 1, 1, 0});

  auto model = nn::Sequential{nn::Linear<float>(2, 8, {.bias = true}), nn::Tanh{},
                              nn::Linear<float>(8, 1, {.bias = true})};
  nn::initialize(model, Rng(1));
  std::printf("%s\n", nn::summary(model).c_str());

  SGD optimizer(model, {.learning_rate = 0.5, .momentum = 0.9});
  std::puts("step    loss");
  for (int step = 0; step <= 200; ++step) {
    const auto loss = binary_cross_entropy_with_logits(model(x), y);
    if (step % 50 == 0) std::printf("%4d  %6.4f\n", step, loss.item());
    backward(loss);
    optimizer.step();  // updates, then clears the gradients
  }

  const NoGrad guard;  // nothing is recorded any more
  const auto probability = sigmoid(model(x));
  std::puts("\na  b  a xor b");
  int right = 0;
  for (int i = 0; i < 4; ++i) {
    std::printf("%.0f  %.0f    %5.3f\n", x.at({i, 0}), x.at({i, 1}), probability.at({i, 0}));
    right += (probability.at({i, 0}) > 0.5f) == (y.at({i, 0}) == 1.0f);
  }
  std::printf("\nright: %d of 4\n", right);
  return right == 4 ? 0 : 1;
}
