#include "cria/train/step.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cria/cria.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(train)
BOOST_AUTO_TEST_SUITE(step)

namespace {

using namespace cria;
using test::error_message;

constexpr std::int64_t vocabulary = 11;
constexpr bool on_cpu = std::is_same_v<DefaultBackend, Cpu>;
constexpr std::int64_t length = on_cpu ? 512 : 16;  // of sequences, of which the CPU has two in a chunk
const std::vector<int> thread_counts = on_cpu ? std::vector<int>{1, 2, 3} : std::vector<int>{1};

/// Guesses the next token from this one alone. Fails in the call after `calls_left` more; never if that is
/// negative.
template <class T>
struct Guess {
  cria::nn::Embedding<T> table{vocabulary, 6};
  cria::nn::Dropout dropout;
  cria::nn::Linear<T> out{6, vocabulary};
  std::shared_ptr<std::atomic<int>> calls_left = std::make_shared<std::atomic<int>>(-1);

  Tensor<acc_t<T>> loss(const Tensor<std::int32_t>& tokens, const Tensor<std::int32_t>& targets) const {
    const auto result = linear_cross_entropy(dropout(table(tokens)), out.weight, targets);
    if ((*calls_left)-- == 0) throw ShapeError("as asked");
    return result;
  }

  static void visit(auto& self, auto&& field) {
    field("table", self.table);
    field("out", self.out);
  }
};

/// M, which counts the calls of its loss.
template <class M>
struct Counting {
  M model;
  Buffer<float> calls{{1}};

  Tensor<float> loss(const Tensor<std::int32_t>& tokens, const Tensor<std::int32_t>& targets) const {
    auto count = calls;
    count.value().assign(std::vector<float>{count.value().item() + 1});
    return model.loss(tokens, targets);
  }
  static void visit(auto& self, auto&& field) {
    field("model", self.model);
    field("calls", self.calls);
  }
};

/// A model, an optimiser and a batch, of eight sequences unless it is told otherwise.
template <class T>
struct Training {
  Batch<> batch;
  Guess<T> model;
  AdamW<> optimizer;
  TrainStep<Guess<T>> step;

  explicit Training(const TrainStepOptions& options, float dropout = 0, std::int64_t sequences = 8)
      : batch({sequences, length}, {sequences, length}),
        model{.dropout = {dropout}},
        optimizer(model, {.learning_rate = 0.05}),
        step((cria::nn::initialize(model, Rng(3)), model), batch, options) {}

  const Batch<>& batch_of(std::uint64_t seed) {
    Rng rng(seed);
    for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
      batch.inputs[i] = static_cast<std::int32_t>(rng.below(vocabulary));
      batch.targets[i] = (3 * batch.inputs[i] + 1) % static_cast<std::int32_t>(vocabulary);
    }
    return batch;
  }
  void add(std::uint64_t seed) { step.add(batch_of(seed), Rng(seed)); }
  TrainStepResult update() { return step.update(optimizer); }

  std::vector<double> weights() const {
    std::vector<double> all;
    cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
      for (const T value : parameter.value().to_vector()) {
        all.push_back(static_cast<double>(static_cast<acc_t<T>>(value)));
      }
    });
    return all;
  }
  bool has_gradients() const {
    bool found = false;
    cria::nn::for_each_parameter(model,
                                 [&](const std::string&, const auto& p) { found = found || p.has_grad(); });
    return found;
  }
};

