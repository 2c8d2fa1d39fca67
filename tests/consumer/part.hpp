#pragma once
// What a shared library of the user's computes with cria. It is compiled with hidden visibility, and without
// oneDNN.

#include <cria/cria.hpp>

#define PART_API [[gnu::visibility("default")]]

namespace part {

/// x + 100, in a hundred operations.
PART_API cria::Tensor<float> add_hundred(cria::Tensor<float> x);

/// x weight^T
PART_API cria::Tensor<float> project(const cria::Tensor<float>& x, const cria::Parameter<float>& weight);
PART_API cria::Tensor<cria::bfloat16> project(const cria::Tensor<cria::bfloat16>& x,
                                              const cria::Parameter<cria::bfloat16>& weight);

/// Throws ShapeError.
PART_API void fail();

/// Bytes that the library takes for in use.
PART_API std::size_t bytes_in_use();

}  // namespace part
