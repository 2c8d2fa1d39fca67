#include "cria/ops/rope.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/golden.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(rope)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

template <int start>
struct Rope {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1, 1, 2}}, {{2, 0, 1, 4}}, {{1, 3, 2, 36}}, {{3, 33, 3, 6}}};
  }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes&) { return 4; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    return cria::rope(x, start, 500.0f);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto length = static_cast<std::size_t>(shapes[0].dim(1)),
               heads = static_cast<std::size_t>(shapes[0].dim(2));
    const auto dim = static_cast<std::size_t>(shapes[0].dim(3));
    Values y = inputs[0];
    for (std::size_t head = 0; head < y.size(); head += dim) {
      const auto position = static_cast<double>(start) + static_cast<double>(head / dim / heads % length);
      for (std::size_t d = 0; d < dim / 2; ++d) {
        const double angle =
            position * std::pow(500.0, -2.0 * static_cast<double>(d) / static_cast<double>(dim));
        const auto turned = std::complex(y[head + d], y[head + d + dim / 2]) * std::polar(1.0, angle);
        y[head + d] = turned.real();
        y[head + d + dim / 2] = turned.imag();
      }
    }
    return y;
  }
};

/// Queries and keys that are parts of one tensor, with a head between them and one behind.
struct RopeOfParts {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() { return {{{1, 3, 4, 2}}, {{2, 5, 4, 6}}, {{1, 33, 4, 16}}}; }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes&) { return 4; }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    const HeadsPart all(x);
    const auto [q, k] = cria::rope(all.heads(0, 1), all.heads(2, 1), 7, 500.0f);
    return q + k;
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const auto dim = static_cast<std::size_t>(shapes[0].dim(3));
    const Values rotated = Rope<7>::reference(inputs, shapes);
    Values y;
    for (std::size_t row = 0; row < rotated.size(); row += 4 * dim) {
      for (std::size_t d = row; d < row + dim; ++d) y.push_back(rotated[d] + rotated[d + 2 * dim]);
    }
    return y;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_have_four_dimensions_the_last_even) {
  BOOST_TEST(error_message<ShapeError>([] {
               cria::rope(Tensor<float>::zeros({2, 3, 4}));
             }) == "rope: x is [2, 3, 4]; it must have 4 dimensions");
  BOOST_TEST(error_message<ShapeError>([] {
               cria::rope(Tensor<float>::zeros({1, 2, 3, 5}));
             }) == "rope: x is [1, 2, 3, 5]; x.dim(-1) = 5 must be a multiple of the pair size = 2");
}

BOOST_AUTO_TEST_CASE(a_sequence_can_be_rotated_in_pieces) {
  const auto values = cria::test::rounded<float>(cria::test::normals(6 * 8, 1));
  const auto whole = cria::rope(Tensor<float>::from({1, 6, 2, 4}, values)).to_vector();
  const auto tail =
      cria::rope(Tensor<float>::from({1, 2, 2, 4}, std::span(values).subspan(32)), 4).to_vector();
  BOOST_TEST((std::vector<float>(whole.begin() + 32, whole.end()) == tail));
}

BOOST_AUTO_TEST_CASE(queries_and_keys_are_rotated_together_as_alone) {
  const auto tensor = [](const Shape& shape, unsigned seed) {
    auto x = Tensor<float>::from(shape, cria::test::rounded<float>(cria::test::normals(shape.size(), seed)));
    x.set_requires_grad();
    return x;
  };
  const auto q = tensor({2, 5, 4, 6}, 1), k = tensor({2, 5, 2, 6}, 2);
  const auto same_q = tensor({2, 5, 4, 6}, 1), same_k = tensor({2, 5, 2, 6}, 2);
  const auto [rotated_q, rotated_k] = cria::rope(q, k, 3, 500.0f);
  const auto alone_q = cria::rope(same_q, 3, 500.0f), alone_k = cria::rope(same_k, 3, 500.0f);
  BOOST_TEST((rotated_q.to_vector() == alone_q.to_vector()));
  BOOST_TEST((rotated_k.to_vector() == alone_k.to_vector()));
  backward(sum(square(rotated_q)) + sum(cria::exp(rotated_k)));
  backward(sum(square(alone_q)) + sum(cria::exp(alone_k)));
  BOOST_TEST((q.grad().to_vector() == same_q.grad().to_vector()));
  BOOST_TEST((k.grad().to_vector() == same_k.grad().to_vector()));
}

