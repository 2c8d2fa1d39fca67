// What tests/ops/attention_test.cpp cannot know: the tilings that the kernels have for different widths of a
// head, and the ways that memory is accessed.
#include "cria/ops/attention.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif
#include "cria/backend/cuda/cuda.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(attention)

namespace {

using namespace cria;
using cria::test::Values;

struct Sizes {
  std::int64_t batch, length, keys, heads, kv_heads, dim;
};

/// The output, log_sum and the gradients of q, k and v.
using Results = std::vector<Values>;

template <class T>
Values to_values(const std::vector<T>& x) {
  Values values;
  for (const T element : x) values.push_back(cria::test::to_double(element));
  return values;
}

/// The kernels of backend B on random numbers that are the same for every T, up to rounding to bfloat16.
/// `fresh`: of the gradients, which else hold ones.
template <class T, class B>
Results run(const Sizes& sizes, bool fresh) {
  using A = acc_t<T>;
  using K = kernel_for<cria::ops::Attention, B>;
  const Shape q_shape{sizes.batch, sizes.length, sizes.heads, sizes.dim};
  const Shape k_shape{sizes.batch, sizes.keys, sizes.kv_heads, sizes.dim};
  const auto normals = [](const Shape& shape, std::uint64_t seed) {
    std::vector<T> values;
    for (const double x : cria::test::normals(shape.size(), seed)) {
      values.push_back(T(static_cast<A>(static_cast<float>(bfloat16(static_cast<float>(x))))));
    }
    return Tensor<T, B>::from(shape, values);
  };
  const auto q = normals(q_shape, 1), k = normals(k_shape, 2), v = normals(k_shape, 3),
             dy = normals(q_shape, 4);
  auto y = Tensor<T, B>::empty(q_shape);
  auto log_sum = Tensor<A, B>::empty({sizes.batch, sizes.heads, sizes.length});
  K::forward(detail::heads(q), detail::heads(k), detail::heads(v), detail::heads(y), log_sum.mutable_vec());
  auto dq = fresh ? Tensor<T, B>::empty(q_shape) : Tensor<T, B>::full(q_shape, T(1.0f));
  auto dk = fresh ? Tensor<T, B>::empty(k_shape) : Tensor<T, B>::full(k_shape, T(1.0f));
  auto dv = fresh ? Tensor<T, B>::empty(k_shape) : Tensor<T, B>::full(k_shape, T(1.0f));
  const auto gradient = [&](Tensor<T, B>& x) { return Gradient<Heads<T>>{detail::heads(x), fresh}; };
  const Tensor<T, B>& out = y;
  const Tensor<A, B>& log_sums = log_sum;
  K::backward(detail::heads(dy), detail::heads(q), detail::heads(k), detail::heads(v), detail::heads(out),
              log_sums.vec(), gradient(dq), gradient(dk), gradient(dv));
  return {to_values(y.to_vector()), to_values(log_sum.to_vector()), to_values(dq.to_vector()),
          to_values(dk.to_vector()), to_values(dv.to_vector())};
}

template <class T>
void check(const Sizes& sizes, bool fresh) {
  const Results got = run<T, Cuda>(sizes, fresh), want = run<double, Cpu>(sizes, fresh);
  const std::string what = std::string(dtype_name<T>) + ", head_dim " + std::to_string(sizes.dim);
  const double forward = cria::test::tolerance<T>(sizes.keys + sizes.dim);
  const double backward = 4 * cria::test::tolerance<T>(sizes.heads * sizes.length + sizes.keys + sizes.dim);
  cria::test::check_close(what + ", y", got[0], want[0], forward);
  cria::test::check_close(what + ", log_sum", got[1], want[1],
                          cria::test::tolerance<acc_t<T>>(sizes.keys + sizes.dim));
  cria::test::check_close(what + ", dq", got[2], want[2], backward);
  cria::test::check_close(what + ", dk", got[3], want[3], backward);
  cria::test::check_close(what + ", dv", got[4], want[4], backward);
}

template <class T>
void check_widths() {
  bool fresh = true;
  for (const std::int64_t dim : {48, 50, 64, 65, 80, 96, 128}) {
    check<T>({1, 67, 133, 2, 1, dim}, fresh);
    fresh = !fresh;
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_bfloat16) {
  check_widths<bfloat16>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float16) {
  check_widths<float16>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float32) {
  check_widths<float>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float64) {
  check_widths<double>();
}

BOOST_AUTO_TEST_CASE(too_wide_heads_are_refused) {
  const auto q = Tensor<float, Cuda>::zeros({1, 1, 1, 129});
  BOOST_TEST(cria::test::error_message<ShapeError>([&] { cria::attention(q, q, q); }) ==
             "attention: q.dim(3) = 129; on CUDA it may be at most 128");
}

#ifdef CRIA_CUDA_EMULATION
BOOST_AUTO_TEST_CASE(schedules_do_not_matter) {
  const Sizes sizes{2, 130, 150, 4, 2, 48};
  const Results want = run<bfloat16, Cuda>(sizes, true);
  for (const auto order : {cuda_emulation::Order::reverse, cuda_emulation::Order::random}) {
    cuda_emulation::set_order(order, 3);
    const bool same = run<bfloat16, Cuda>(sizes, true) == want;
    cuda_emulation::set_order(cuda_emulation::Order::forward);
    BOOST_TEST(same);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
