#include "cria/ops/heads.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/ops/attention.hpp"
#include "cria/ops/elementwise.hpp"
#include "cria/ops/linear.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "cria/ops/rope.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(heads)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::to_values;
using cria::test::Values;

}  // namespace

BOOST_AUTO_TEST_CASE(a_part_knows_its_shape_and_its_place) {
  const auto x = Tensor<float>::zeros({2, 7, 5, 3});
  const HeadsPart all(x);
  BOOST_TEST(all.shape() == x.shape());
  BOOST_TEST(all.offset() == 0);
  const auto part = all.heads(1, 3).positions(2, 4).heads(1, 2);
  BOOST_TEST(part.shape() == (Shape{2, 4, 2, 3}));
  BOOST_TEST(part.offset() == (2 * 5 + 2) * 3);
  const auto view = detail::heads(part);
  BOOST_TEST((view.batch == 2 && view.length == 4 && view.heads == 2 && view.dim == 3));
  BOOST_TEST(view.at(1, 3, 1) == x.vec().data + ((7 + 2 + 3) * 5 + 2 + 1) * 3);
}

BOOST_AUTO_TEST_CASE(there_are_no_parts_outside_of_a_tensor) {
  const auto x = Tensor<float>::zeros({2, 7, 5, 3});
  const auto message = [](const auto& f) { return error_message<ShapeError>(f); };
  BOOST_TEST(message([&] { HeadsPart(x).heads(3, 3); }) ==
             "heads: [3, 3 + 3) are asked for; x is [2, 7, 5, 3] and has heads [0, 5)");
  BOOST_TEST(message([&] { HeadsPart(x).positions(-1, 2); }) ==
             "positions: [-1, -1 + 2) are asked for; x is [2, 7, 5, 3] and has positions [0, 7)");
  BOOST_TEST(message([&] { HeadsPart(x).positions(2, 3).positions(0, 4); }) ==
             "positions: [0, 0 + 4) are asked for; x is [2, 3, 5, 3] and has positions [0, 3)");
  BOOST_TEST(message([&] {
               HeadsPart(Tensor<float>::zeros({2, 3, 4})).heads(0, 1);
             }) == "heads: x is [2, 3, 4]; it must have 4 dimensions");
}

// Kernels add to several gradients at once.
BOOST_AUTO_TEST_CASE(parts_whose_gradients_overlap_are_refused) {
  auto x = Tensor<float>::zeros({1, 4, 4, 2});
  const HeadsPart all(x);
  const auto attend = [&] { cria::attention(all.heads(0, 2), all.heads(1, 2), all.heads(3, 1)); };
  const auto shift = [&] { cria::attention(all.heads(0, 2), all.heads(2, 1), all.heads(2, 1)); };
  const auto rotate = [&] { cria::rope(all.heads(0, 2), all.heads(1, 3)); };
  const auto early = all.positions(0, 2).heads(0, 2), late = all.positions(2, 2).heads(1, 2);
  BOOST_TEST(error_message<ShapeError>(rotate) == "(nothing thrown)");
  x.set_requires_grad();
  BOOST_TEST(error_message<ShapeError>(rotate) ==
             "rope: q and k overlap in a tensor whose gradient is wanted; they must be the same part or have "
             "no head of a position in common");
  BOOST_TEST(error_message<ShapeError>(attend).starts_with("attention: shapes differ"));
  BOOST_TEST(error_message<ShapeError>(shift) == "(nothing thrown)");
  BOOST_TEST(error_message<ShapeError>([&] { cria::rope(early, late); }) == "(nothing thrown)");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::attention(all.heads(3, 1), all.heads(0, 1), all.positions(0, 4).heads(3, 1));
             }) == "(nothing thrown)");
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::attention(all.heads(0, 2), all.heads(1, 1), all.heads(2, 1));
             }).starts_with("attention: q and k overlap"));
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::attention(all.heads(0, 2), all.heads(2, 1), all.heads(1, 1));
             }).starts_with("attention: q and v overlap"));
  BOOST_TEST(error_message<ShapeError>([&] {
               cria::attention(all.positions(0, 1).heads(0, 1), all.positions(0, 3).heads(2, 2),
                               all.positions(1, 3).heads(2, 2));
             }) != "(nothing thrown)");
}

// What Llama's attention does, with one product and with three.
BOOST_AUTO_TEST_CASE(one_product_of_queries_keys_and_values_is_as_good_as_three) {
  constexpr std::int64_t batch = 2, length = 9, width = 12, heads = 4, kv_heads = 2, dim = 6;
  const auto check = [&]<class T>(T) {
    const auto normals = [](const Shape& shape, unsigned seed) {  // small ones: scores of about 1
      Values values = cria::test::normals(shape.size(), seed);
      for (double& value : values) value /= 2;
      return cria::test::rounded<T>(values);
    };
    const auto parameter = [&](std::int64_t first_head, std::int64_t count) {
      const auto values = normals({(heads + 2 * kv_heads) * dim, width}, 1);
      Parameter<T> weight({count * dim, width});
      weight.value().assign(std::span(values).subspan(static_cast<std::size_t>(first_head * dim * width),
                                                      static_cast<std::size_t>(count * dim * width)));
      return weight;
    };
    auto x = Tensor<T>::from({batch, length, width}, normals({batch, length, width}, 2));
    auto same_x = x.template to<typename Tensor<T>::backend>();
    x.set_requires_grad();
    same_x.set_requires_grad();
    const auto finish = [](const Tensor<T>& y) {
      backward(sum(square(y)));
      return to_values(y);
    };

    const auto qkv_weight = parameter(0, heads + 2 * kv_heads);
    const auto qkv = reshape(linear(x, qkv_weight), {batch, length, heads + 2 * kv_heads, dim});
    const HeadsPart all(qkv);
    const auto [q, k] = cria::rope(all.heads(0, heads), all.heads(heads, kv_heads));
    const Values got = finish(cria::attention(q, k, all.heads(heads + kv_heads, kv_heads)));

    const auto q_weight = parameter(0, heads), k_weight = parameter(heads, kv_heads),
               v_weight = parameter(heads + kv_heads, kv_heads);
    const auto product = [&](const Parameter<T>& weight, std::int64_t count) {
      return reshape(linear(same_x, weight), {batch, length, count, dim});
    };
    const auto [three_q, three_k] = cria::rope(product(q_weight, heads), product(k_weight, kv_heads));
    const Values want = finish(cria::attention(three_q, three_k, product(v_weight, kv_heads)));

    Values three_gradients;
    for (const auto* weight : {&q_weight, &k_weight, &v_weight}) {
      const Values gradient = to_values(weight->grad());
      three_gradients.insert(three_gradients.end(), gradient.begin(), gradient.end());
    }
    const std::string name(dtype_name<T>);
    cria::test::check_close(name + ", y", got, want, cria::test::tolerance<T>(length + width));
    cria::test::check_close(name + ", gradient of the weights", to_values(qkv_weight.grad()), three_gradients,
                            4 * cria::test::tolerance<T>(batch * length * width));
    cria::test::check_close(name + ", gradient of x", to_values(x.grad()), to_values(same_x.grad()),
                            4 * cria::test::tolerance<T>(batch * length * width));
  };
  check(float{});
  check(double{});
  check(bfloat16{});
  check(float16{});
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
