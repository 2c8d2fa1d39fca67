// Trains one layer on one line and reads it back from a file, and computes together with a shared library:
// what a user of the installed package does.

#include <algorithm>
#include <cria/cria.hpp>
#include <cria/io/io.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "part.hpp"

using namespace cria;

/// Whether the library multiplies matrices of T by the product that this program provides, here one that
/// always gives 42.
template <class T>
bool library_takes_product() {
  const auto provided =
      std::exchange(cpu::library_product<T, T>, [](Operand<T>, Operand<T>, bool /*accumulate*/, Rows<T> c) {
        std::fill_n(c.data, c.rows * c.cols, static_cast<T>(42.0f));
      });
  const auto y = part::project(Tensor<T>::zeros({128, 64}), nn::Linear<T>(64, 96).weight).to_vector();
  cpu::library_product<T, T> = provided;
  return std::ranges::all_of(y, [](T value) { return static_cast<float>(value) == 42.0f; });
}

/// What does not hold where this program and the library are to be one; null if all does.
const char* broken_with_library() {
  {
    const auto x = Tensor<float>::scalar(3).set_requires_grad();
    backward(square(part::add_hundred(x)));  // (x + 100)^2
    if (x.grad().item() != 206.0f) return "the gradient of a graph that both made";
  }
  {
    const auto x = Tensor<float>::scalar(3).set_requires_grad();
    const NoGrad guard;
    if (part::add_hundred(x).requires_grad()) return "NoGrad in the library";
  }
  {
    nn::Linear<float> layer(64, 96);
    nn::initialize(layer, Rng(1));
    const auto x = Tensor<float>::full({128, 64}, 0.1f);
    if (part::project(x, layer.weight).to_vector() != layer(x).to_vector()) return "the same product in both";
  }
  if (!library_takes_product<float>()) return "a product of float32 that the program provides";
  if (!library_takes_product<bfloat16>()) return "a product of bfloat16 that the program provides";
  {
    const std::size_t before = cpu::allocator().statistics().in_use;
    std::optional x = part::add_hundred(Tensor<float>::zeros({1000}));
    if (part::bytes_in_use() != cpu::allocator().statistics().in_use) return "one allocator";
    x.reset();
    if (cpu::allocator().statistics().in_use != before) return "memory that one takes and the other frees";
  }
  try {
    part::fail();
  } catch (const ShapeError&) {
    return nullptr;
  } catch (const std::exception&) {
  }
  return "an exception by its type";
}

int main(int, char** argv) {
  if (const char* broken = broken_with_library()) {
    std::printf("broken: %s\n", broken);
    return 1;
  }

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
