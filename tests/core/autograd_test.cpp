#include "cria/core/autograd.hpp"

#include <boost/test/unit_test.hpp>
#include <thread>
#include <vector>

#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"
#include "cria/ops/reshape.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(autograd)

namespace {

using namespace cria;
using cria::test::bytes_in_use;
using cria::test::error_message;
using Floats = std::vector<float>;

Tensor<float> leaf(float value) {
  return Tensor<float>::scalar(value).set_requires_grad();
}

}  // namespace

BOOST_AUTO_TEST_CASE(shared_subexpressions_get_the_sum_of_their_gradients) {
  const auto x = leaf(3);
  const auto y = x * x;      // 9
  const auto z = y * x + y;  // x^3 + x^2
  backward(z * y);           // x^5 + x^4
  BOOST_TEST(x.grad().item() == 5 * 81 + 4 * 27.0f);
}

BOOST_AUTO_TEST_CASE(the_gradient_can_be_scaled) {
  const auto x = leaf(3);
  backward(x * x, 0.5f);
  BOOST_TEST(x.grad().item() == 3.0f);
}

BOOST_AUTO_TEST_CASE(gradients_add_up_until_they_are_cleared) {
  auto x = leaf(3);
  backward(x * x);
  backward(x * 2);
  BOOST_TEST(x.grad().item() == 8.0f);
  x.clear_grad();
  backward(x * 2);
  BOOST_TEST(x.grad().item() == 2.0f);
}

BOOST_AUTO_TEST_CASE(values_that_nothing_was_computed_from_do_not_disturb) {
  const auto x = leaf(3);
  const auto unused = square(x);
  backward(x * 2);
  BOOST_TEST(x.grad().item() == 2.0f);
  BOOST_TEST(!unused.grad().defined());
}

BOOST_AUTO_TEST_CASE(backward_needs_one_element) {
  const auto x = Tensor<float>::zeros({2}).set_requires_grad();
  BOOST_TEST(error_message<ShapeError>([&] { backward(x * 2); }) ==
             "backward: the tensor has shape [2]; one element is needed");
}

BOOST_AUTO_TEST_CASE(backward_needs_something_to_differentiate) {
  const std::string want = "backward: the tensor was not computed from anything that requires a gradient";
  BOOST_TEST(error_message<AutogradError>([] { backward(Tensor<float>::scalar(1) * 2); }) == want);
  BOOST_TEST(error_message<AutogradError>([] { backward(leaf(1)); }) == want);
}

BOOST_AUTO_TEST_CASE(a_graph_can_be_used_once) {
  const auto x = leaf(3);
  const auto y = square(x);
  backward(y);
  BOOST_TEST(error_message<AutogradError>([&] { backward(y); }) ==
             "backward: the graph behind 'square' was freed by an earlier backward; compute the value again, "
             "or, of two losses, call backward(l1 + l2) once");
  BOOST_TEST(error_message<AutogradError>([&] { backward(y + x); }) ==
             "backward: the graph behind 'square' was freed by an earlier backward; compute the value again, "
             "or, of two losses, call backward(l1 + l2) once");
  BOOST_TEST(x.grad().item() == 6.0f);
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_without_gradients) {
  const auto x = leaf(3);
  {
    const NoGrad guard;
    BOOST_TEST(!is_recording());
    {
      const NoGrad nested;
      BOOST_TEST(!is_recording());
    }
    BOOST_TEST(!is_recording());
    BOOST_TEST(!(x * x).requires_grad());
  }
  BOOST_TEST(is_recording());
  BOOST_TEST((x * x).requires_grad());
  BOOST_TEST(!(Tensor<float>::scalar(1) * Tensor<float>::scalar(2)).requires_grad());
}

BOOST_AUTO_TEST_CASE(detached_values_are_constants) {
  const auto x = leaf(3);
  const auto y = square(x);
  BOOST_TEST(!y.detach().requires_grad());
  backward(y.detach() * x);
  BOOST_TEST(x.grad().item() == 9.0f);
}

BOOST_AUTO_TEST_CASE(values_without_handles_are_freed) {
  const auto x = Tensor<float>::zeros({1024}).set_requires_grad();
  const std::size_t before = bytes_in_use();
  const auto y = (x + x) + x;  // the gradient of a sum does not depend on the values
  BOOST_TEST(bytes_in_use() == before + 4096);
}

BOOST_AUTO_TEST_CASE(a_sum_hands_its_gradient_on_without_a_copy) {
  const auto x = Tensor<float>::full({65536}, 1.0f).set_requires_grad();
  const auto z = Tensor<float>::full({65536}, 1.0f).set_requires_grad();
  const auto loss = sum(reshape(x + z, {2, 32768}));
  const std::size_t added = cria::test::peak_bytes([&] { backward(loss); });
  BOOST_TEST(added <= 4 * 65536u + 16384);  // one gradient, which both leaves share
  BOOST_TEST(x.grad().to_vector() == Floats(65536, 1.0f));
  // Adding to one of them does not change the other.
  backward(sum(x * 2));
  BOOST_TEST(x.grad().to_vector() == Floats(65536, 3.0f));
  BOOST_TEST(z.grad().to_vector() == Floats(65536, 1.0f));
}

