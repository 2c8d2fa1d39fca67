// One model in float, bfloat16 and float16: nothing but a template argument differs.
//
//   07_number_types [folder of images.npy and labels.npy]

#include <algorithm>
#include <cria/cria.hpp>
#include <cria/io/npy.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <type_traits>

using namespace cria;

using Digits = data::Subset<data::Examples<float, std::int32_t>>;

/// Trains a model of T, and gives how many of the held-out digits it reads, in percent.
template <FloatingPoint T>
double learn(const Digits& training, const Digits& held_out) {
  auto model = nn::Sequential{nn::Linear<T>(64, 128, {.bias = true}), nn::Relu{},
                              nn::Linear<T>(128, 128, {.bias = true}), nn::Relu{},
                              nn::Linear<T>(128, 10, {.bias = true})};
  nn::initialize(model, Rng(1));
  AdamW optimizer(model, {.learning_rate = 3e-3});  // which keeps exact weights, in float
  // Lifts gradients that float16 would take for 0. A step that overflows changes the scale and nothing else.
  GradScaler scaler({.enabled = std::is_same_v<T, float16>});
  data::Batches batches(training, {.batch_size = 64, .shuffle = true, .seed = 2});
  double last = 0;
  for (int epoch = 0; epoch < 20; ++epoch) {
    for (const auto& [images, digits] : batches) {
      const auto loss = cross_entropy(model(cast<T>(images)), digits);  // float, whatever T is
      backward(loss, static_cast<float>(scaler.scale()));
      optimizer.step({.loss_scale = scaler.scale(), .max_norm = 1.0});
      scaler.update(optimizer.gradient_norm());
      last = loss.item();
    }
  }

  const NoGrad guard;
  const auto [images, digits] = *data::Batches(held_out, {.batch_size = 1000}).begin();  // all of them
  const double right = mean(cast<float>(argmax(model(cast<T>(images)), -1) == digits)).item() * 100;
  std::printf("%-8s  %7d  %7.4f  %10.0f  %6.1f %%\n", std::string(dtype_name<T>).c_str(),
              static_cast<int>(nn::parameter_count(model) * static_cast<std::int64_t>(sizeof(T))), last,
              scaler.scale(), right);
  return right;
}

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "examples/tour/digits";
  const auto images = io::read_npy<float>(folder / "images.npy") / 16.0f;  // [1797, 8, 8] in 0 to 1
  const auto labels = io::read_npy<std::int32_t>(folder / "labels.npy");   // [1797]
  const auto [training, held_out] =
      data::split(data::Examples(flatten(images, 1), labels), {.validation = 0.2, .seed = 1});

  std::puts("type        bytes     loss  loss scale  held out");
  const double with_float = learn<float>(training, held_out);
  const double with_bfloat16 = learn<bfloat16>(training, held_out);
  const double with_float16 = learn<float16>(training, held_out);
  std::printf("\nright: %.1f %%, %.1f %% and %.1f %%\n", with_float, with_bfloat16, with_float16);
  return std::min({with_float, with_bfloat16, with_float16}) >= 94 ? 0 : 1;
}
