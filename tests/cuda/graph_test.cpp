#include "cria/backend/cuda/graph.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/cria.hpp"
#include "support/error_message.hpp"
#include "support/memory.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(graph)

namespace {

using namespace cria;
using cria::cuda::Graph;
using test::error_message;

/// The process's allocator caches while this lives, whatever the environment says.
struct Caching {
  const bool before = cria::cuda::allocator().pass_through();
  Caching() { cria::cuda::allocator().set_pass_through(false); }
  ~Caching() { cria::cuda::allocator().set_pass_through(before); }
};

Tensor<float> ramp(std::int64_t size, float first) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(first + 0.25f * static_cast<float>(i));
  return Tensor<float>::from({size}, values);
}

/// The loss of a layer and its gradient.
void differentiate(const cria::nn::Linear<float>& layer, const Tensor<float>& x, Tensor<float>* loss) {
  const auto y = mean(square(layer(x)));
  backward(y, 2.0f);
  *loss = y.detach();
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_replay_reads_what_is_in_memory_then, Caching) {
  auto x = ramp(100, 0);
  Tensor<float> y;
  Graph graph;
  graph.capture([&] { y = square(x) + 1.0f; });
  for (const float first : {3.0f, -7.0f}) {
    x.assign(ramp(100, first).to_vector());
    graph.replay();
    BOOST_TEST((y.to_vector() == (square(ramp(100, first)) + 1.0f).to_vector()));
  }
}

BOOST_FIXTURE_TEST_CASE(gradients_of_replays_add_up_as_those_of_calls_do, Caching) {
  cria::nn::Linear<float> layer(6, 5);
  cria::nn::initialize(layer, Rng(3));
  auto x = Tensor<float>::from({2, 6}, std::vector<float>(12, 0.5f));
  const auto set = [&](int step) {
    std::vector<float> values;
    for (int i = 0; i < 12; ++i) values.push_back(0.1f * static_cast<float>(i - 3 * step));
    x.assign(values);
  };
  Tensor<float> loss;
  std::vector<float> losses, losses_of_replays;
  for (int step = 0; step < 4; ++step) {
    set(step);
    differentiate(layer, x, &loss);
    losses.push_back(loss.item());
  }
  const auto sum = layer.weight.grad().to_vector();

  layer.weight.clear_grad();
  set(0);
  differentiate(layer, x, &loss);
  losses_of_replays.push_back(loss.item());
  Graph graph;
  graph.capture([&] { differentiate(layer, x, &loss); });
  for (int step = 1; step < 4; ++step) {
    set(step);
    graph.replay();
    losses_of_replays.push_back(loss.item());
  }
  BOOST_TEST((losses_of_replays == losses));
  BOOST_TEST((layer.weight.grad().to_vector() == sum));
}

BOOST_FIXTURE_TEST_CASE(a_replay_drops_by_the_stream_that_is_in_memory_then, Caching) {
  const cria::nn::Dropout layer{0.3f};
  auto x = ramp(1000, 1).set_requires_grad();
  Tensor<float> y;
  const auto run = [&](const auto& rng) {
    const cria::nn::DropoutStream stream(rng);
    const auto dropped = layer(layer(x));
    x.clear_grad();
    backward(sum(dropped));
    y = dropped.detach();
  };
  const auto outcome = [&] { return std::pair(y.to_vector(), x.grad().to_vector()); };
  auto rng = Tensor<Rng>::from({}, {Rng(0)});
  run(Rng(0));
  const auto dropped_first = y.to_vector();
  Graph graph;
  graph.capture([&] { run(rng); });
  const auto memory = std::pair(y, x.grad());
  for (const std::uint64_t seed : {1u, 2u}) {
    run(Rng(seed));
    const auto want = outcome();
    BOOST_TEST((want.first != dropped_first));
    rng.assign(std::vector{Rng(seed)});
    graph.replay();
    BOOST_TEST((memory.first.to_vector() == want.first));
    BOOST_TEST((memory.second.to_vector() == want.second));
  }
}

BOOST_FIXTURE_TEST_CASE(memory_of_a_graph_is_used_by_nothing_else, Caching) {
  const auto x = ramp(5000, 1);
  Tensor<float> y;
  Graph graph;
  graph.capture([&] { y = square(square(x)) + square(x); });
  const auto want = (square(square(x)) + square(x)).to_vector();
  cria::cuda::allocator().release_cached();  // what the graph works in must survive it
  std::vector<Tensor<float>> others;
  for (int i = 0; i < 8; ++i) others.push_back(Tensor<float>::full({5000}, 42.0f));
  graph.replay();
  BOOST_TEST((y.to_vector() == want));
  for (const auto& other : others) BOOST_TEST((other.to_vector() == std::vector<float>(5000, 42.0f)));
}

BOOST_FIXTURE_TEST_CASE(an_exception_ends_the_capture_and_the_next_one_works, Caching) {
  const auto x = ramp(8, 1), shorter = ramp(3, 0);
  Tensor<float> y;
  Graph graph;
  BOOST_TEST(error_message<ShapeError>([&] { graph.capture([&] { y = x + shorter; }); }) != "");
  BOOST_TEST(!graph.is_captured());
  graph.capture([&] { y = x * x; });
  graph.replay();
  BOOST_TEST((y.to_vector() == square(x).to_vector()));
}

// A replay would read the host's memory again, which is others' by then.
BOOST_FIXTURE_TEST_CASE(copies_from_and_to_the_host_are_refused, Caching) {
  const auto x = ramp(8, 1);
  Tensor<float> y;
  Graph graph;
  const auto message = [&](auto work) { return error_message<BackendError>([&] { graph.capture(work); }); };
  const std::string from = message([&] { y = x + ramp(8, 0); }), to = message([&] { x.to_vector(); });
  for (const std::string& text : {from, to}) {
    BOOST_TEST(text.starts_with("cuda: a copy from or to the host at "), text);
    BOOST_TEST(text.ends_with(" cannot be captured in a graph; make it before the capture or after a replay"),
               text);
  }
  graph.capture([&] { y = x * x; });
  graph.replay();
  BOOST_TEST((y.to_vector() == square(x).to_vector()));
}

BOOST_AUTO_TEST_CASE(without_a_caching_allocator_there_is_no_graph) {
  const bool before = cria::cuda::allocator().pass_through();
  cria::cuda::allocator().set_pass_through(true);
  Graph graph;
  BOOST_TEST(error_message<BackendError>([&] { graph.capture([] {}); }) ==
             "cuda: a graph needs the caching allocator; unset CRIA_CUDA_PASS_THROUGH");
  cria::cuda::allocator().set_pass_through(before);
}

BOOST_FIXTURE_TEST_CASE(a_bad_token_in_a_replay_is_reported, Caching) {
  const Parameter<float> table = test::zeros({5, 4});
  auto tokens = Tensor<std::int32_t>::from({2}, {1, 2});
  embedding(tokens, table);
  Tensor<float> y;
  Graph graph;
  graph.capture([&] { y = embedding(tokens, table); });
  tokens.assign(std::vector<std::int32_t>{1, 9});
  graph.replay();
  BOOST_TEST(
      error_message<ShapeError>([] { Cuda::synchronize(); }).starts_with("embedding: token 9 at position 1"));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
