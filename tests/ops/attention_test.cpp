#include "cria/ops/attention.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/error_message.hpp"
#include "support/memory.hpp"
#include "support/op_case.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(ops)
BOOST_AUTO_TEST_SUITE(attention)

namespace {

using namespace cria;
using cria::test::error_message;
using cria::test::Shapes;
using cria::test::Values;

struct Attention {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static Shapes heads(std::int64_t batch, std::int64_t length, std::int64_t keys, std::int64_t heads,
                      std::int64_t kv_heads, std::int64_t dim) {
    const Shape kv{batch, keys, kv_heads, dim};
    return {{batch, length, heads, dim}, kv, kv};
  }
  static std::vector<Shapes> shapes() {
    return {
        heads(1, 1, 1, 1, 1, 4),     // one key, one query
        heads(2, 31, 31, 4, 1, 6),   // all heads share one key/value head
        heads(1, 32, 32, 4, 2, 8),   // two groups
        heads(1, 33, 33, 3, 3, 5),   // every head its own
        heads(1, 70, 70, 2, 1, 36),  // three tiles, a width that fills no register
        heads(2, 3, 40, 2, 1, 6),    // the last queries of more keys
        heads(1, 64, 78, 1, 1, 4),   // one query sees all keys of a tile but the last
        heads(2, 1, 43, 12, 2, 20),  // a single position, and more heads to a key than go at a time
        heads(1, 97, 130, 1, 1, 7),  // blocks of queries, all sizes odd
        heads(1, 37, 37, 4, 2, 7),   // neighbouring heads of an odd size
        heads(1, 33, 70, 2, 2, 4),  heads(1, 1, 33, 2, 1, 36),  // a step of generation
    };
  }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].dim(1) + shapes[1].dim(3); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v) {
    return cria::attention(q, k, v);
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const std::int64_t batch = shapes[0].dim(0), length = shapes[0].dim(1), heads = shapes[0].dim(2);
    const std::int64_t keys = shapes[1].dim(1), kv_heads = shapes[1].dim(2), dim = shapes[0].dim(3);
    const auto at = [&](int input, std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t d) {
      const Shape& s = shapes[static_cast<std::size_t>(input)];
      return inputs[static_cast<std::size_t>(input)]
                   [static_cast<std::size_t>(((b * s.dim(1) + t) * s.dim(2) + h) * dim + d)];
    };
    Values y;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t t = 0; t < length; ++t) {
        for (std::int64_t h = 0; h < heads; ++h) {
          const std::int64_t kv = h / (heads / kv_heads);
          Values weight;
          double sum = 0;
          for (std::int64_t key = 0; key <= t + keys - length; ++key) {
            double score = 0;
            for (std::int64_t d = 0; d < dim; ++d) score += at(0, b, t, h, d) * at(1, b, key, kv, d);
            weight.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
            sum += weight.back();
          }
          for (std::int64_t d = 0; d < dim; ++d) {
            double out = 0;
            for (std::size_t key = 0; key < weight.size(); ++key) {
              out += weight[key] * at(2, b, static_cast<std::int64_t>(key), kv, d);
            }
            y.push_back(out / sum);
          }
        }
      }
    }
    return y;
  }
};

/// The values of some heads at some positions of a tensor of this shape, as a tensor of their own.
Values part(const Values& whole, const Shape& shape, std::int64_t positions, std::int64_t first_head,
            std::int64_t heads) {
  const std::int64_t dim = shape.dim(3);
  Values values;
  for (std::int64_t b = 0; b < shape.dim(0); ++b) {
    for (std::int64_t t = 0; t < positions; ++t) {
      const auto first = whole.begin() + ((b * shape.dim(1) + t) * shape.dim(2) + first_head) * dim;
      values.insert(values.end(), first, first + heads * dim);
    }
  }
  return values;
}

/// Queries, keys and values side by side in one tensor, two heads of queries to one of keys.
struct AttentionOfParts {
  template <class T>
  using Inputs = std::tuple<Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {{{1, 1, 4, 4}}, {{2, 33, 8, 6}}, {{1, 70, 4, 5}}, {{2, 5, 12, 36}}, {{2, 40, 8, 8}}};
  }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[0].dim(1) + shapes[0].dim(3); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& x) {
    const HeadsPart all(x);
    const std::int64_t kv_heads = x.dim(2) / 4;
    return cria::attention(all.heads(0, 2 * kv_heads), all.heads(2 * kv_heads, kv_heads),
                           all.heads(3 * kv_heads, kv_heads));
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape& whole = shapes[0];
    const std::int64_t batch = whole.dim(0), length = whole.dim(1), kv_heads = whole.dim(2) / 4;
    const auto heads = [&](std::int64_t first, std::int64_t count) {
      return part(inputs[0], whole, length, first, count);
    };
    return Attention::reference(
        {heads(0, 2 * kv_heads), heads(2 * kv_heads, kv_heads), heads(3 * kv_heads, kv_heads)},
        Attention::heads(batch, length, length, 2 * kv_heads, kv_heads, whole.dim(3)));
  }
};

