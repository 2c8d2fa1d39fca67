#include "cria/data/batches.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/data/examples.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(data)
BOOST_AUTO_TEST_SUITE(batches)

namespace {

using namespace cria;
using cria::data::Batches;
using cria::data::BatchesOptions;
using cria::data::Examples;
using test::error_message;

/// Example i is ([i, i + 0.5], i) of n.
Examples<float, std::int32_t> counted(std::int32_t n) {
  std::vector<float> inputs;
  std::vector<std::int32_t> targets;
  for (std::int32_t i = 0; i < n; ++i) {
    inputs.insert(inputs.end(), {static_cast<float>(i), static_cast<float>(i) + 0.5f});
    targets.push_back(i);
  }
  return Examples(Tensor<float, Cpu>::from({n, 2}, inputs), Tensor<std::int32_t, Cpu>::from({n}, targets));
}

/// The same examples one by one. Reading example `broken` fails.
struct OneByOne {
  std::int32_t n;
  std::size_t broken = 1000;
  std::shared_ptr<std::atomic<int>> reads = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<bool>> on_other_thread = std::make_shared<std::atomic<bool>>(false);
  std::thread::id home = std::this_thread::get_id();

  std::size_t size() const { return static_cast<std::size_t>(n); }
  std::pair<Tensor<float, Cpu>, Tensor<std::int32_t, Cpu>> operator[](std::size_t i) const {
    ++*reads;
    if (std::this_thread::get_id() != home) *on_other_thread = true;
    if (i == broken) throw std::runtime_error("example " + std::to_string(i) + " is broken");
    const auto x = static_cast<float>(i);
    return {Tensor<float, Cpu>::from({2}, {x, x + 0.5f}),
            Tensor<std::int32_t, Cpu>::scalar(static_cast<std::int32_t>(i))};
  }
};

using Epoch = std::vector<std::vector<std::int32_t>>;

/// The targets of the next epoch's batches; inputs that do not belong to them are an error.
template <class S>
Epoch next_epoch(Batches<S>& batches) {
  Epoch epoch;
  for (const auto& [x, y] : batches) {
    const auto inputs = x.to_vector();
    const auto targets = y.to_vector();
    const auto n = static_cast<std::int64_t>(targets.size());
    BOOST_TEST(x.shape() == (Shape{n, 2}));
    BOOST_TEST(y.shape() == (Shape{n}));
    for (std::size_t i = 0; i < targets.size(); ++i) {
      BOOST_TEST(inputs[2 * i] == static_cast<float>(targets[i]));
      BOOST_TEST(inputs[2 * i + 1] == static_cast<float>(targets[i]) + 0.5f);
    }
    epoch.push_back(targets);
  }
  return epoch;
}

std::vector<std::int32_t> flat(const Epoch& epoch) {
  std::vector<std::int32_t> all;
  for (const auto& batch : epoch) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

std::vector<std::int32_t> sorted(std::vector<std::int32_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<std::int32_t> count_to(std::int32_t n) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

static_assert(std::ranges::input_range<Batches<OneByOne>>);
static_assert(cria::data::Source<std::vector<std::pair<Tensor<float, Cpu>, Tensor<bool, Cpu>>>>);
static_assert(!cria::data::Source<std::vector<Tensor<float, Cpu>>>);
static_assert(!cria::data::Source<std::vector<int>>);

}  // namespace

BOOST_AUTO_TEST_CASE(batches_come_in_order_and_the_last_is_smaller) {
  Batches batches(counted(7), {.batch_size = 3});
  BOOST_TEST(batches.size() == 3);
  BOOST_TEST((next_epoch(batches) == Epoch{{0, 1, 2}, {3, 4, 5}, {6}}));
  BOOST_TEST((next_epoch(batches) == Epoch{{0, 1, 2}, {3, 4, 5}, {6}}));

  Batches full(counted(7), {.batch_size = 3, .drop_last = true});
  BOOST_TEST(full.size() == 2);
  BOOST_TEST((next_epoch(full) == Epoch{{0, 1, 2}, {3, 4, 5}}));

  Batches even(counted(6), {.batch_size = 3, .drop_last = true});
  BOOST_TEST(even.size() == 2);
  BOOST_TEST(Batches(counted(6), {.batch_size = 3}).size() == 2);
  BOOST_TEST((next_epoch(even) == Epoch{{0, 1, 2}, {3, 4, 5}}));

  Batches one(counted(2), {.batch_size = 5});
  BOOST_TEST((next_epoch(one) == Epoch{{0, 1}}));
}

BOOST_AUTO_TEST_CASE(every_epoch_has_all_examples_in_an_order_of_its_own) {
  Batches batches(counted(50), {.batch_size = 8, .shuffle = true, .seed = 3});
  std::set<std::vector<std::int32_t>> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    const std::vector<std::int32_t> order = flat(next_epoch(batches));
    BOOST_TEST(sorted(order) == count_to(50), boost::test_tools::per_element());
    orders.insert(order);
  }
  orders.insert(count_to(50));
  BOOST_TEST(orders.size() == 6u);

  Batches other(counted(50), {.batch_size = 8, .shuffle = true, .seed = 4});
  BOOST_TEST(orders.count(flat(next_epoch(other))) == 0u);
}

BOOST_AUTO_TEST_CASE(the_seed_and_the_epoch_say_what_comes) {
  const BatchesOptions options{.batch_size = 8, .shuffle = true, .seed = 3};
  Batches batches(counted(50), options);
  std::vector<Epoch> epochs;
  for (int epoch = 0; epoch < 4; ++epoch) epochs.push_back(next_epoch(batches));
  BOOST_TEST(batches.epoch() == 4);

  Batches again(counted(50), options);
  for (const Epoch& epoch : epochs) BOOST_TEST((next_epoch(again) == epoch));

  BatchesOptions ahead = options;
  ahead.prefetch = true;
  Batches prefetched(counted(50), ahead);
  for (const Epoch& epoch : epochs) BOOST_TEST((next_epoch(prefetched) == epoch));
  Batches from_elsewhere(OneByOne{50}, ahead);
  for (const Epoch& epoch : epochs) BOOST_TEST((next_epoch(from_elsewhere) == epoch));

  Batches resumed(counted(50), ahead);
  resumed.set_epoch(2);
  BOOST_TEST((next_epoch(resumed) == epochs[2]));
  BOOST_TEST(resumed.epoch() == 3);
  BOOST_TEST(error_message<ConfigError>([&] { resumed.set_epoch(-1); }) ==
             "data::Batches: epoch is -1; it must be at least 0");
  resumed.set_epoch(1);
  BOOST_TEST((next_epoch(resumed) == epochs[1]));
}

BOOST_AUTO_TEST_CASE(a_loop_that_is_left_early_ends_its_epoch) {
  for (const bool prefetch : {false, true}) {
    const BatchesOptions options{.batch_size = 2, .shuffle = true, .seed = 9, .prefetch = prefetch};
    Batches whole(OneByOne{20}, options);
    const std::vector<Epoch> epochs{next_epoch(whole), next_epoch(whole)};

    const OneByOne source{20};
    Batches batches(source, options);
    for (int left_after = 1; left_after < 5; ++left_after) {
      batches.set_epoch(0);
      int count = 0;
      for (const auto& [x, y] : batches) {
        BOOST_TEST((y.to_vector() == epochs[0][static_cast<std::size_t>(count)]));
        if (++count == left_after) break;
      }
      const int reads = *source.reads;  // nothing goes on after the loop
      std::this_thread::yield();
      BOOST_TEST(*source.reads == reads);
      BOOST_TEST((next_epoch(batches) == epochs[1]));
    }
    BOOST_TEST(*source.on_other_thread == prefetch);
  }
}

BOOST_AUTO_TEST_CASE(at_most_two_batches_are_made_before_they_are_needed) {
  const OneByOne source{100};
  Batches batches(source, {.batch_size = 10, .prefetch = true});
  int taken = 0;
  for (const auto& batch : batches) {
    static_cast<void>(batch);
    ++taken;
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    BOOST_TEST(*source.reads <= 10 * (taken + 2));
  }
  BOOST_TEST(*source.reads == 100);
}

BOOST_AUTO_TEST_CASE(what_the_source_throws_reaches_the_loop_in_its_place) {
  for (const bool prefetch : {false, true}) {
    Batches batches(OneByOne{20, 7}, {.batch_size = 2, .prefetch = prefetch});
    int count = 0;
    BOOST_TEST(error_message<std::runtime_error>([&] {
                 for (const auto& batch : batches) count += static_cast<int>(std::get<1>(batch).dim(0));
               }) == "example 7 is broken");
    BOOST_TEST(count == 6);

    Batches from_the_start(OneByOne{20, 0}, {.batch_size = 2, .prefetch = prefetch});
    BOOST_TEST(error_message<std::runtime_error>([&] { static_cast<void>(from_the_start.begin()); }) ==
               "example 0 is broken");
    BOOST_TEST(from_the_start.epoch() == 1);
  }
}

BOOST_AUTO_TEST_CASE(an_epoch_outlives_its_batches) {
  auto batch = Batches(counted(6), {.batch_size = 2, .prefetch = true}).begin();
  ++batch;
  BOOST_TEST((std::get<1>(*batch).to_vector() == std::vector<std::int32_t>{2, 3}));
}

BOOST_AUTO_TEST_CASE(batches_are_copies) {
  auto x = Tensor<float, Cpu>::from({2}, {1, 2});
  Batches batches{Examples(x)};
  for (const auto& [batch] : batches) {
    x.mutable_vec().data[0] = 9;
    BOOST_TEST((batch.to_vector() == std::vector<float>{1, 2}));
  }
  for (const auto& [batch] : batches) BOOST_TEST((batch.to_vector() == std::vector<float>{9, 2}));
}

BOOST_AUTO_TEST_CASE(examples_of_any_types_and_number) {
  const Examples examples(Tensor<bool, Cpu>::from({3}, {true, false, true}),
                          Tensor<bfloat16, Cpu>::full({3, 2, 2}, bfloat16(1.5f)),
                          Tensor<std::uint8_t, Cpu>::from({3, 1}, {1, 2, 3}),
                          Tensor<double, Cpu>::zeros({3, 0}));
  Batches batches(examples, {.batch_size = 2});
  for (const auto& [a, b, c, d] : batches) {
    const std::int64_t n = a.dim(0);
    BOOST_TEST((a.to_vector() == (n == 2 ? std::vector<bool>{true, false} : std::vector<bool>{true})));
    BOOST_TEST(b.shape() == (Shape{n, 2, 2}));
    BOOST_TEST((b.to_vector() == std::vector<bfloat16>(static_cast<std::size_t>(4 * n), bfloat16(1.5f))));
    BOOST_TEST((c.to_vector() == (n == 2 ? std::vector<std::uint8_t>{1, 2} : std::vector<std::uint8_t>{3})));
    BOOST_TEST(d.shape() == (Shape{n, 0}));
  }
}

BOOST_AUTO_TEST_CASE(a_vector_of_pairs_is_a_source) {
  std::vector<std::pair<Tensor<float, Cpu>, Tensor<std::int32_t, Cpu>>> source;
  const OneByOne examples{5};
  for (std::size_t i = 0; i < 5; ++i) source.push_back(examples[i]);
  Batches batches(source, {.batch_size = 2});
  BOOST_TEST((next_epoch(batches) == Epoch{{0, 1}, {2, 3}, {4}}));

  source[3].first = Tensor<float, Cpu>::zeros({4});
  Batches uneven(source, {.batch_size = 2});
  BOOST_TEST(error_message<ShapeError>([&] { next_epoch(uneven); }) ==
             "data: a tensor of example 3 is [4], that of the batch's first [2]; all examples must have the "
             "same shapes");
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_are_refused) {
  BOOST_TEST(error_message<ConfigError>([] { Batches(counted(3), {.batch_size = 0}); }) ==
             "data::Batches: batch_size is 0; it must be at least 1");
  BOOST_TEST(error_message<ShapeError>([] { Batches(counted(3), {.batch_size = 4, .drop_last = true}); }) ==
             "data::Batches: the source has 3 examples; with drop_last at least batch_size = 4 are needed");
  BOOST_TEST(error_message<ShapeError>([] {
               Batches{Examples(Tensor<float, Cpu>::zeros({0, 2}))};
             }) == "data::Batches: the source has 0 examples; at least one is needed");
}

BOOST_AUTO_TEST_CASE(examples_that_cannot_be_are_refused) {
  BOOST_TEST(error_message<ShapeError>([] {
               Examples(Tensor<float, Cpu>::zeros({3, 2}), Tensor<float, Cpu>::zeros({2, 3}));
             }) ==
             "data::Examples: tensors are [3, 2] and [2, 3]; all must begin with the same number of "
             "examples");
  BOOST_TEST(error_message<ShapeError>([] { Examples(Tensor<float, Cpu>::scalar(1)); }) ==
             "data::Examples: tensors are [] and []; all must begin with the same number of examples");
  const auto examples = counted(3);
  BOOST_TEST((std::get<0>(examples[2]).to_vector() == std::vector<float>{2, 2.5f}));
  BOOST_TEST(std::get<1>(examples[2]).item() == 2);
  const std::string sentence = "data::Examples: there is no example 3; there are 3";
  BOOST_TEST(error_message<ShapeError>([&] { examples[3]; }) == sentence);
  BOOST_TEST(error_message<ShapeError>([&] { examples.gather(std::vector<std::size_t>{1, 3}); }) == sentence);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
