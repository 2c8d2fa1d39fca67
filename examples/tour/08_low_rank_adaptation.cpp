// A network that reads digits learns to read turned ones, by small matrices beside its frozen weights.
//
//   08_low_rank_adaptation [folder of images.npy and labels.npy]

#include <cria/cria.hpp>
#include <cria/io/npy.hpp>
#include <cstdio>
#include <filesystem>

using namespace cria;

using Digits = data::Subset<data::Examples<float, std::int32_t>>;

/// How many of the digits a model reads, in percent.
template <class Model>
double right(const Model& model, const Digits& digits) {
  const NoGrad guard;
  const auto [x, y] = *data::Batches(digits, {.batch_size = 1000}).begin();  // all of them
  return mean(cast<float>(argmax(model(x), -1) == y)).item() * 100;
}

template <class Model>
void train(Model& model, const Digits& digits) {
  AdamW optimizer(model, {.learning_rate = 5e-3});
  data::Batches batches(digits, {.batch_size = 64, .shuffle = true, .seed = 2});
  for (int epoch = 0; epoch < 15; ++epoch) {
    for (const auto& [x, y] : batches) {
      backward(cross_entropy(model(x), y));
      optimizer.step();
    }
  }
}

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "examples/tour/digits";
  const auto images = io::read_npy<float>(folder / "images.npy") / 16.0f;  // [1797, 8, 8] in 0 to 1
  const auto labels = io::read_npy<std::int32_t>(folder / "labels.npy");   // [1797]
  const data::SplitOptions fifth{.validation = 0.2, .seed = 1};
  const auto [upright, upright_held_out] = data::split(data::Examples(flatten(images, 1), labels), fifth);
  const auto [turned, turned_held_out] = data::split(
      data::Examples(flatten(flip(transpose(images, 1, 2), 2), 1), labels), fifth);  // by 90 degrees

  const nn::Linear<float> hidden(64, 128, {.bias = true}), head(128, 10, {.bias = true});
  nn::Sequential model{hidden, nn::Relu{}, head};
  nn::initialize(model, Rng(1));
  train(model, upright);
  const double of_upright = right(model, upright_held_out), before = right(model, turned_held_out);
  std::printf("trained on upright digits: %5.1f %% of these, %5.1f %% of turned ones\n", of_upright, before);

  // A copy of a layer is a handle on the same parameters: Lora freezes those of the model, and adds its own.
  nn::Sequential adapted{nn::Lora<float>(hidden, Rng(2), {.rank = 8}), nn::Relu{},
                         nn::Lora<float>(head, Rng(3), {.rank = 4})};
  train(adapted, turned);
  const double after = right(adapted, turned_held_out);
  const bool is_kept = right(model, upright_held_out) == of_upright;
  std::printf("adapted to turned ones:    %5.1f %% of these\n\n%s\n", after, nn::summary(adapted).c_str());

  // What was learned can be added to the weights; the model then is what was adapted.
  std::get<0>(adapted.modules).merge();
  std::get<2>(adapted.modules).merge();
  const double merged = right(model, turned_held_out);
  std::printf("right: %.1f %% of turned digits before, %.1f %% after, %.1f %% merged\n", before, after,
              merged);
  return before < 50 && after >= 90 && merged >= 90 && is_kept ? 0 : 1;
}
