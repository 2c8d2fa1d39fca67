#include "part.hpp"

namespace part {

using namespace cria;

Tensor<float> add_hundred(Tensor<float> x) {
  for (int i = 0; i < 100; ++i) x = x + 1.0f;
  return x;
}

Tensor<float> project(const Tensor<float>& x, const Parameter<float>& weight) {
  return linear(x, weight);
}

std::string library_of_bfloat16() {
  return cpu::gemm_library<bfloat16>();
}

void fail() {
  reshape(Tensor<float>::zeros({2}), {3});
}

std::size_t bytes_in_use() {
  return cpu::allocator().statistics().in_use;
}

}  // namespace part
