// A convolutional network that learns to read handwritten digits.
//
//   04_digits [folder of images.npy and labels.npy]

#include <cria/cria.hpp>
#include <cria/io/npy.hpp>
#include <cstdio>
#include <filesystem>

using namespace cria;

/// Draws an image [1, 8, 8] with characters.
void draw(const Tensor<float>& image) {
  for (int i = 0; i < 8; ++i) {
    std::printf("   ");
    for (int j = 0; j < 8; ++j) std::printf("%c ", " .:oO@"[static_cast<int>(image.at({0, i, j}) * 5)]);
    std::puts("");
  }
}

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "examples/tour/digits";
  const auto images = io::read_npy<float>(folder / "images.npy") / 16.0f;  // [1797, 8, 8] in 0 to 1
  const auto labels = io::read_npy<std::int32_t>(folder / "labels.npy");   // [1797]
  const auto [training, held_out] =
      data::split(data::Examples(unsqueeze(images, 1), labels), {.validation = 0.2, .seed = 1});

  auto model = nn::Sequential{nn::Conv2d<float>(1, 16, 3, {.padding = 1}),  // [n, 16, 8, 8]
                              nn::Relu{},
                              nn::Conv2d<float>(16, 32, 3, {.padding = 1}),  // [n, 32, 8, 8]
                              nn::Relu{},
                              nn::MaxPool2d{2},  // [n, 32, 4, 4]
                              nn::Flatten{},
                              nn::Dropout{0.25f},
                              nn::Linear<float>(32 * 4 * 4, 10, {.bias = true})};
  nn::initialize(model, Rng(2));
  std::printf("%s\n", nn::summary(model).c_str());

  constexpr int epochs = 10;
  data::Batches batches(training, {.batch_size = 32, .shuffle = true, .seed = 3});
  AdamW optimizer(model);
  const auto rate = schedule::warm_up(20, schedule::cosine(3e-3, 1e-4, epochs * batches.size() - 20));
  const nn::DropoutStream noise(Rng(4));

  const auto [x, y] =
      *data::Batches(held_out, {.batch_size = 1000}).begin();  // all of them: [359, 1, 8, 8] and [359]
  double right = 0;
  std::puts("epoch    loss   held out");
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    double sum = 0;
    for (const auto& [some, of_some] : batches) {
      const auto loss = cross_entropy(model(some), of_some);
      sum += loss.item();
      backward(loss);
      optimizer.set_learning_rate(rate(optimizer.steps()));
      optimizer.step();
    }
    const NoGrad guard;  // and so without dropout
    right = mean(cast<float>(argmax(model(x), -1) == y)).item() * 100;
    std::printf("%5d  %6.4f   %6.1f %%\n", epoch, sum / static_cast<double>(batches.size()), right);
  }

  const NoGrad guard;
  const auto probability = softmax(model(x), -1);
  const auto found = argmax(probability, -1);
  const auto surest = argmax(masked_fill(max(probability, -1), found == y, 0));  // of those that are wrong
  std::printf("\nThe worst mistake, a %d read as %d:\n", y.at({surest.item()}), found.at({surest.item()}));
  draw(select(x, 0, surest.item()));
  std::printf("\nright: %.1f %% of %d held-out digits\n", right, static_cast<int>(held_out.size()));
  return right >= 97 ? 0 : 1;
}