/// The keys and values are the first positions of tensors with room for five more.
struct AttentionOfPrefix {
  template <class T>
  using Inputs = std::tuple<Tensor<T>, Tensor<T>, Tensor<T>>;
  static std::vector<Shapes> shapes() {
    return {Attention::heads(1, 1, 6, 2, 1, 4), Attention::heads(2, 3, 45, 4, 2, 6),
            Attention::heads(2, 33, 70, 2, 2, 8)};
  }
  static constexpr bool infinities_are_exact = false;
  static std::int64_t terms(const Shapes& shapes) { return shapes[1].dim(1) + shapes[1].dim(3); }
  template <class T>
  static Tensor<T> run(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v) {
    const std::int64_t keys = k.dim(1) - 5;
    return cria::attention(q, HeadsPart(k).positions(0, keys), HeadsPart(v).positions(0, keys));
  }
  static Values reference(const std::vector<Values>& inputs, const Shapes& shapes) {
    const Shape &q = shapes[0], &k = shapes[1];
    const std::int64_t keys = k.dim(1) - 5;
    return Attention::reference(
        {inputs[0], part(inputs[1], k, keys, 0, k.dim(2)), part(inputs[2], k, keys, 0, k.dim(2))},
        Attention::heads(q.dim(0), q.dim(1), keys, q.dim(2), k.dim(2), q.dim(3)));
  }
};

