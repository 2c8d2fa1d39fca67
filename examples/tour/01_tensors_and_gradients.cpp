// Tensors, and gradients of what is computed from them.

#include <cmath>
#include <cria/cria.hpp>
#include <cstdio>
#include <iostream>

using namespace cria;

int main() {
  // A tensor has a type and a shape. Operations run at once; shapes are broadcast as in NumPy.
  const auto table = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto row = Tensor<float>::from({3}, {10, 20, 30});
  std::cout << "a table + a row:\n" << table + row << "\n\n";
  std::cout << "means of the columns: " << mean(table, 0) << '\n';
  std::cout << "the table's product with its transpose:\n" << matmul(table, transpose(table, 0, 1)) << "\n\n";

  // What depends on a tensor whose gradient is wanted is recorded, and backward goes through it.
  const auto x = linspace<double>(-1, 1, 5).set_requires_grad();
  backward(sum(x * sin(x)));
  const auto by_hand = sin(x) + x * cos(x);
  std::cout << "d/dx x sin x, by backward: " << x.grad() << '\n'
            << "                  by hand: " << by_hand << "\n\n";
  const double difference = max(abs(x.grad() - by_hand)).item();

  // Gradient descent without an optimiser: the line through points of y = 3 x - 2 with some noise.
  Rng rng(1);
  const auto at = rand<double>({100}, rng);
  const auto measured = 3 * at - 2 + 0.1 * randn<double>({100}, rng);
  auto slope = Tensor<double>::scalar(0).set_requires_grad();
  auto offset = Tensor<double>::scalar(0).set_requires_grad();
  const auto descend = [](const Tensor<double>& value) {  // a new leaf, a step further down
    return (value - 0.5 * value.grad()).detach().set_requires_grad();
  };
  std::puts("step      loss    slope   offset");
  for (int step = 0; step <= 200; ++step) {
    const auto loss = mse_loss(slope * at + offset, measured);
    if (step % 40 == 0)
      std::printf("%4d  %8.4f  %7.3f  %7.3f\n", step, loss.item(), slope.item(), offset.item());
    backward(loss);
    slope = descend(slope);
    offset = descend(offset);
  }

  const bool is_found = std::abs(slope.item() - 3) < 0.1 && std::abs(offset.item() + 2) < 0.1;
  std::printf("\nright: the gradient differs by %.0e, the line is %.2f x - %.2f\n", difference, slope.item(),
              -offset.item());
  return difference < 1e-12 && is_found ? 0 : 1;
}
