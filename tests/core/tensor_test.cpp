#include "cria/core/tensor.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <fstream>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
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

BOOST_AUTO_TEST_CASE(cached_memory_goes_back_to_the_system_on_demand_and_above_a_limit) {
  const auto resident = [] {  // of this process, in bytes
    std::size_t total = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> total >> pages;
    return pages * 4096;
  };
  constexpr std::size_t bytes = std::size_t{256} << 20;
  const auto use = [] {  // small blocks, which the C library would keep, and the last of them stays
    std::vector<Tensor<float>> many;
    for (int i = 0; i < 4096; ++i) many.push_back(Tensor<float>::full({bytes / 4096 / sizeof(float)}, 1.0f));
    return many.back();
  };
  empty_cache();
  const std::size_t before = resident();
  const auto last = use();
  BOOST_TEST(resident() > before + bytes / 2);
  empty_cache();
  BOOST_TEST(cpu::allocator().statistics().cached == 0u);
  BOOST_TEST(resident() < before + bytes / 8);
  set_cache_limit(bytes / 4);
  { const auto more = use(); }
  BOOST_TEST(cpu::allocator().statistics().cached <= bytes / 4);
  set_cache_limit(cpu::HostMemory::cache_limit());
  empty_cache();
}

BOOST_AUTO_TEST_CASE(a_tensor_too_large_for_memory_is_refused_with_numbers) {
  const auto held = Tensor<float>::zeros({1 << 20});
  empty_cache();
  const std::string message =
      error_message<BackendError>([] { Tensor<float>::zeros({std::int64_t{1} << 58}); });
  BOOST_TEST(message.starts_with("cpu: out of memory: 1099511627776 MiB were asked for, "), message);
  BOOST_TEST(message.find(" MiB are in use by cria and 0 MiB are cached; ") != std::string::npos, message);
  // Also where a kernel on several threads is what finds none.
  BOOST_CHECK_THROW(
      cpu::parallel_for(8, 1, [&](auto, auto) { const cpu::Scratch<float> none(std::int64_t{1} << 58); }),
      BackendError);
}
#endif

BOOST_AUTO_TEST_CASE(integers_are_reshaped_and_transposed) {
  const auto x = Tensor<std::int64_t>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  BOOST_TEST((reshape(x, {3, 2}).shape() == Shape{3, 2}));
  BOOST_TEST((reshape(x, {6}).to_vector() == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  BOOST_TEST((transpose(x, 0, 1).to_vector() == std::vector<std::int64_t>{1, 4, 2, 5, 3, 6}));
}

// A view of a temporary would dangle, and reading must not count as a change.
template <class X>
concept HasView = requires(X&& x) {
  std::forward<X>(x).vec();
};
static_assert(HasView<const Tensor<float>&> && !HasView<Tensor<float>> && !HasView<const Tensor<float>>);
static_assert(std::is_same_v<decltype(std::declval<Tensor<float>&>().vec()), Vec<const float>>);

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
  const auto sum = cria::sink(x).vec();
  BOOST_TEST(sum.fresh);
  cria::test::write(sum, Floats(1024, 1.0f));
  BOOST_TEST(!cria::sink(x).vec().fresh);
  BOOST_TEST((x.grad().to_vector() == Floats(1024, 1.0f)));
  x.clear_grad();
  BOOST_TEST(!x.grad().defined());
  BOOST_TEST(bytes_in_use() == before);
}

BOOST_AUTO_TEST_CASE(whoever_holds_a_gradient_keeps_it_when_more_is_added) {
  auto x = Tensor<float>::zeros({2}).set_requires_grad();
  cria::test::write(cria::sink(x).vec(), Floats{1, 2});
  const auto held = x.grad();
  cria::test::write(cria::sink(x).vec(), Floats{1, 5});
  BOOST_TEST((held.to_vector() == Floats{1, 2}));
  BOOST_TEST((x.grad().to_vector() == Floats{1, 5}));
}

BOOST_AUTO_TEST_CASE(parameters_of_sixteen_bits_sum_gradients_in_float) {
  Parameter<bfloat16> parameter({2});
  const auto sum = cria::sink(parameter).vec();
  cria::test::write(sum, Floats{0, 1.00390625f});  // no bfloat16
  BOOST_TEST(parameter.has_grad());
  BOOST_TEST((parameter.grad().to_vector() == Floats{0, 1.00390625f}));
  const auto twin = parameter.with_own_gradient();
  BOOST_TEST(!twin.has_grad());
  BOOST_TEST(twin.vec().data == std::as_const(parameter).vec().data);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