BOOST_AUTO_TEST_CASE(one_of_two_outputs_is_enough_for_a_gradient) {
  auto q = Tensor<float>::full({1, 3, 2, 4}, 0.5f), k = Tensor<float>::full({1, 3, 1, 4}, 0.25f);
  q.set_requires_grad();
  k.set_requires_grad();
  backward(sum(square(cria::rope(q, k).second)));
  BOOST_TEST(!q.grad().defined());
  // A rotation keeps lengths, so that the gradient is 2 k whatever the angle.
  for (const float value : k.grad().to_vector())
    BOOST_TEST(value == 0.5f, boost::test_tools::tolerance(1e-5f));
}

BOOST_AUTO_TEST_CASE(one_tensor_may_be_queries_and_keys) {
  auto x = Tensor<float>::full({2, 5, 3, 6}, 0.5f);
  x.set_requires_grad();
  const auto [q, k] = cria::rope(x, x);
  backward(sum(square(q)) + sum(square(k)));
  for (const float value : x.grad().to_vector()) BOOST_TEST(value == 2, boost::test_tools::tolerance(1e-5f));
}

// transformers computes in float32.
BOOST_AUTO_TEST_CASE(frequencies_are_those_of_transformers) {
  const auto json = cria::test::golden_json("rotary_frequencies.json");
  for (const auto& golden : json.at("cases")) {
    const auto& parameters = golden.at("rope_parameters");
    RotaryFrequencies frequencies = parameters.at("rope_theta").get<float>();
    const std::string type = parameters.at("rope_type");
    if (type != "default") frequencies.factor = parameters.at("factor");
    if (type == "linear") frequencies.scaling = RotaryFrequencies::Scaling::linear;
    if (type == "llama3") {
      frequencies.scaling = RotaryFrequencies::Scaling::llama3;
      frequencies.low_freq_factor = parameters.at("low_freq_factor");
      frequencies.high_freq_factor = parameters.at("high_freq_factor");
      frequencies.original_max_position_embeddings = parameters.at("original_max_position_embeddings");
    }
    const std::int64_t dim = golden.at("head_dim");
    Values got;
    for (std::int64_t d = 0; d < dim / 2; ++d) got.push_back(frequencies.frequency(d, dim));
    const auto want = golden.at("inv_freq").get<Values>();
    BOOST_REQUIRE_EQUAL(got.size(), want.size());
    for (std::size_t d = 0; d < got.size(); ++d) {
      BOOST_TEST(got[d] == want[d], boost::test_tools::tolerance(1e-6));
    }
  }
}

