// Two spirals around each other, told apart by a network of three layers, and a picture of what it learned.
//
//   03_two_spirals [picture.svg]

#include <cmath>
#include <cria/cria.hpp>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include "cria/io/file.hpp"

using namespace cria;

constexpr int points = 400;

/// Points [400, 2] and on which of the spirals each is [400].
data::Examples<float, std::int32_t> two_spirals(Rng rng) {
  std::vector<float> x;
  std::vector<std::int32_t> spiral;
  for (int i = 0; i < points; ++i) {
    const int arm = i % 2;
    const double turns = 0.25 + 1.5 * i / points, angle = 2 * std::numbers::pi * (turns + 0.5 * arm);
    for (const double position : {turns * std::cos(angle), turns * std::sin(angle)})
      x.push_back(static_cast<float>(position + 0.02 * rng.normal()));
    spiral.push_back(arm);
  }
  return data::Examples(Tensor<float>::from({points, 2}, x), Tensor<std::int32_t>::from({points}, spiral));
}

/// The probability of the second spiral over the square [-2, 2] x [-2, 2], in cells, with the points on top.
template <class Model>
std::string picture(const Model& model, const Tensor<float>& x, const Tensor<std::int32_t>& spiral) {
  constexpr int cells = 64, side = 8;  // a cell's in pixels
  const auto along = (arange<float>(cells) + 0.5f) * (4.0f / cells) - 2.0f;
  const auto columns = expand(reshape(along, {1, cells}), {cells, cells});
  const auto grid = stack({columns, transpose(columns, 0, 1)}, 2);          // [cells, cells, 2]
  const auto second = select(softmax(model(grid), -1), -1, 1).to_vector();  // [cells * cells]
  std::string svg =
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" shape-rendering="crispEdges">)";
  const auto add = [&](const char* shape, auto... numbers) {
    char line[128];
    svg.append(line, static_cast<std::size_t>(std::snprintf(line, sizeof line, shape, numbers...)));
  };
  const auto level = [&](int cell) {  // of 9 colours
    return static_cast<int>(std::lround(8 * second[static_cast<std::size_t>(cell)]));
  };
  for (int i = 0; i < cells; ++i) {
    for (int begin = 0, end = 0; begin < cells; begin = end) {  // neighbours of one colour are one rectangle
      while (end < cells && level(i * cells + end) == level(i * cells + begin)) ++end;
      add("\n<rect x='%d' y='%d' width='%d' height='%d' fill='hsl(%d 60%% 75%%)'/>", begin * side, i * side,
          (end - begin) * side, side, 30 + 23 * level(i * cells + begin));
    }
  }
  for (int i = 0; i < points; ++i) {
    add("\n<circle cx='%.0f' cy='%.0f' r='4' fill='%s'/>", 256 + 128 * x.at({i, 0}), 256 + 128 * x.at({i, 1}),
        spiral.at({i}) == 1 ? "hsl(214 80% 35%)" : "hsl(20 90% 40%)");
  }
  return svg + "\n</svg>\n";
}

int main(int argc, char** argv) {
  const auto examples = two_spirals(Rng(1));
  auto model = nn::Sequential{nn::Linear<float>(2, 64, {.bias = true}), nn::Tanh{},
                              nn::Linear<float>(64, 64, {.bias = true}), nn::Tanh{},
                              nn::Linear<float>(64, 2, {.bias = true})};
  nn::initialize(model, Rng(2));
  AdamW optimizer(model, {.learning_rate = 1e-2, .weight_decay = 0});
  data::Batches batches(examples, {.batch_size = 100, .shuffle = true, .seed = 3});

  std::vector<std::size_t> all(points);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  const auto [x, spiral] = examples.gather(all);
  double right = 0;
  std::puts("epoch    loss    right");
  for (int epoch = 0; epoch <= 200; ++epoch) {
    for (const auto& [some, of_spiral] : batches) {
      backward(cross_entropy(model(some), of_spiral));
      optimizer.step();
    }
    if (epoch % 40 > 0) continue;
    const NoGrad guard;
    const auto scores = model(x);
    right = 100.0 * static_cast<double>(count(argmax(scores, -1) == spiral).item()) / points;
    std::printf("%5d  %6.4f  %5.1f %%\n", epoch, cross_entropy(scores, spiral).item(), right);
  }

  const std::string path = argc > 1 ? argv[1] : "two_spirals.svg";
  const NoGrad guard;
  io::write_file(path, picture(model, x, spiral));
  std::printf("\nthe picture is in %s\nright: %.1f %% of %d points\n", path.c_str(), right, points);
  return right >= 99 ? 0 : 1;
}