BOOST_AUTO_TEST_CASE(forgotten_values_are_computed_again_when_they_are_read) {
  const auto x = Tensor<float>::full({1024}, 3.0f).set_requires_grad();
  const std::size_t before = bytes_in_use();
  const auto y = square(x);
  const auto z = y * y;
  y.forget();
  BOOST_TEST(bytes_in_use() == before + 4096);  // z alone
  BOOST_TEST(y.to_vector()[7] == 9.0f);
  y.forget();
  backward(sum(z));  // x^4
  BOOST_TEST(x.grad().to_vector() == Floats(1024, 4 * 27.0f));
}

BOOST_AUTO_TEST_CASE(values_that_were_changed_are_not_forgotten) {
  const auto x = leaf(3);
  auto y = square(x);
  y.assign(Floats{5});
  y.forget();
  const auto z = square(y);
  y.forget();
  BOOST_TEST(y.item() == 5.0f);
  backward(z);  // 2 y dy/dx
  BOOST_TEST(x.grad().item() == 10 * 6.0f);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_again_is_not_forgotten) {
  const auto x = leaf(3);
  x.forget();
  BOOST_TEST(x.item() == 3.0f);
  const auto y = x * x;
  backward(y);
  y.forget();  // its graph has been used up
  BOOST_TEST(y.item() == 9.0f);
  const auto constant = square(x.detach());
  constant.forget();  // nothing was recorded
  BOOST_TEST(constant.item() == 9.0f);
}

BOOST_AUTO_TEST_CASE(what_was_forgotten_cannot_be_read_after_backward) {
  const auto x = leaf(3);
  const auto y = square(x);
  const auto z = sum(y);
  y.forget();
  backward(z);
  BOOST_TEST(x.grad().item() == 6.0f);
  const std::string want =
      "Tensor: the values of 'square' were forgotten and backward has used up what they were computed from; "
      "read "
      "them before backward or do not forget them";
  BOOST_TEST(error_message<AutogradError>([&] { y.to_vector(); }) == want);
  BOOST_TEST(error_message<AutogradError>([&] { square(y); }) == want);
  BOOST_TEST(error_message<AutogradError>([&] { y.detach(); }) == want);
  BOOST_TEST(error_message<AutogradError>([&] { reshape(y, {1}); }) == want);
  BOOST_TEST((y.shape() == Shape{}));
}

BOOST_AUTO_TEST_CASE(values_that_backward_reads_may_not_be_changed_before_it) {
  const auto message = [](const std::string& op) {
    return "backward: a value that '" + op +
           "' was computed from was changed afterwards; values may be changed before an operation reads "
           "them, or "
           "after backward";
  };
  auto x = leaf(3);
  {
    auto y = x * 2;
    const auto z = square(y);
    y.assign(Floats{100});
    BOOST_TEST(error_message<AutogradError>([&] { backward(z); }) == message("square"));
    BOOST_TEST(!x.grad().defined());
  }
  {  // by a view, and of an input that gets no gradient
    auto factor = Tensor<float>::scalar(2);
    const auto z = x * factor;
    factor.mutable_vec();
    BOOST_TEST(error_message<AutogradError>([&] { backward(z); }) == message("multiply"));
  }
  {  // by another handle on the same memory
    const auto y = x * 2;
    const auto z = square(y);
    auto alias = y.detach();
    alias.assign(Floats{100});
    BOOST_TEST(error_message<AutogradError>([&] { backward(z); }) == message("square"));
  }
  {  // under values that were forgotten, and in those that were computed again
    const auto y = x * 2;
    const auto z = square(y);
    y.forget();
    x.assign(Floats{3});
    BOOST_TEST(error_message<AutogradError>([&] { y.item(); }) == message("multiply"));
    BOOST_TEST(error_message<AutogradError>([&] { backward(z); }) == message("multiply"));
  }
  {
    auto y = x * 2;
    const auto z = square(y);
    y.forget();
    y.assign(Floats{100});
    BOOST_TEST(error_message<AutogradError>([&] { backward(z); }) == message("square"));
  }
  {  // reading is no change
    auto y = x * 2;
    const auto z = square(y);
    BOOST_TEST(y.vec().size == 1);
    BOOST_TEST(y.item() == 6.0f);
    y.forget();
    backward(z);
    BOOST_TEST(x.grad().item() == 24.0f);
  }
}

