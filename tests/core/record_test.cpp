#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/cria.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(record)

using cria::inputs;
using cria::sink;
using cria::Tensor;
using cria::unread;
using Floats = std::vector<float>;

BOOST_AUTO_TEST_CASE(a_sink_of_what_wants_no_gradient_is_empty) {
  const auto x = Tensor<float>::zeros({1, 2, 3, 4});
  const auto none = sink(x);
  BOOST_TEST(!none);
  BOOST_TEST(!none.vec());
  BOOST_TEST(!none.rows());
  BOOST_TEST(!none.planes());
  BOOST_TEST(!none.heads());
  BOOST_TEST(!none.part(3, 4));
}

BOOST_AUTO_TEST_CASE(a_sink_has_the_shape_of_its_tensor) {
  auto x = Tensor<float>::zeros({2, 3, 4, 5});
  x.set_requires_grad();
  const auto rows = sink(x).rows();
  BOOST_TEST((rows.rows == 24 && rows.cols == 5 && rows.fresh));
  const auto planes = sink(x).planes();
  BOOST_TEST((planes.outer == 6 && planes.middle == 4 && planes.inner == 5 && !planes.fresh));
  const auto heads = sink(x).heads();
  BOOST_TEST((heads.batch == 2 && heads.length == 3 && heads.heads == 4 && heads.dim == 5));
  BOOST_TEST(heads.data == rows.data);
}

BOOST_AUTO_TEST_CASE(a_fresh_part_leaves_zeros_around_it) {
  auto x = Tensor<float>::zeros({6});
  x.set_requires_grad();
  const auto part = sink(x).part(2, 3);
  BOOST_TEST((part.fresh && part.size == 3));
  cria::test::write(part, Floats{1, 2, 3});
  BOOST_TEST((x.grad().to_vector() == Floats{0, 0, 1, 2, 3, 0}));
  const auto other = sink(x).part(0, 2);
  BOOST_TEST(!other.fresh);
  cria::test::write(other, Floats{7, 8});
  BOOST_TEST((x.grad().to_vector() == Floats{7, 8, 1, 2, 3, 0}));
}

BOOST_AUTO_TEST_CASE(backward_gets_the_gradients_of_both_outputs_and_none_of_one_that_nobody_used) {
  auto x = Tensor<float>::zeros({2});
  x.set_requires_grad();
  std::vector<bool> first, second;
  const auto two = [&] {
    const std::pair outputs(Tensor<float>::full({2}, 1), Tensor<float>::full({2}, 2));
    return cria::record("two", outputs, inputs(unread(x)),
                        [&, dx = sink(x)](const Tensor<float>& da, const Tensor<float>& db) {
                          first.push_back(da.defined());
                          second.push_back(db.defined());
                          accumulate(dx, da.defined() ? da : db);
                        });
  };
  const auto [a, b] = two();
  backward(sum(a + b));
  backward(sum(two().second * 3.0f));
  BOOST_TEST((first == std::vector{true, false}));
  BOOST_TEST((second == std::vector{true, true}));
  BOOST_TEST((x.grad().to_vector() == Floats{4, 4}));
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_if_no_input_wants_a_gradient) {
  const auto x = Tensor<float>::zeros({2});
  const auto y = cria::record("none", x.detach(), inputs(x), [](const Tensor<float>&) { throw 0; });
  BOOST_TEST(!y.requires_grad());
  BOOST_TEST(!cria::detail::node(y));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
