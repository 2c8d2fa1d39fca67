#include "cria/train/data_parallel.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/llama_golden.hpp"
#include "support/threads.hpp"

BOOST_AUTO_TEST_SUITE(train)
BOOST_AUTO_TEST_SUITE(data_parallel)

namespace {

using namespace cria;

/// Sum of losses and the flattened gradient of six chunks, computed on `replicas` replicas.
template <class T>
std::pair<double, std::vector<acc_t<T>>> chunks_on(int replicas, int threads_per_replica = 1) {
  const auto golden = test::golden_json("tied_kv2.json");
  auto model = test::golden_model<T>(golden);
  DataParallel parallel(model, replicas, threads_per_replica);
  const double loss = parallel.run(6, [&](auto& own, std::int64_t chunk) {
    const auto batch = test::golden_batch(golden, static_cast<int>(chunk));
    const auto chunk_loss = own.loss(batch.inputs, batch.targets);
    backward(chunk_loss);
    return static_cast<double>(chunk_loss.item());
  });
  parallel.reduce_gradients();
  std::vector<acc_t<T>> gradient;
  cria::nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
    const auto values = parameter.grad().to_vector();
    gradient.insert(gradient.end(), values.begin(), values.end());
  });
  return {loss, gradient};
}

}  // namespace