/// The greatest difference of two lists.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_CASE(ignored_targets_weigh_nothing_whatever_the_threads) {
  for (const int threads : thread_counts) {
    Training<double> training({.micro_batches = 2, .threads = threads});
    Guess<double> model = cria::nn::clone(training.model);
    AdamW<> optimizer(model, {.learning_rate = 0.05});
    std::vector<std::int32_t> inputs, targets;
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      training.batch_of(seed);
      auto& batch = training.batch;
      for (std::size_t i = 0; i < batch.targets.size(); ++i) {  // more and more of each sequence, all of one
        const std::size_t sequence = i / length, place = i % length;
        if (sequence == 5 || place < (8 * seed + sequence) * length / 20) batch.targets[i] = ignored_target;
      }
      inputs.insert(inputs.end(), batch.inputs.begin(), batch.inputs.end());
      targets.insert(targets.end(), batch.targets.begin(), batch.targets.end());
      {
        const NoGrad guard;
        BOOST_TEST(
            training.step.loss(batch) == model
                                             .loss(Tensor<std::int32_t>::from({8, length}, batch.inputs),
                                                   Tensor<std::int32_t>::from({8, length}, batch.targets))
                                             .item(),
            boost::test_tools::tolerance(1e-12));
      }
      training.step.add(batch, Rng(seed));
    }
    const TrainStepResult result = training.update();
    const auto loss = model.loss(Tensor<std::int32_t>::from({16, length}, inputs),
                                 Tensor<std::int32_t>::from({16, length}, targets));
    backward(loss);
    const double norm = gradient_norm(model);
    optimizer.step();
    BOOST_TEST(result.loss == loss.item(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(result.gradient_norm == norm, boost::test_tools::tolerance(1e-12));
    std::vector<double> weights;
    cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
      for (const double value : parameter.value().to_vector()) weights.push_back(value);
    });
    BOOST_TEST(difference(training.weights(), weights) < 1e-10);

    Batch<> none = training.batch;  // of which nothing counts
    std::fill(none.targets.begin(), none.targets.end(), ignored_target);
    BOOST_TEST(training.step.loss(none) == 0);
    training.step.add(none, Rng(1));
    training.step.add(none, Rng(1));
    const TrainStepResult of_none = training.update();
    BOOST_TEST(of_none.loss == 0);
    BOOST_TEST(of_none.gradient_norm == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_step_is_forward_backward_and_update_whatever_the_threads) {
  for (const int threads : thread_counts) {
    Training<double> training({.max_norm = 0.1, .threads = threads});
    Guess<double> model = cria::nn::clone(training.model);
    AdamW<> optimizer(model, {.learning_rate = 0.05});
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      training.add(seed);
      const TrainStepResult result = training.update();
      const auto& batch = training.batch;
      const auto loss = model.loss(Tensor<std::int32_t>::from({8, length}, batch.inputs),
                                   Tensor<std::int32_t>::from({8, length}, batch.targets));
      backward(loss);
      const double norm = gradient_norm(model);
      optimizer.step({.max_norm = 0.1});
      BOOST_TEST(result.loss == loss.item(), boost::test_tools::tolerance(1e-12));
      BOOST_TEST(result.gradient_norm == norm, boost::test_tools::tolerance(1e-12));
      BOOST_TEST(norm > 0.1);  // so it is clipped
      BOOST_TEST(result.loss_scale == 1.0);
      std::vector<double> weights;
      cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
        for (const double value : parameter.value().to_vector()) weights.push_back(value);
      });
      BOOST_TEST(difference(training.weights(), weights) < 1e-10);
    }
  }
}

BOOST_AUTO_TEST_CASE(micro_batches_are_a_larger_batch) {
  Training<double> parts({.micro_batches = 3});
  std::vector<double> losses;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    losses.push_back(parts.step.loss(parts.batch_of(seed)));
    parts.add(seed);
  }
  const TrainStepResult result = parts.update();
  BOOST_TEST(result.loss == (losses[0] + losses[1] + losses[2]) / 3, boost::test_tools::tolerance(1e-12));

  Training<double> whole({});
  Batch<> all({24, length}, {24, length});
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const auto& batch = whole.batch_of(seed);
    std::copy(batch.inputs.begin(), batch.inputs.end(),
              all.inputs.begin() + static_cast<std::ptrdiff_t>(seed) * 8 * length);
    std::copy(batch.targets.begin(), batch.targets.end(),
              all.targets.begin() + static_cast<std::ptrdiff_t>(seed) * 8 * length);
  }
  backward(whole.model.loss(Tensor<std::int32_t>::from({24, length}, all.inputs),
                            Tensor<std::int32_t>::from({24, length}, all.targets)));
  whole.optimizer.step();
  BOOST_TEST(whole.optimizer.gradient_norm() == result.gradient_norm, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(difference(parts.weights(), whole.weights()) < 1e-10);
}

