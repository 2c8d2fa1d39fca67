#include "cria/core/tensor.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "cria/core/parameter.hpp"
#include "cria/ops/elementwise.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(tensor)

namespace {

using namespace cria;
using cria::test::bytes_in_use;
using cria::test::error_message;
using Floats = std::vector<float>;

}  // namespace

BOOST_AUTO_TEST_CASE(values_go_in_and_come_out_in_row_major_order) {
  const auto x = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  BOOST_TEST((x.to_vector() == Floats{1, 2, 3, 4, 5, 6}));
  BOOST_TEST(x.size() == 6);
  BOOST_TEST(x.rank() == 2);
  BOOST_TEST(x.dim(-1) == 3);
  BOOST_TEST(x.rows().row(1) == x.vec().data + 3);
}

BOOST_AUTO_TEST_CASE(tensors_can_be_made_of_one_value) {
  BOOST_TEST((Tensor<float>::zeros({2}).to_vector() == Floats{0, 0}));
  BOOST_TEST((Tensor<float>::full({2}, 3).to_vector() == Floats{3, 3}));
  BOOST_TEST(Tensor<std::int32_t>::scalar(7).item() == 7);
  BOOST_TEST(Tensor<float>::zeros({0, 3}).to_vector().empty());
}

BOOST_AUTO_TEST_CASE(a_default_tensor_is_undefined) {
  BOOST_TEST(!Tensor<float>().defined());
  BOOST_TEST(Tensor<float>::zeros({}).defined());
}

BOOST_AUTO_TEST_CASE(the_number_of_values_must_be_the_shapes) {
  BOOST_TEST(error_message<ShapeError>([] {
               Tensor<float>::from({2, 3}, {1, 2});
             }) == "Tensor: 2 values were given for shape [2, 3], which has 6 elements");
  auto x = Tensor<float>::zeros({2});
  BOOST_TEST(error_message<ShapeError>([&] {
               x.assign(Floats{1, 2, 3});
             }) == "Tensor: 3 values were given for shape [2], which has 2 elements");
  BOOST_TEST((x.to_vector() == Floats{0, 0}));
}

BOOST_AUTO_TEST_CASE(item_needs_one_element) {
  BOOST_TEST(Tensor<float>::from({1, 1}, {5}).item() == 5.0f);
  BOOST_TEST(error_message<ShapeError>([] { Tensor<float>::zeros({2}).item(); }) ==
             "item: the tensor has shape [2]; one element is needed");
  BOOST_TEST(error_message<ShapeError>([] { Tensor<float>::zeros({0}).item(); }) ==
             "item: the tensor has shape [0]; one element is needed");
}

BOOST_AUTO_TEST_CASE(copies_share_memory) {
  auto x = Tensor<float>::zeros({2});
  const auto y = x;
  x.assign(Floats{1, 2});
  BOOST_TEST((y.to_vector() == Floats{1, 2}));
}

BOOST_AUTO_TEST_CASE(the_last_handle_frees_the_memory) {
  const std::size_t before = bytes_in_use();
  {
    const auto x = Tensor<float>::zeros({1024});
    const auto y = x;
    BOOST_TEST(bytes_in_use() == before + 4096);
  }
  BOOST_TEST(bytes_in_use() == before);
}

#ifndef CRIA_DEFAULT_BACKEND_CUDA  // whose allocator has tests of its own
BOOST_AUTO_TEST_CASE(freed_memory_is_used_again) {
  { const auto x = Tensor<float>::zeros({12345}); }
  const auto before = cpu::allocator().statistics().system_allocations;
  { const auto x = Tensor<float>::zeros({12345}); }
  BOOST_TEST(cpu::allocator().statistics().system_allocations == before);
  cpu::allocator().release_cached();
  BOOST_TEST(cpu::allocator().statistics().cached == 0u);
  { const auto x = Tensor<float>::zeros({12345}); }
  BOOST_TEST(cpu::allocator().statistics().system_allocations == before + 1);
}
#endif

BOOST_AUTO_TEST_CASE(only_leaves_can_be_asked_for_a_gradient) {
  const auto x = Tensor<float>::zeros({2}).set_requires_grad();
  auto y = x + 1;
  BOOST_TEST(
      error_message<AutogradError>([&] { y.set_requires_grad(); }) ==
      "set_requires_grad: this tensor is the output of 'add'; only leaves can be asked for a gradient");
}

BOOST_AUTO_TEST_CASE(gradients_take_no_memory_until_something_is_added) {
  auto x = Tensor<float>::zeros({1024});
  const std::size_t before = bytes_in_use();
  x.set_requires_grad();
  BOOST_TEST(!x.grad().defined());
  BOOST_TEST(bytes_in_use() == before);
  const auto sum = x.grad_vec();
  BOOST_TEST(sum.fresh);
  cria::test::write(sum, Floats(1024, 1.0f));
  BOOST_TEST(!x.grad_vec().fresh);
  BOOST_TEST((x.grad().to_vector() == Floats(1024, 1.0f)));
  x.clear_grad();
  BOOST_TEST(!x.grad().defined());
  BOOST_TEST(bytes_in_use() == before);
}

BOOST_AUTO_TEST_CASE(whoever_holds_a_gradient_keeps_it_when_more_is_added) {
  auto x = Tensor<float>::zeros({2}).set_requires_grad();
  cria::test::write(x.grad_vec(), Floats{1, 2});
  const auto held = x.grad();
  cria::test::write(x.grad_vec(), Floats{1, 5});
  BOOST_TEST((held.to_vector() == Floats{1, 2}));
  BOOST_TEST((x.grad().to_vector() == Floats{1, 5}));
}

BOOST_AUTO_TEST_CASE(parameters_of_sixteen_bits_sum_gradients_in_float) {
  Parameter<bfloat16> parameter({2});
  const auto sum = parameter.grad_vec();
  cria::test::write(sum, Floats{0, 1.00390625f});  // no bfloat16
  BOOST_TEST(parameter.has_grad());
  BOOST_TEST((parameter.grad().to_vector() == Floats{0, 1.00390625f}));
  const auto twin = parameter.with_own_gradient();
  BOOST_TEST(!twin.has_grad());
  BOOST_TEST(twin.vec().data == std::as_const(parameter).vec().data);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
