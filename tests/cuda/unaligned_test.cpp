// Kernels that move packs of elements also take arrays that begin between packs, as slices of larger arrays
// do.

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(unaligned)

namespace {

using namespace cria;
using Numbers = Vec<float>;

constexpr std::int64_t rows = 3, cols = 8, size = rows * cols;
const Shape whole{size};

/// What `kernel` leaves in arrays of `size` numbers that begin `offsets[i]` elements after a block of the
/// allocator.
template <std::size_t Count>
std::vector<double> run(const std::array<std::int64_t, Count>& offsets, auto kernel) {
  std::vector<Tensor<float, Cuda>> memory;
  std::array<Numbers, Count> arrays;
  for (std::size_t i = 0; i < Count; ++i) {
    auto values = test::normals(size, static_cast<int>(i));
    values.insert(values.begin(), static_cast<std::size_t>(offsets[i]), 0.0);
    memory.push_back(Tensor<float, Cuda>::from({offsets[i] + size}, test::rounded<float>(values)));
    arrays[i] = {memory.back().mutable_vec().data + offsets[i], size};
  }
  kernel(arrays);
  std::vector<double> result;
  for (std::size_t i = 0; i < Count; ++i) {
    const auto values = test::to_values(memory[i]);
    result.insert(result.end(), values.begin() + offsets[i], values.end());
  }
  return result;
}

/// What `kernel` leaves in its arrays is the same if one of them begins between packs.
template <std::size_t Count>
void check(const std::string& name, auto kernel) {
  const auto aligned = run<Count>({}, kernel);
  for (std::size_t i = 0; i < Count; ++i) {
    std::array<std::int64_t, Count> offsets{};
    offsets[i] = 1;
    test::check_close(name + ", array " + std::to_string(i), run(offsets, kernel), aligned, 1e-6);
  }
}

template <class Op>
using Kernel = kernel_for<Op, Cuda>;

Rows<float> matrix(const Numbers& x) {
  return {x.data, rows, cols};
}

}  // namespace

BOOST_AUTO_TEST_CASE(elements) {
  using Input = Vec<const float>;
  using Sum = Gradient<Numbers>;
  check<2>("one input", [](const auto& x) {
    Kernel<cria::ops::Map>::forward(cria::ops::Square{}, broadcast(whole, std::array{whole}), x[0],
                                    Input(x[1]));
  });
  check<5>("two inputs, backward", [](const auto& x) {
    Kernel<cria::ops::Map>::backward(cria::ops::SwiGlu{}, broadcast(whole, std::array{whole, whole}),
                                     Input(x[0]), std::tuple<Input, Input>(x[1], x[2]),
                                     std::tuple<Sum, Sum>(Sum{x[3], true}, Sum{x[4], false}));
  });
  check<2>("dropout",
           [](const auto& x) { Kernel<cria::ops::Dropout>::forward<float>(x[0], 0.5f, Rng(1), x[1]); });
}

BOOST_AUTO_TEST_CASE(rows_of_norms) {
  check<4>("rms_norm", [](const auto& x) {
    Kernel<cria::ops::RmsNorm>::forward<float, float>(matrix(x[0]), {x[1].data, cols}, 1e-5f, matrix(x[2]),
                                                      {x[3].data, rows});
  });
  check<6>("rms_norm of a sum", [](const auto& x) {
    Kernel<cria::ops::RmsNorm>::forward_of_sum<float, float>(
        matrix(x[0]), matrix(x[1]), {x[2].data, cols}, 1e-5f, matrix(x[3]), matrix(x[4]), {x[5].data, rows});
  });
  check<6>("rms_norm, backward", [](const auto& x) {
    Kernel<cria::ops::RmsNorm>::backward<float, float>(matrix(x[0]), matrix(x[1]), {x[2].data, cols},
                                                       {x[3].data, rows}, {matrix(x[4]), false},
                                                       {{x[5].data, cols}, false});
  });
  check<6>("layer_norm", [](const auto& x) {
    Kernel<cria::ops::LayerNorm>::forward<float, float>(matrix(x[0]), {x[1].data, cols}, {x[2].data, cols},
                                                        1e-5f, matrix(x[3]), {x[4].data, rows},
                                                        {x[5].data, rows});
  });
  check<6>("layer_norm, backward", [](const auto& x) {
    Kernel<cria::ops::LayerNorm>::backward<float, float>(matrix(x[0]), matrix(x[1]), {x[2].data, cols},
                                                         {x[3].data, rows}, {x[4].data, rows},
                                                         {matrix(x[5]), false});
  });
}

BOOST_AUTO_TEST_CASE(rows_of_softmax) {
  check<2>("softmax", [](const auto& x) {
    Kernel<cria::ops::Softmax>::forward<float>(matrix(x[0]), false, matrix(x[1]));
  });
  check<3>("softmax, backward", [](const auto& x) {
    Kernel<cria::ops::Softmax>::backward<float>(matrix(x[0]), matrix(x[1]), false, {matrix(x[2]), false});
  });
}

BOOST_AUTO_TEST_CASE(rows_of_losses) {
  const auto indices = Tensor<std::int32_t, Cuda>::from({rows}, {2, 0, 1});
  check<3>("cross_entropy", [&](const auto& x) {
    Kernel<cria::ops::CrossEntropy>::forward<float, float>(matrix(x[0]), indices.vec(), -1, {x[1].data, 1},
                                                           {x[2].data, rows});
  });
  check<4>("cross_entropy, backward", [&](const auto& x) {
    Kernel<cria::ops::CrossEntropy>::backward<float, float>({x[0].data, 1}, matrix(x[1]), indices.vec(), -1,
                                                            {x[2].data, rows}, {matrix(x[3]), true});
  });
}

BOOST_AUTO_TEST_CASE(rows_of_a_weight) {
  const auto indices = Tensor<std::int32_t, Cuda>::from({rows}, {2, 0, 1});
  check<2>("embedding", [&](const auto& x) {
    Kernel<cria::ops::Embedding>::forward<float>(indices.vec(), matrix(x[0]), matrix(x[1]));
  });
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
