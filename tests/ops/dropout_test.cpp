#include "cria/ops/dropout.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(dropout)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct Dropout {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{}}, {{0}}, {{7}}, {{3, 65}}}; }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes&) { return 4; }
  static auto run(const auto& x) { return cria::dropout(x, 0.75f, Rng(5)); }
  /// As ops/dropout.hpp says: element i goes by word i % 4 of block i / 4.
  static Values reference(const std::vector<Values>& inputs, const Shapes&) {
    Values y;
    for (std::size_t i = 0; i < inputs[0].size(); ++i) {
      const bool dropped = Rng(5).block(i / 4)[i % 4] < 0xC0000000u;
      y.push_back(dropped ? 0 : inputs[0][i] / 0.25);
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_probability_must_be_below_one) {
  const auto x = Tensor<float>::zeros({2});
  const auto message = [&](float probability) {
    return error_message<ConfigError>([&] { cria::dropout(x, probability, Rng(1)); });
  };
  BOOST_TEST(message(1.0f) == "dropout: the probability is 1.000000; it must be in [0, 1)");
  BOOST_TEST(message(-0.5f) == "dropout: the probability is -0.500000; it must be in [0, 1)");
  BOOST_TEST(message(std::nanf("")) == "dropout: the probability is nan; it must be in [0, 1)");
}

BOOST_AUTO_TEST_CASE(probability_zero_changes_nothing) {
  const auto x = Tensor<float>::from({3}, {1, 2, 3});
  BOOST_TEST((cria::dropout(x, 0.0f, Rng(1)).to_vector() == x.to_vector()));
}

BOOST_AUTO_TEST_CASE(the_expectation_stays) {
  // 100,000 draws: the mean's standard deviation is sqrt(p / (1 - p) / 100,000) = 0.0027.
  auto x = Tensor<float>::full({100'000}, 1.0f).set_requires_grad();
  const auto y = cria::dropout(x, 0.4f, Rng(3));
  BOOST_TEST(std::abs(cria::mean(y).item() - 1) < 0.011f);
  backward(sum(y));
  BOOST_TEST((x.grad().to_vector() == y.to_vector()));  // x is 1: the gradient is the mask
}

BOOST_AUTO_TEST_CASE(other_streams_drop_others) {
  const auto x = Tensor<float>::full({100}, 1.0f);
  BOOST_TEST((cria::dropout(x, 0.5f, Rng(1)).to_vector() != cria::dropout(x, 0.5f, Rng(2)).to_vector()));
}

BOOST_AUTO_TEST_CASE(a_stream_in_memory_is_read_when_it_is_drawn_from) {
  auto parent = Tensor<Rng>::from({}, {Rng(0)});
  const Noise noise(parent.vec().data, 6);
  auto x = Tensor<float>::full({1003}, 1.0f).set_requires_grad();
  for (const std::uint64_t seed : {4u, 9u}) {
    parent.assign(std::vector{Rng(seed)});
    const auto y = cria::dropout(x, 0.4f, noise);
    BOOST_TEST((y.to_vector() == cria::dropout(x, 0.4f, Rng(seed).split(6)).to_vector()));
    x.clear_grad();
    backward(sum(y));
    BOOST_TEST((x.grad().to_vector() == y.to_vector()));
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  cria::test::check_threads_do_not_matter([] {
    return cria::test::to_values(cria::dropout(Tensor<float>::full({100'003}, 1.0f), 0.3f, Rng(1)));
  });
}

CRIA_TEST_OPERATION(operation, Dropout)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