Tensor<float> zeros(const Shape& shape) {
  return Tensor<float>::zeros(shape);
}
std::string message(const Shape& q, const Shape& k, const Shape& v) {
  return error_message<ShapeError>([&] { cria::attention(zeros(q), zeros(k), zeros(v)); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(shapes_must_fit) {
  BOOST_TEST(message({2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}) ==
             "attention: q is [2, 3, 4]; it must have 4 dimensions");
  BOOST_TEST(message({1, 2, 3, 4}, {2, 3, 4}, {2, 3, 4}) ==
             "attention: k is [2, 3, 4]; it must have 4 dimensions");
  BOOST_TEST(message({1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 1, 4}) ==
             "attention: shapes differ: k is [1, 2, 3, 4], v is [1, 2, 1, 4]; they must be equal");
  BOOST_TEST(message({1, 2, 3, 4}, {2, 2, 3, 4}, {2, 2, 3, 4}) ==
             "attention: dimensions differ: q is [1, 2, 3, 4], k is [2, 2, 3, 4]; q.dim(0) = 1 must equal "
             "k.dim(0) = 2");
  BOOST_TEST(message({1, 2, 3, 4}, {1, 2, 3, 5}, {1, 2, 3, 5}) ==
             "attention: dimensions differ: q is [1, 2, 3, 4], k is [1, 2, 3, 5]; q.dim(3) = 4 must equal "
             "k.dim(3) = 5");
  BOOST_TEST(message({1, 2, 3, 4}, {1, 2, 2, 4}, {1, 2, 2, 4}) ==
             "attention: q is [1, 2, 3, 4]; q.dim(2) = 3 must be a multiple of k.dim(2) = 2");
  BOOST_TEST(message({1, 2, 3, 4}, {1, 1, 3, 4}, {1, 1, 3, 4}) ==
             "attention: k is [1, 1, 3, 4], q is [1, 2, 3, 4]; k.dim(1) = 1 must be at least q.dim(1) = 2");
}

BOOST_AUTO_TEST_CASE(large_scores_do_not_overflow) {
  const auto q = Tensor<float>::full({1, 2, 1, 1}, 300), k = Tensor<float>::full({1, 2, 1, 1}, 300);
  const auto v = Tensor<float>::from({1, 2, 1, 1}, {1, 3});
  BOOST_TEST((cria::attention(q, k, v).to_vector() == std::vector<float>{1, 2}));
}

// e^89 is infinite in float. The queries that fill up a register after the last one have such scores too.
BOOST_AUTO_TEST_CASE(gradients_of_large_scores_are_finite) {
  auto q = Tensor<float>::full({1, 2, 1, 1}, 8), k = Tensor<float>::full({1, 2, 1, 1}, 11.125f);
  auto v = Tensor<float>::from({1, 2, 1, 1}, {1, 3});
  for (auto* each : {&q, &k, &v}) each->set_requires_grad();
  backward(sum(cria::attention(q, k, v)));
  const auto check = [](const Tensor<float>& gradient, const std::vector<double>& want) {
    const auto got = gradient.to_vector();
    for (std::size_t i = 0; i < 2; ++i) BOOST_TEST(std::abs(static_cast<double>(got[i]) - want[i]) < 1e-3);
  };
  check(v.grad(), {1.5, 0.5});
  check(q.grad(), {0, 0});
  check(k.grad(), {-4, 4});
}

BOOST_AUTO_TEST_CASE(keys_without_queries_have_gradients_of_zero) {
  const auto q = Tensor<float>::zeros({1, 0, 2, 8});
  auto k = Tensor<float>::full({1, 40, 1, 8}, 1), v = Tensor<float>::full({1, 40, 1, 8}, 1);
  for (auto* each : {&k, &v}) each->set_requires_grad();
  for (int backwards = 0; backwards < 2; ++backwards) backward(sum(cria::attention(q, k, v)));
  BOOST_TEST((k.grad().to_vector() == std::vector<float>(320)));
  BOOST_TEST((v.grad().to_vector() == std::vector<float>(320)));
}

BOOST_AUTO_TEST_CASE(memory_does_not_grow_with_the_square_of_the_length) {
  const auto peak = [](std::int64_t length) {
    auto q = zeros({1, length, 1, 8}), k = zeros({1, length, 1, 8}), v = zeros({1, length, 1, 8});
    q.set_requires_grad();
    k.set_requires_grad();
    v.set_requires_grad();
    return cria::test::on_threads(
        1, [&] { return cria::test::peak_bytes([&] { backward(sum(cria::attention(q, k, v))); }); });
  };
  const std::size_t half = peak(512), whole = peak(1024);
  BOOST_TEST(whole > 1024u * 8 * sizeof(float));  // the output is counted
  BOOST_TEST(whole < 1024u * 1024 * sizeof(float) / 4);
  BOOST_TEST(whole < half * 5 / 2);
}

// Working memory is padded to whole registers; what was in it before must not come in.
BOOST_AUTO_TEST_CASE(stale_memory_is_not_read) {
  const Shapes few = Attention::heads(1, 5, 7, 4, 2, 7), many = Attention::heads(1, 40, 40, 4, 2, 7);
  const auto check = [&]<class T>(T) {
    const auto op = cria::test::operation<Attention, T>("attention");
    const auto run = [&](const Shapes& shapes, const std::vector<Values>& values) {
      const auto result = cria::test::on_threads(1, [&] { return op.run(shapes, values, op.all_wanted()); });
      Values all = result.output;
      for (const Values& gradient : result.gradients) all.insert(all.end(), gradient.begin(), gradient.end());
      return all;
    };
    const Values before = run(few, op.values(few));
    for (const Shapes& shapes : {few, many}) {  // leaves no number in the memory that is used again
      std::vector<Values> unknown = op.values(shapes);
      for (Values& each : unknown) std::fill(each.begin(), each.end(), std::nan(""));
      run(shapes, unknown);
    }
    BOOST_TEST(run(few, op.values(few)) == before, boost::test_tools::per_element());
  };
  check(float{});
  check(bfloat16{});
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  const Shapes shapes = Attention::heads(3, 70, 70, 6, 3, 12);
  const auto op = cria::test::operation<Attention, float>("attention");
  cria::test::check_threads_do_not_matter([&] {
    const auto result = op.run(shapes, op.values(shapes), op.all_wanted());
    Values all = result.output;
    for (const Values& gradient : result.gradients) all.insert(all.end(), gradient.begin(), gradient.end());
    return all;
  });
}

// What lies behind the prefix is not read: a cache is not initialised there.
BOOST_AUTO_TEST_CASE(a_prefix_gives_the_bits_of_a_tensor) {
  const Shapes shapes = Attention::heads(2, 3, 45, 4, 2, 6);
  const std::int64_t keys = 40;
  const auto check = [&]<class T>(T) {
    const auto make = [](const Shape& shape, const Values& values) {
      return Tensor<T>::from(shape, cria::test::rounded<T>(values));
    };
    const auto q = make(shapes[0], cria::test::normals(shapes[0].size(), 1));
    std::vector<Tensor<T>> whole, prefix;
    for (const unsigned seed : {2u, 3u}) {
      Values values = cria::test::normals(shapes[1].size(), seed);
      prefix.push_back(make(shapes[1].with_dim(1, keys), part(values, shapes[1], keys, 0, 2)));
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (static_cast<std::int64_t>(i) / (2 * 6) % 45 >= keys) values[i] = std::nan("");
      }
      whole.push_back(make(shapes[1], values));
    }
    const auto got =
        cria::attention(q, HeadsPart(whole[0]).positions(0, keys), HeadsPart(whole[1]).positions(0, keys));
    const auto want = cria::attention(q, prefix[0], prefix[1]);
    BOOST_TEST((cria::test::to_values(got) == cria::test::to_values(want)));
  };
  check(float{});
  check(bfloat16{});
}

CRIA_TEST_OPERATION(operation, Attention)
CRIA_TEST_OPERATION(of_parts, AttentionOfParts)
CRIA_TEST_OPERATION(of_a_prefix, AttentionOfPrefix)

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