namespace {

/// Losses, gradient norms and the weights after three reproducible steps, each on the same eight sequences in
/// so many micro-batches.
template <class T>
std::pair<std::vector<double>, std::vector<double>> reproducible_steps(int threads, int micro_batches,
                                                                       int threads_per_replica = 1) {
  Training<T> training({.micro_batches = micro_batches,
                        .max_norm = 0.1,
                        .threads = threads,
                        .threads_per_replica = threads_per_replica,
                        .reproducible = true},
                       0.1f, 8 / micro_batches);
  Training<T> all({});
  std::vector<double> losses;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Batch<>& whole = all.batch_of(step);
    Batch<>& part = training.batch;
    for (int i = 0; i < micro_batches; ++i) {
      const auto size = part.inputs.size();
      const auto first = static_cast<std::ptrdiff_t>(size) * i;
      std::copy_n(whole.inputs.begin() + first, size, part.inputs.begin());
      std::copy_n(whole.targets.begin() + first, size, part.targets.begin());
      training.step.add(part, Rng(step));
    }
    const auto result = training.update();
    losses.insert(losses.end(), {result.loss, result.gradient_norm});
    losses.push_back(training.step.loss(part));
  }
  losses.pop_back();  // of a part
  return {losses, training.weights()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(reproducible_steps_have_the_same_bits_on_any_threads_and_in_any_micro_batches) {
  if (!on_cpu) return;
  const auto check = []<class T>(T) {
    const auto want = reproducible_steps<T>(1, 1);
    for (const int threads : {2, 3, 4, 8}) {
      const auto got = reproducible_steps<T>(threads, 1);
      BOOST_TEST((got == want), dtype_name<T> << ", " << threads << " threads");
    }
    BOOST_TEST((reproducible_steps<T>(4, 1, 2) == want));
    for (const int threads : {1, 2, 3}) {
      const auto two = reproducible_steps<T>(threads, 2), four = reproducible_steps<T>(threads, 4);
      BOOST_TEST((two.second == want.second), dtype_name<T> << ", two micro-batches");
      BOOST_TEST((four.second == want.second), dtype_name<T> << ", four micro-batches");
    }
  };
  check(float());
  check(bfloat16());
  check(float16());
}

BOOST_AUTO_TEST_CASE(evaluation_computes_no_gradients_and_drops_nothing) {
  Training<float> training({}, 0.5f), whole({});
  const double loss = training.step.loss(training.batch_of(1));
  BOOST_TEST(loss == whole.step.loss(whole.batch_of(1)));
  BOOST_TEST(!training.has_gradients());
  training.add(1);
  BOOST_TEST(training.update().loss != loss);  // which dropped half
}

BOOST_AUTO_TEST_CASE(dropout_depends_on_the_stream_and_the_chunk_alone) {
  const auto loss = [](int threads, std::uint64_t stream) {
    Training<float> training({.threads = threads}, 0.5f);
    training.step.add(training.batch_of(1), Rng(stream));
    return training.update().loss;
  };
  BOOST_TEST(loss(1, 1) != loss(1, 2));
  if (on_cpu) BOOST_TEST(loss(1, 1) == loss(2, 1));
}

BOOST_AUTO_TEST_CASE(float16_scales_its_loss_and_leaves_out_steps_that_overflow) {
  Training<float16> training({});
  const auto before = training.weights();
  training.step.scaler().set_state({.scale = std::ldexp(1.0, 60), .good_steps = 5});
  training.add(1);
  const TrainStepResult overflow = training.update();
  BOOST_TEST(!std::isfinite(overflow.gradient_norm));
  BOOST_TEST(std::isfinite(overflow.loss));
  BOOST_TEST(overflow.loss_scale == std::ldexp(1.0, 60));
  BOOST_TEST(training.step.scaler().scale() == std::ldexp(1.0, 59));
  BOOST_TEST((training.weights() == before));
  training.step.scaler().set_state({.scale = 1024, .good_steps = 0});
  training.add(1);
  BOOST_TEST(std::isfinite(training.update().gradient_norm));
  BOOST_TEST((training.weights() != before));
  BOOST_TEST((Training<bfloat16>({}).step.scaler().scale() == 1.0));
}

BOOST_AUTO_TEST_CASE(buffers_are_what_they_were_before_a_step_that_fails) {
  Training<float> data({});
  Counting<Guess<float>> model;
  cria::nn::initialize(model, Rng(3));
  TrainStep step(model, data.batch, {.micro_batches = 2});
  AdamW<> optimizer(model, {});
  const auto calls = [&] { return model.calls.value().item(); };
  const auto train = [&] {
    for (const std::uint64_t seed : {1u, 2u}) step.add(data.batch_of(seed), Rng(seed));
    step.update(optimizer);
  };
  train();
  const float each = calls();
  BOOST_TEST(each >= 2.0f);  // a chunk or more of two micro-batches
  step.add(data.batch_of(3), Rng(3));
  BOOST_TEST(calls() > each);
  *model.model.calls_left = 0;
  BOOST_TEST(error_message<ShapeError>([&] { step.add(data.batch_of(4), Rng(4)); }).starts_with("as asked"));
  BOOST_TEST(calls() == each);
  train();
  BOOST_TEST(calls() == 2 * each);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_in_a_part_of_a_batch_says_which_that_is) {
  if (!on_cpu) return;  // a device computes all of it at once
  Training<float> training({.threads = 2});
  auto batch = training.batch_of(1);
  batch.targets[5 * length + 7] = 11;
  const std::string want =
      "linear_cross_entropy: target 11 at position 519 is not a class; it must be in [0, 11) or -100 to be "
      "ignored (of a part of the batch, its examples 4 to 5)";
  BOOST_TEST(error_message<ShapeError>([&] { training.step.add(batch, Rng(1)); }) == want);
  BOOST_TEST(error_message<ShapeError>([&] { training.step.loss(batch); }) == want);
}

/// An optimiser whose step fails.
struct Failing {
  void step(const GradientScaling&) { throw BackendError("as asked"); }
  double gradient_norm() const { return 0; }
};

/// The results and the weights of four steps of two micro-batches. If they fail, then before each one a step
/// fails in a chunk of its second micro-batch, and another one in its update.
std::pair<std::vector<double>, std::vector<double>> outcome(TrainStepOptions options, bool fail) {
  options.micro_batches = 2;
  Training<float16> training(options, 0.1f);
  std::vector<double> results;
  for (std::uint64_t seed = 0; seed < 8; seed += 2) {
    if (fail) {
      const auto before = training.weights();
      if (!options.replay || seed == 0) {  // later on a graph calls nothing that could fail
        training.add(100);
        *training.model.calls_left = on_cpu ? 2 : 0;  // chunks
        BOOST_TEST(error_message<ShapeError>([&] { training.add(101); }).starts_with("as asked"));
        BOOST_TEST(!training.has_gradients());
      }
      for (const std::uint64_t other : {100u, 101u}) training.add(other);
      Failing failing;
      BOOST_TEST(error_message<BackendError>([&] { training.step.update(failing); }) == "as asked");
      BOOST_TEST(!training.has_gradients());
      BOOST_TEST((training.weights() == before));
    }
    training.add(seed);
    training.add(seed + 1);
    const TrainStepResult result = training.update();
    results.insert(results.end(), {result.loss, result.gradient_norm, result.loss_scale});
  }
  return {results, training.weights()};
}

BOOST_AUTO_TEST_CASE(a_step_that_failed_leaves_no_trace) {
  for (const int threads : thread_counts) {
    BOOST_TEST((outcome({.threads = threads}, true) == outcome({.threads = threads}, false)));
  }
}

/// The results and the weights of nine steps; in the middle three the embedding is frozen.
std::pair<std::vector<double>, std::vector<double>> outcome_of_freezing(const TrainStepOptions& options) {
  Training<float> training(options);
  std::vector<double> results;
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    if (seed == 3) cria::nn::freeze(training.model.table);
    if (seed == 6) cria::nn::unfreeze(training.model.table);
    training.add(seed);
    BOOST_TEST(training.model.table.weight.has_grad() == (seed / 3 != 1));
    const TrainStepResult result = training.update();
    results.insert(results.end(), {result.loss, result.gradient_norm});
  }
  return {results, training.weights()};
}

BOOST_AUTO_TEST_CASE(parameters_may_be_frozen_between_steps) {
  const auto want = outcome_of_freezing({});
  BOOST_TEST(want.first[7] > 0.0);
  for (const int threads : thread_counts) {
    const auto got = outcome_of_freezing({.threads = threads});
    BOOST_TEST(difference(got.first, want.first) < 1e-4);
    BOOST_TEST(difference(got.second, want.second) < 1e-4);
  }
}

#ifdef CRIA_CUDA
/// The allocator caches while this lives, whatever the environment says: a graph needs that.
struct Caching {
  const bool before = cria::cuda::allocator().pass_through();
  Caching() { cria::cuda::allocator().set_pass_through(false); }
  ~Caching() { cria::cuda::allocator().set_pass_through(before); }
};

BOOST_FIXTURE_TEST_CASE(a_graph_computes_what_calls_do, Caching) {
  const auto called = outcome({}, false);
  BOOST_TEST((outcome({.replay = true}, false) == called));
  BOOST_TEST((outcome({.replay = true}, true) == called));
}

BOOST_FIXTURE_TEST_CASE(a_graph_is_captured_again_where_other_parameters_are_frozen, Caching) {
  BOOST_TEST((outcome_of_freezing({.replay = true}) == outcome_of_freezing({})));
}

BOOST_FIXTURE_TEST_CASE(a_graph_is_captured_again_where_the_loss_scale_has_changed, Caching) {
  // Nine steps, of which each three have a scale of their own: their results, and how often the model is
  // called.
  const auto run = [](const TrainStepOptions& options) {
    Training<float16> training(options);
    std::vector<double> results;
    for (int step = 0; step < 9; ++step) {
      if (step % 3 == 0) {
        training.step.scaler().set_state({.scale = std::ldexp(1.0, 6 + step), .good_steps = 0});
      }
      training.add(static_cast<std::uint64_t>(step));
      const TrainStepResult result = training.update();
      results.insert(results.end(), {result.loss, result.gradient_norm});
    }
    const auto weights = training.weights();
    results.insert(results.end(), weights.begin(), weights.end());
    return std::pair(results, -1 - *training.model.calls_left);
  };
  const auto [called, calls] = run({});
  const auto [replayed, captures] = run({.replay = true});
  BOOST_TEST((replayed == called));
  BOOST_TEST(calls == 9);
  BOOST_TEST(captures == 1 + 3);  // the first step is called, then each scale is captured
}
#endif

/// The mean square of the distance to a line.
struct Line {
  cria::nn::Linear<float> slope{2, 1};