// Whichever tables are kept: each of these is asked for again after the others.
BOOST_AUTO_TEST_CASE(frequencies_in_turns_do_not_mix) {
  const auto x = Tensor<double>::full({1, 50, 1, 4}, 1.0);
  RotaryFrequencies linear = 500.0f, llama3 = 500.0f;
  linear.scaling = RotaryFrequencies::Scaling::linear;
  linear.factor = 4.0f;
  llama3.scaling = RotaryFrequencies::Scaling::llama3;
  llama3.factor = 4.0f;
  llama3.original_max_position_embeddings = 32;
  for (int turn = 0; turn < 2; ++turn) {
    for (const RotaryFrequencies& frequencies : {RotaryFrequencies(500.0f), linear, llama3}) {
      const Values y = cria::test::to_values(cria::rope(x, 3, frequencies));
      for (std::size_t t = 0; t < 50; ++t) {
        for (std::size_t d = 0; d < 2; ++d) {
          const double angle =
              static_cast<double>(3 + t) * frequencies.frequency(static_cast<std::int64_t>(d), 4);
          const double want = std::cos(angle) - std::sin(angle);
          BOOST_TEST(std::abs(y[4 * t + d] - want) < 1e-12);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(unusable_frequencies_are_refused) {
  const auto message = [](const RotaryFrequencies& frequencies) {
    return error_message<ConfigError>([&] {
      cria::rope(Tensor<float>::zeros({1, 1, 1, 2}), 0, frequencies);
    });
  };
  BOOST_TEST(message(-1.0f) == "rope: theta = -1.000000 must be a positive number");
  BOOST_TEST(message(std::nanf("")) == "rope: theta = nan must be a positive number");
  RotaryFrequencies frequencies;
  frequencies.factor = 0.0f;
  BOOST_TEST(message(frequencies) == "(nothing thrown)");
  frequencies.scaling = RotaryFrequencies::Scaling::linear;
  BOOST_TEST(message(frequencies) == "rope: factor = 0.000000 must be a positive number");
  frequencies = {};
  frequencies.scaling = RotaryFrequencies::Scaling::llama3;
  frequencies.low_freq_factor = 4.0f;
  BOOST_TEST(message(frequencies) ==
             "rope: high_freq_factor = 4.000000 must be larger than low_freq_factor = 4.000000");
  frequencies = {};
  frequencies.scaling = RotaryFrequencies::Scaling::llama3;
  frequencies.original_max_position_embeddings = 0;
  BOOST_TEST(message(frequencies) == "rope: original_max_position_embeddings = 0 must be a positive number");
}

BOOST_AUTO_TEST_CASE(positions_before_the_first_are_refused) {
  const auto x = Tensor<float>::zeros({1, 2, 1, 4});
  const std::string sentence = "rope: start is -1; it must be at least 0";
  BOOST_TEST(error_message<ConfigError>([&] { cria::rope(x, -1); }) == sentence);
  BOOST_TEST(error_message<ConfigError>([&] { cria::rope(x, x, -1); }) == sentence);
}

BOOST_AUTO_TEST_CASE(positions_that_no_text_has_are_refused) {
  const auto x = Tensor<float>::zeros({1, 2, 1, 4});
  const auto message = [&](std::int64_t start) {
    std::string together = error_message<ConfigError>([&] { cria::rope(x, x, start); });
    if (const auto name = together.find("q has"); name != std::string::npos) together[name] = 'x';
    const std::string alone = error_message<ConfigError>([&] { cria::rope(x, start); });
    BOOST_TEST(together == alone);
    return alone;
  };
  constexpr std::int64_t end = std::int64_t{1} << 32;
  const std::string rule = "; there are 4294967296 positions at most, of which x has 2 from start on";
  BOOST_TEST(message(std::int64_t{1} << 62) == "rope: start is 4611686018427387904" + rule);
  BOOST_TEST(message(std::numeric_limits<std::int64_t>::max()) ==
             "rope: start is 9223372036854775807" + rule);
  BOOST_TEST(message(end - 1) == "rope: start is 4294967295" + rule);
  BOOST_TEST(message(end - 2) == "(nothing thrown)");
  const auto empty = Tensor<float>::zeros({0, end, 1, 64});
  BOOST_TEST((cria::rope(empty).shape() == empty.shape()));
  BOOST_TEST(
      error_message<ConfigError>([&] { cria::rope(empty, 1); }) ==
      "rope: start is 1; there are 4294967296 positions at most, of which x has 4294967296 from start on");
}

// Around the last position that a table is kept up to, and up to the last position of all.
BOOST_AUTO_TEST_CASE(far_positions_take_no_memory_for_those_before) {
  constexpr std::int64_t kept = std::int64_t{1} << 20, end = std::int64_t{1} << 32;
  for (const std::int64_t start : {kept, kept + 1, std::int64_t{1} << 31, end - 3, kept - 1}) {
    auto q = Tensor<double>::full({2, 3, 1, 4}, 1.0), k = Tensor<double>::full({2, 3, 2, 4}, 1.0);
    q.set_requires_grad();
    const auto [rotated_q, rotated_k] = cria::rope(q, k, start, 500.0f);
    backward(sum(rotated_q));
    const Values of_q = cria::test::to_values(rotated_q), of_k = cria::test::to_values(rotated_k),
                 gradient = cria::test::to_values(q.grad());
    for (std::size_t i = 0; i < 12; ++i) {  // of the first sequence: a position's four numbers of one head
      const std::size_t t = i / 4, d = i % 2;
      const double angle = static_cast<double>(start + static_cast<std::int64_t>(t)) *
                           RotaryFrequencies(500.0f).frequency(static_cast<std::int64_t>(d), 4);
      const double low = std::cos(angle) - std::sin(angle), high = std::cos(angle) + std::sin(angle);
      const bool is_low = i % 4 < 2;
      BOOST_TEST(std::abs(of_q[i] - (is_low ? low : high)) < 1e-12);
      BOOST_TEST(std::abs(of_q[12 + i] - of_q[i]) == 0);
      BOOST_TEST(std::abs(of_k[8 * t + i % 4] - of_q[i]) == 0);
      BOOST_TEST(std::abs(of_k[8 * t + 4 + i % 4] - of_q[i]) == 0);
      BOOST_TEST(std::abs(gradient[i] - (is_low ? high : low)) < 1e-12);
    }
  }
}

BOOST_AUTO_TEST_CASE(queries_and_keys_have_the_same_positions_and_dimension) {
  BOOST_TEST(
      error_message<ShapeError>([] {
        cria::rope(Tensor<float>::zeros({1, 2, 3, 4}), Tensor<float>::zeros({1, 2, 3, 6}));
      }) ==
      "rope: dimensions differ: q is [1, 2, 3, 4], k is [1, 2, 3, 6]; q.dim(3) = 4 must equal k.dim(3) = 6");
}

CRIA_TEST_OPERATION(from_the_start, Rope<0>)
CRIA_TEST_OPERATION(from_a_later_position, Rope<7>)
CRIA_TEST_OPERATION(of_parts, RopeOfParts)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