BOOST_AUTO_TEST_CASE(values_that_backward_does_not_read_may_be_changed) {
  auto x = Tensor<float>::from({2}, {3, 4}).set_requires_grad();
  auto y = x * 2;
  const auto z = sum(reshape(y, {2}) + y);
  y.assign(Floats{100, 100});
  backward(z);
  BOOST_TEST(x.grad().to_vector() == (Floats{4, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_undefined_tensor_is_refused) {
  const Tensor<float> none;
  auto x = leaf(3);
  BOOST_TEST(!none.defined());
  BOOST_TEST(error_message<AutogradError>([&] { none.shape(); }) ==
             "shape: the tensor is undefined; it was default-constructed, or is the gradient of a value that "
             "backward "
             "has not reached");
  const auto is_refused = [](auto f) {
    return error_message<AutogradError>(f).find(": the tensor is undefined; ") != std::string::npos;
  };
  BOOST_TEST(is_refused([&] { x.grad().to_vector(); }));
  BOOST_TEST(is_refused([&] { none.dim(0); }));
  BOOST_TEST(is_refused([&] { none.rank(); }));
  BOOST_TEST(is_refused([&] { none.size(); }));
  BOOST_TEST(is_refused([&] { none.item(); }));
  BOOST_TEST(is_refused([&] { none.vec(); }));
  BOOST_TEST(is_refused([&] { none.rows(); }));
  BOOST_TEST(is_refused([&] { Tensor<float>().assign(Floats{1}); }));
  BOOST_TEST(is_refused([&] { Tensor<float>().set_requires_grad(); }));
  BOOST_TEST(is_refused([&] { Tensor<float>().clear_grad(); }));
  BOOST_TEST(is_refused([&] { none.requires_grad(); }));
  BOOST_TEST(is_refused([&] { none.grad(); }));
  BOOST_TEST(is_refused([&] { sink(none); }));
  BOOST_TEST(is_refused([&] { none.detach(); }));
  BOOST_TEST(is_refused([&] { none.to<Cpu>(); }));
  BOOST_TEST(is_refused([&] { none.forget(); }));
  BOOST_TEST(is_refused([&] { square(none); }));
  BOOST_TEST(is_refused([&] { x + none; }));
  BOOST_TEST(is_refused([&] { reshape(none, {}); }));
  BOOST_TEST(is_refused([&] { sum(none); }));
  BOOST_TEST(is_refused([&] { backward(none); }));
}

#ifndef CRIA_DEFAULT_BACKEND_CUDA  // nodes know no backend
BOOST_AUTO_TEST_CASE(a_graph_may_be_made_on_several_threads) {
  const auto many = [](Tensor<float> y) {
    for (int i = 0; i < 100; ++i) y = y + 1.0f;
    return y;
  };
  {
    const auto x = leaf(3);
    Tensor<float> h;
    std::thread([&] { h = many(x); }).join();  // so the worker has made more nodes than this thread
    backward(sum(square(h)));                  // (x + 100)^2
    BOOST_TEST(x.grad().item() == 206.0f);
  }
  {
    const auto x = leaf(3);
    const auto h = many(x);
    std::thread([&] { backward(sum(square(h))); }).join();
    BOOST_TEST(x.grad().item() == 206.0f);
  }
  {
    const auto x = leaf(3);
    Tensor<float> left, right;
    std::thread worker([&] { left = many(x); });
    right = many(square(x));
    worker.join();
    backward(left * right);  // (x + 100) (x^2 + 100)
    BOOST_TEST(x.grad().item() == 9 + 100 + 103 * 6.0f);
  }
}
#endif

BOOST_AUTO_TEST_CASE(backward_frees_the_graph_as_it_runs) {
  const auto x = Tensor<float>::full({1024}, 1.0f).set_requires_grad();
  const std::size_t before = bytes_in_use();
  constexpr std::size_t depth = 50, bytes = 4096;
  const auto loss = [&] {
    auto y = x;
    for (std::size_t i = 0; i < depth; ++i) y = square(y);
    return sum(y);
  }();
  const std::size_t forward = bytes_in_use() - before;
  BOOST_TEST(forward >=
             (depth - 1) * bytes);  // what the squares were computed from; a sum does not need its input
  // Gradients come while values go: never more than a few at once.
  const std::size_t added = cria::test::peak_bytes([&] { backward(loss); });
  BOOST_TEST(added <= 4 * bytes);
  BOOST_TEST(bytes_in_use() - before <= bytes + 256);  // the leaf's gradient and the scalar
}

#ifndef CRIA_DEFAULT_BACKEND_CUDA  // nodes know no backend, and so many launches take long under emulation
BOOST_AUTO_TEST_CASE(deep_graphs_are_differentiated_and_destroyed_without_recursion) {
  constexpr int depth = 300'000;
  const auto x = leaf(1);
  const auto deep = [&] {
    auto y = x;
    for (int i = 0; i < depth; ++i) y = y + 1.0f;
    return y;
  };
  { const auto destroyed = deep(); }
  const auto y = deep();
  BOOST_TEST(y.item() == 1.0f + depth);
  backward(y);
  BOOST_TEST(x.grad().item() == 1.0f);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
