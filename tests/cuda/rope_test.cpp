// What tests/ops/rope_test.cpp cannot know: the ways that memory is accessed.
#include "cria/ops/rope.hpp"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <vector>

#include "cria/backend/cuda/cuda.hpp"
#include "support/op_case.hpp"
#include "support/spaced_heads.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(rope)

namespace {

using namespace cria;
using cria::test::SpacedHeads;
using cria::test::Spacing;
using cria::test::Values;

/// What becomes of two tensors of ones if the gradients of their rotations are added to them. One of the
/// four, `spaced`, has the spacing.
template <class T>
std::vector<Values> add_rotated(std::size_t spaced = 0, const Spacing& spacing = {}) {
  const auto own = [&](std::size_t i) { return i == spaced ? spacing : Spacing{}; };
  // With seven positions all sequences begin at multiples of 8 elements, whatever lies between positions.
  const Shape a_shape{2, 7, 2, 32}, b_shape{2, 7, 1, 32};
  SpacedHeads<T, Cuda> a(a_shape, own(0), cria::test::normals(a_shape.size(), 1)),
      b(b_shape, own(1), cria::test::normals(b_shape.size(), 2)),
      to_a(a_shape, own(2), Values(static_cast<std::size_t>(a_shape.size()), 1.0)),
      to_b(b_shape, own(3), Values(static_cast<std::size_t>(b_shape.size()), 1.0));
  kernel_for<cria::ops::Rope, Cuda>::backward(Heads<const T>(a.view()), Heads<const T>(b.view()), 3, {},
                                              Gradient<Heads<T>>{to_a.view(), false},
                                              Gradient<Heads<T>>{to_b.view(), false});
  return {to_a.values(), to_b.values()};
}

template <class T>
void check_spacings() {
  const auto want = add_rotated<T>();
  // Positions, the beginning, or sequences alone are not at multiples of 16 bytes, or of two elements.
  for (const Spacing& spacing : {Spacing{0, 2, 0}, Spacing{0, 1, 0}, Spacing{2, 0, 0}, Spacing{1, 0, 0},
                                 Spacing{0, 0, 2}, Spacing{0, 0, 1}}) {
    for (const std::size_t spaced : {0u, 1u, 2u, 3u}) BOOST_TEST((add_rotated<T>(spaced, spacing) == want));
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_may_be_apart) {
  check_spacings<bfloat16>();
  check_spacings<float>();
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
