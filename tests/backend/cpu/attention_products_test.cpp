#include "cria/backend/cpu/attention_products.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>

#include "cria/ops/attention.hpp"
#include "support/compare.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(attention_products)

namespace {

using namespace cria;
using cria::test::Values;

struct Sizes {
  std::int64_t batch, length, keys, heads, kv_heads, dim;
};

Tensor<float> random(const Shape& shape, std::uint64_t seed) {
  return Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), seed)));
}

struct Results {
  Tensor<float> y, log_sum, dq, dk, dv;
};

/// Forward and backward of one implementation, into gradients that are fresh or hold numbers.
template <class K>
Results run(const Sizes& s, bool fresh) {
  const Shape q_shape{s.batch, s.length, s.heads, s.dim}, kv_shape{s.batch, s.keys, s.kv_heads, s.dim};
  const auto q = random(q_shape, 1), k = random(kv_shape, 2), v = random(kv_shape, 3),
             dy = random(q_shape, 4);
  Results r{Tensor<float>::empty(q_shape), Tensor<float>::empty({s.batch, s.heads, s.length}),
            random(q_shape, 5), random(kv_shape, 6), random(kv_shape, 7)};
  using cria::detail::heads;
  const auto gradient = [fresh](Tensor<float>& x) { return Gradient<Heads<float>>{heads(x), fresh}; };
  const auto constant = [](const Tensor<float>& x) { return heads(x); };
  K::forward(constant(q), constant(k), constant(v), heads(r.y), r.log_sum.vec());
  K::backward(constant(dy), constant(q), constant(k), constant(v), constant(r.y),
              std::as_const(r.log_sum).vec(), gradient(r.dq), gradient(r.dk), gradient(r.dv));
  return r;
}

}  // namespace

BOOST_AUTO_TEST_CASE(gives_what_the_tiles_in_registers_give) {
  const std::vector<Sizes> all{
      {1, 1, 1, 1, 1, 4},      {2, 64, 64, 2, 1, 32}, {1, 65, 65, 4, 2, 36},
      {1, 130, 130, 1, 1, 64}, {1, 3, 200, 2, 2, 6},  {1, 70, 1100, 2, 1, 40},  // keys in steps of two tiles
  };
  for (const Sizes& s : all) {
    for (const bool fresh : {true, false}) {
      const Results got = run<cria::cpu::AttentionProducts<float>>(s, fresh);
      const Results want = run<kernel<ops::Attention, Cpu>>(s, fresh);
      const std::string what = "keys " + std::to_string(s.keys) + (fresh ? ", fresh" : ", added to");
      using cria::test::check_close;
      using cria::test::to_values;
      const double tolerance = 1e-5;
      check_close("y, " + what, to_values(got.y), to_values(want.y), tolerance);
      check_close("log_sum, " + what, to_values(got.log_sum), to_values(want.log_sum), tolerance);
      check_close("dq, " + what, to_values(got.dq), to_values(want.dq), tolerance);
      check_close("dk, " + what, to_values(got.dk), to_values(want.dk), tolerance);
      check_close("dv, " + what, to_values(got.dv), to_values(want.dv), tolerance);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
