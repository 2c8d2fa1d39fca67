// What tests/ops/attention_test.cpp cannot know: the tilings that the kernels have for different widths of a
// head, and the ways that memory is accessed.
#include "cria/ops/attention.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
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

/// A tensor [batch, length, heads, dim] with `gap` elements before it, after every position and after every
/// sequence, which are NaN.
template <class T, class B>
class Spaced {
 public:
  Spaced(const Shape& shape, std::int64_t gap, const Values& values)
      : shape_(shape), row_(shape.product(2, 4)), gap_(gap), memory_(Tensor<T, B>::empty({size()})) {
    std::vector<T> all(static_cast<std::size_t>(size()), T(std::nanf("")));
    std::size_t next = 0;
    for_each_place([&](std::size_t place) {
      all[place] = T(static_cast<acc_t<T>>(static_cast<float>(bfloat16(static_cast<float>(values[next++])))));
    });
    memory_.assign(all);
  }

  Heads<T> view() {
    return {memory_.mutable_vec().data + gap_,
            shape_.dim(0),
            shape_.dim(1),
            shape_.dim(2),
            shape_.dim(3),
            sequence(),
            row_ + gap_};
  }
  Values values() const {
    const std::vector<T> all = memory_.to_vector();
    Values values;
    for_each_place([&](std::size_t place) { values.push_back(cria::test::to_double(all[place])); });
    return values;
  }

 private:
  std::int64_t sequence() const { return shape_.dim(1) * (row_ + gap_) + gap_; }
  std::int64_t size() const { return gap_ + shape_.dim(0) * sequence(); }
  void for_each_place(auto f) const {
    for (std::int64_t b = 0; b < shape_.dim(0); ++b) {
      for (std::int64_t t = 0; t < shape_.dim(1); ++t) {
        for (std::int64_t i = 0; i < row_; ++i) {
          f(static_cast<std::size_t>(gap_ + b * sequence() + t * (row_ + gap_) + i));
        }
      }
    }
  }

  Shape shape_;
  std::int64_t row_, gap_;
  Tensor<T, B> memory_;
};

/// The kernels of backend B on random numbers that are the same for every T, up to rounding to bfloat16.
/// `fresh`: of the gradients, which else hold ones. Inputs and outputs have the gap, in turns.
template <class T, class B>
Results run(const Sizes& sizes, bool fresh, std::int64_t gap = 0) {
  using A = acc_t<T>;
  using K = kernel_for<cria::ops::Attention, B>;
  const Shape q_shape{sizes.batch, sizes.length, sizes.heads, sizes.dim};
  const Shape k_shape{sizes.batch, sizes.keys, sizes.kv_heads, sizes.dim};
  const auto normals = [&](const Shape& shape, std::uint64_t seed, std::int64_t own_gap) {
    return Spaced<T, B>(shape, own_gap, cria::test::normals(shape.size(), seed));
  };
  const auto constant = [&](const Shape& shape, double value, std::int64_t own_gap) {
    return Spaced<T, B>(shape, own_gap, Values(static_cast<std::size_t>(shape.size()), value));
  };
  auto q = normals(q_shape, 1, gap), k = normals(k_shape, 2, 2 * gap), v = normals(k_shape, 3, 0),
       dy = normals(q_shape, 4, 0);
  auto y = constant(q_shape, std::nan(""), gap);
  auto log_sum = Tensor<A, B>::empty({sizes.batch, sizes.heads, sizes.length});
  K::forward(Heads<const T>(q.view()), Heads<const T>(k.view()), Heads<const T>(v.view()), y.view(),
             log_sum.mutable_vec());
  const double before = fresh ? std::nan("") : 1.0;
  auto dq = constant(q_shape, before, 0), dk = constant(k_shape, before, gap),
       dv = constant(k_shape, before, 2 * gap);
  const auto gradient = [&](Spaced<T, B>& x) { return Gradient<Heads<T>>{x.view(), fresh}; };
  const Tensor<A, B>& log_sums = log_sum;
  K::backward(Heads<const T>(dy.view()), Heads<const T>(q.view()), Heads<const T>(k.view()),
              Heads<const T>(v.view()), Heads<const T>(y.view()), log_sums.vec(), gradient(dq), gradient(dk),
              gradient(dv));
  return {y.values(), to_values(log_sum.to_vector()), dq.values(), dk.values(), dv.values()};
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

// Rows of 16 bytes that begin at multiples of 16, 8 or 2 only.
BOOST_AUTO_TEST_CASE(rows_may_be_apart) {
  const Sizes sizes{2, 40, 70, 4, 2, 16};
  const auto check_gaps = [&]<class T>(T) {
    for (const bool fresh : {true, false}) {
      const Results want = run<T, Cuda>(sizes, fresh);
      for (const std::int64_t gap : {8, 4, 3}) BOOST_TEST((run<T, Cuda>(sizes, fresh, gap) == want));
    }
  };
  check_gaps(bfloat16{});
  check_gaps(float{});
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