  Tensor<float> loss(const Tensor<float>& x, const Tensor<float>& y) const {
    return mean(square(slope(x) - y));
  }

  static void visit(auto& self, auto&& field) { field("slope", self.slope); }
};

BOOST_AUTO_TEST_CASE(examples_may_be_numbers_of_any_shape) {
  Line model;
  AdamW<> optimizer(model, {.learning_rate = 0.1, .weight_decay = 0});
  Batch<float> batch({40, 2}, {40, 1});
  Rng rng(5);
  for (std::size_t i = 0; i < 40; ++i) {
    const float a = static_cast<float>(rng.uniform()), b = static_cast<float>(rng.uniform());
    batch.inputs[2 * i] = a;
    batch.inputs[2 * i + 1] = b;
    batch.targets[i] = 2 * a - b;
  }
  TrainStep step(model, batch, {.threads = thread_counts.back()});
  for (int i = 0; i < 200; ++i) {
    step.add(batch, Rng());
    step.update(optimizer);
  }
  BOOST_TEST(step.loss(batch) < 1e-3);
}

BOOST_AUTO_TEST_CASE(mistakes_get_a_sentence) {
  BOOST_TEST(
      error_message<ShapeError>([] {
        Batch<> batch({4, 2}, {3, 2});
      }) ==
      "Batch: inputs is [4, 2] and targets [3, 2]; both must begin with the same number of examples, at "
      "least 1");
  BOOST_TEST(
      error_message<ShapeError>([] {
        Batch<> batch({0, 2}, {0, 2});
      }) ==
      "Batch: inputs is [0, 2] and targets [0, 2]; both must begin with the same number of examples, at "
      "least 1");
  Training<float> training({.micro_batches = 2});
  const Batch<> other({8, 256}, {8, 256});
  const std::string own = to_string(Shape{8, length});
  const std::string sentence =
      "TrainStep: the batch is [8, 256] and [8, 256]; the step was made for " + own + " and " + own;
  BOOST_TEST(error_message<ShapeError>([&] { training.step.add(other, Rng()); }) == sentence);
  BOOST_TEST(error_message<ShapeError>([&] { training.step.loss(other); }) == sentence);
  Batch<> shorter({8, length}, {8, length});
  shorter.targets.pop_back();
  BOOST_TEST(error_message<ShapeError>([&] { training.step.add(shorter, Rng()); }) ==
             "TrainStep: the batch holds " + std::to_string(8 * length) + " inputs and " +
                 std::to_string(8 * length - 1) + " targets; its shapes are " + own + " and " + own);
  training.add(1);
  BOOST_TEST(error_message<ConfigError>([&] { training.update(); }) ==
             "TrainStep::update: 1 of 2 micro-batches were added");
  training.add(2);
  BOOST_TEST(error_message<ConfigError>([&] { training.add(3); }) ==
             "TrainStep::add: the step has all its 2 micro-batches; update comes next");
  training.update();
  BOOST_TEST(error_message<ConfigError>([] { Training<float>({.micro_batches = 0}); }) ==
             "TrainStep: micro_batches is 0; it must be at least 1");
  BOOST_TEST(error_message<ConfigError>([] { Training<float>({.max_norm = -1}); }) ==
             "TrainStep: max_norm is -1.000000; it must be 0 or more");
  BOOST_TEST(error_message<ConfigError>([] { Training<float>({.threads = 0}); }) ==
             "TrainStep: threads is 0; it must be at least 1");
  if (on_cpu) {
    BOOST_TEST(error_message<ConfigError>([] {
                 Training<float>({.threads = 4, .threads_per_replica = 3});
               }) == "TrainStep: threads_per_replica is 3; it must be a divisor of threads = 4");
  } else {
    BOOST_TEST(error_message<ConfigError>([] { Training<float>({.threads = 2}); }) ==
               "TrainStep: threads is 2; a device is driven by one thread");
  }
}

namespace {

/// Guesses as Guess does, by a matrix that is used once as it is and once transposed.
template <class T>
struct Tied {
  Parameter<T> weight{{vocabulary, vocabulary}};

