// Trains one layer on one line and reads it back from a file: what a user of the installed package does.

#include <cria/cria.hpp>
#include <cria/io/io.hpp>
#include <cstdio>
#include <filesystem>

using namespace cria;

int main(int, char** argv) {
  nn::Linear<float> model(2, 1);
  nn::initialize(model, Rng(1));
  const auto x = Tensor<float>::from({2, 2}, {1, 0, 0, 1});
  const auto y = Tensor<float>::from({2, 1}, {3, -2});
  AdamW optimizer(model, {.learning_rate = 0.1, .weight_decay = 0.0});
  for (int step = 0; step < 300; ++step) {
    backward(mean(square(model(x) - y)));
    optimizer.step();
  }

  const auto path = std::filesystem::path(argv[0]).replace_extension(".safetensors");
  io::save_state(path, nn::state_dict(model));
  nn::Linear<float> loaded(2, 1);
  io::load_state(path, nn::state_dict(loaded));
  const NoGrad guard;
  const float error = mean(square(loaded(x) - y)).item();
  std::printf("mean squared error %g\n", static_cast<double>(error));
  return error < 1e-3f ? 0 : 1;
}