BOOST_AUTO_TEST_CASE(threads_change_nothing_but_the_order_of_sums) {
  const auto [loss, gradient] = chunks_on<double>(1);
  for (const int threads : {2, 3, 8}) {
    const auto [other_loss, other] = chunks_on<double>(threads);
    BOOST_TEST(other_loss == loss, boost::test_tools::tolerance(1e-14));
    double worst = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i)
      worst = std::max(worst, std::abs(gradient[i] - other[i]));
    BOOST_TEST(worst < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(the_same_threads_give_the_same_bits) {
  BOOST_TEST((chunks_on<float>(2) == chunks_on<float>(2)));
  BOOST_TEST((chunks_on<bfloat16>(2) == chunks_on<bfloat16>(2)));
}

BOOST_AUTO_TEST_CASE(groups_of_threads_give_the_same_bits_as_single_ones) {
  for (const int replicas : {1, 2, 3}) {
    BOOST_TEST((chunks_on<float>(replicas, 2) == chunks_on<float>(replicas)));
    BOOST_TEST((chunks_on<bfloat16>(replicas, 3) == chunks_on<bfloat16>(replicas)));
  }
}

namespace {

/// The gradient of leaves added in parts of the given sizes on so many replicas, summed up along a tree.
template <class T>
std::vector<acc_t<T>> sum_of_leaves(const std::vector<std::int64_t>& parts, int replicas,
                                    int threads_per_replica = 1) {
  cria::nn::Linear<T> model(3, 5);
  cria::nn::initialize(model, Rng(1));
  DataParallel parallel(model, replicas, threads_per_replica);
  for (int step = 0; step < 2; ++step) {  // the second one begins anew
    cria::nn::zero_grad(model);
    std::int64_t first = 0;
    for (const std::int64_t part : parts) {
      parallel.for_each_leaf(part, [&](auto& own, std::int64_t chunk) {
        Rng rng = Rng(2).split(static_cast<std::uint64_t>(first + chunk));
        backward(sum(square(own(randn<T>({4, 3}, rng)))));
      });
      first += part;
    }
    parallel.reduce_gradients();
  }
  return model.weight.grad().to_vector();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_sum_of_leaves_has_the_same_bits_on_any_replicas_and_in_any_parts) {
  const auto check = []<class T>(T) {
    for (const std::int64_t leaves : {1, 2, 7, 8, 13, 32}) {
      const auto want = sum_of_leaves<T>({leaves}, 1);
      for (const int replicas : {2, 3, 4, 5, 8}) BOOST_TEST((sum_of_leaves<T>({leaves}, replicas) == want));
      BOOST_TEST((sum_of_leaves<T>({leaves}, 2, 2) == want));
      if (leaves < 7) continue;
      for (const int replicas : {1, 2, 3}) {
        BOOST_TEST((sum_of_leaves<T>({4, leaves - 4}, replicas) == want));
        BOOST_TEST((sum_of_leaves<T>({1, 2, leaves - 5, 2}, replicas) == want));
      }
    }
  };
  check(float());
  check(bfloat16());
}

namespace {
struct Single {
  Parameter<float> weight{Shape{1}};
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }
};
}  // namespace

// The leaves' gradients are added up in pairs, pairs of pairs and so on.
BOOST_AUTO_TEST_CASE(a_sum_of_leaves_follows_a_binary_tree) {
  Single model;
  DataParallel parallel(model, 2);
  const std::vector<float> leaves{1.0f, 1e8f, -1e8f, 3.0f, 0.25f, 5.0f, 7.0f};
  parallel.for_each_leaf(7, [&](auto& own, std::int64_t leaf) {
    backward(sum(own.weight * leaves[static_cast<std::size_t>(leaf)]));
  });
  parallel.reduce_gradients();
  const float left = (1.0f + 1e8f) + (-1e8f + 3.0f), right = (0.25f + 5.0f) + 7.0f;
  BOOST_TEST(model.weight.grad().item() == left + right);
}

BOOST_AUTO_TEST_CASE(kernels_of_a_group_get_its_threads) {
  const int threads = std::min(3, omp_get_thread_limit());
  auto model = cria::nn::Linear<float>(2, 2);
  DataParallel parallel(model, 2, 3);
  std::vector<int> available(4), counted(4);  // of each chunk: as kernels are told, and as they get
  parallel.for_each_chunk(4, [&](auto&, std::int64_t chunk) {
    const auto i = static_cast<std::size_t>(chunk);
    available[i] = available_threads();
    std::atomic<int> bodies = 0;
    cpu::parallel_for(300, 1,
                      [&](std::int64_t begin, std::int64_t end) { bodies += end - begin <= 300 / threads; });
    counted[i] = bodies;
  });
  for (std::size_t chunk = 0; chunk < 4; ++chunk) {
    if (chunk < 2 && omp_in_parallel()) continue;  // on this thread, which is in a region
    BOOST_TEST(available[chunk] == threads);
    BOOST_TEST(counted[chunk] == threads);
  }
}

BOOST_AUTO_TEST_CASE(chunks_too_few_for_the_threads_get_all_threads_one_by_one) {
  // As many of the threads that the test asks for as this process may have.
  const auto possible = [](std::vector<int> threads) {
    const int limit = omp_in_parallel() ? 1 : omp_get_thread_limit();
    for (int& count : threads) count = std::min(count, limit);
    return threads;
  };
  const auto threads_of_chunks = [](std::int64_t chunks, int all) {
    auto model = cria::nn::Linear<float>(2, 2);
    DataParallel parallel(model, all);
    return test::on_threads(all, [&] {
      std::vector<int> threads(static_cast<std::size_t>(chunks));  // that a kernel of the chunk would get
      parallel.for_each_chunk(chunks, [&](auto&, std::int64_t chunk) {
        threads[static_cast<std::size_t>(chunk)] += available_threads();
      });
      return threads;
    });
  };
  BOOST_TEST(threads_of_chunks(1, 2) == possible({2}), boost::test_tools::per_element());
  BOOST_TEST(threads_of_chunks(4, 2) == possible({1, 1, 1, 1}), boost::test_tools::per_element());
  BOOST_TEST(threads_of_chunks(5, 2) == possible({1, 1, 1, 1, 2}), boost::test_tools::per_element());
  BOOST_TEST(threads_of_chunks(2, 4) == possible({4, 4}), boost::test_tools::per_element());
  BOOST_TEST(threads_of_chunks(3, 4) == possible({1, 1, 1}), boost::test_tools::per_element());
  BOOST_TEST(threads_of_chunks(3, 1) == possible({1, 1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_exception_of_a_thread_comes_out) {
  auto model = cria::nn::Linear<float>(2, 2);
  DataParallel parallel(model, 2);
  BOOST_TEST(test::error_message<ShapeError>([&] {
               parallel.run(4, [](auto&, std::int64_t chunk) -> double {
                 if (chunk == 3) throw ShapeError("chunk 3");
                 return 0;
               });
             }) == "chunk 3");
}

/// The gradient of four chunks, the last of which fails in the first of two tries.
std::vector<float> gradient_after_a_failure(int replicas, bool fails, int threads_per_replica = 1) {
  cria::nn::Linear<float> model(2, 2);
  cria::nn::initialize(model, Rng(1));
  DataParallel parallel(model, replicas, threads_per_replica);
  const auto step = [&](std::int64_t failing) {
    parallel.for_each_chunk(4, [&](auto& own, std::int64_t chunk) {
      if (chunk == failing) throw ShapeError("chunk 3");
      backward(sum(square(own(Tensor<float>::full({1, 2}, 0.1f * static_cast<float>(chunk + 1))))));
    });
  };
  if (fails) BOOST_CHECK_THROW(step(3), ShapeError);
  step(-1);
  parallel.reduce_gradients();
  return model.weight.grad().to_vector();
}

BOOST_AUTO_TEST_CASE(after_an_exception_the_step_can_be_repeated) {
  for (const int replicas : {1, 2, 3}) {
    for (const int threads : {1, 2}) {
      BOOST_TEST((gradient_after_a_failure(replicas, true, threads) ==
                  gradient_after_a_failure(replicas, false, threads)));
    }
  }
}

// Also one that is frozen after the replicas were made.
BOOST_AUTO_TEST_CASE(frozen_parameters_get_no_gradient_on_any_thread) {
  const auto gradient = [](int threads, bool first_is_frozen) {
    cria::nn::Sequential model{cria::nn::Linear<float>(2, 3), cria::nn::Linear<float>(3, 2)};
    cria::nn::initialize(model, Rng(1));
    DataParallel parallel(model, threads);
    auto& [first, second] = model.modules;
    if (first_is_frozen) cria::nn::freeze(first);
    std::atomic<int> wrong = 0;
    parallel.for_each_chunk(6, [&](auto& own, std::int64_t chunk) {
      backward(sum(square(own(Tensor<float>::full({1, 2}, 0.1f * static_cast<float>(chunk + 1))))));
      if (std::get<0>(own.modules).weight.has_grad() == first_is_frozen) ++wrong;
    });
    BOOST_TEST(wrong == 0);
    parallel.reduce_gradients();
    BOOST_TEST(first.weight.has_grad() == !first_is_frozen);
    return second.weight.grad().to_vector();
  };
  for (const int threads : {1, 2, 3}) BOOST_TEST((gradient(threads, true) == gradient(threads, false)));
}

namespace {
struct Counter {
  Buffer<float> calls{{1}};
  static void visit(auto& self, auto&& field) { field("calls", self.calls); }
};
}  // namespace

BOOST_AUTO_TEST_CASE(buffers_of_replicas_start_with_what_the_model_has) {
  Counter model;
  DataParallel parallel(model, 2);
  model.calls.value().assign(std::vector<float>{100});  // as a file that is loaded
  for (const float start : {100.0f, 102.0f}) {
    std::vector<float> found(4);
    parallel.for_each_chunk(4, [&](auto& own, std::int64_t chunk) {
      float& calls = found[static_cast<std::size_t>(chunk)];
      calls = own.calls.value().item();
      own.calls.value().assign(std::vector<float>{calls + 1});
    });
    BOOST_TEST((found == std::vector<float>{start, start + 1, start, start + 1}));
  }
  BOOST_TEST(model.calls.value().item() == 104.0f);
}

BOOST_AUTO_TEST_CASE(a_training_step_in_steady_state_asks_the_system_for_nothing) {
  const auto golden = test::golden_json("tied_kv2.json");
  auto model = test::golden_model<float>(golden);
  AdamW optimizer(model, {.learning_rate = 1e-3});
  DataParallel parallel(model, 2);
  const auto step = [&] {
    parallel.run(4, [&](auto& own, std::int64_t chunk) {
      const auto batch = test::golden_batch(golden, static_cast<int>(chunk));
      const auto loss = own.loss(batch.inputs, batch.targets);
      backward(loss);
      return static_cast<double>(loss.item());
    });
    parallel.reduce_gradients();
    optimizer.step({.max_norm = 1.0});
  };
  // How chunks overlap in time differs from step to step, so it takes a few until the most that is held at
  // once is cached.
  for (int i = 0; i < 50; ++i) step();
  std::size_t least = 100;
  for (int i = 0; i < 20; ++i) {
    const auto before = cpu::allocator().statistics().system_allocations;
    step();
    least = std::min(least, cpu::allocator().statistics().system_allocations - before);
  }
  BOOST_TEST(least == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