  Tensor<acc_t<T>> loss(const Tensor<std::int32_t>& tokens, const Tensor<std::int32_t>& targets) const {
    const auto rows = cria::embedding(tokens, weight + weight);
    return cross_entropy(linear(rows, transpose(weight, 0, 1)), targets);
  }
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};

/// The weight after five steps of two micro-batches.
template <class T>
std::vector<double> trained_tied(const TrainStepOptions& options) {
  Batch<> batch({8, length}, {8, length});
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    batch.inputs[i] = static_cast<std::int32_t>(i * i % vocabulary);
    batch.targets[i] = static_cast<std::int32_t>(i % vocabulary);
  }
  Tied<T> model;
  cria::nn::initialize(model, Rng(5));
  AdamW optimizer(model, {.learning_rate = 0.05});
  TrainStep step(model, batch, options);
  for (std::uint64_t iteration = 0; iteration < 5; ++iteration) {
    step.add(batch, Rng(iteration));
    step.add(batch, Rng(iteration));
    step.update(optimizer);
  }
  return test::to_values(model.weight.value());
}

template <class T>
void check_tied() {
  const auto one_thread = trained_tied<T>({.micro_batches = 2});
  for (const int threads : thread_counts) {
    test::check_close("tied weights on threads", trained_tied<T>({.micro_batches = 2, .threads = threads}),
                      one_thread, 64 * test::epsilon<T>());
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(parameters_in_the_place_of_tensors_are_trained_on_every_thread) {
  check_tied<float>();
  check_tied<bfloat16>();
}

#ifdef CRIA_CUDA
BOOST_FIXTURE_TEST_CASE(a_graph_trains_parameters_in_the_place_of_tensors, Caching) {
  BOOST_TEST((trained_tied<bfloat16>({.micro_batches = 2, .replay = true}) ==
              trained_tied<bfloat16>({.micro_batches = 2})));
}
#endif

BOOST_AUTO_TEST_CASE(buffers_stay_as_the_first_replica_leaves_them) {
  for (const int threads : thread_counts) {
    Batch<> batch({8, length}, {8, length});
    Counting<Tied<float>> model;
    TrainStep step(model, batch, {.threads = threads});
    const auto own_calls = [&, chunks = (8 + step.chunk_size() - 1) / step.chunk_size()] {
      const std::int64_t shared = chunks_on_replicas(chunks, threads);
      return static_cast<float>(shared / threads + chunks - shared);
    }();
    model.calls.value().assign(std::vector<float>{100});  // as a file that is loaded
    step.add(batch, Rng(1));
    BOOST_TEST(model.calls.value().item() == 100 + own_calls);
    step.loss(batch);
    BOOST_TEST(model.calls.value().item() == 100 + 2 * own_calls);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
