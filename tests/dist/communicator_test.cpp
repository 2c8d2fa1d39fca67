// Processes that train together, with threads in their place.

#include "cria/dist/communicator.hpp"

#include <barrier>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "dist/training.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(dist)
BOOST_AUTO_TEST_SUITE(communicator)

namespace {

using namespace cria;

/// Threads that stand for processes.
class Together {
 public:
  explicit Together(int size) : sent_(static_cast<std::size_t>(size)), meeting_(size) {}

  class Process final : public Communicator {
   public:
    Process(Together& all, int rank) : all_(all), rank_(rank) {}
    int size() const override { return static_cast<int>(all_.sent_.size()); }
    int rank() const override { return rank_; }
    void exchange(int partner, const void* send, void* receive, std::size_t bytes) override {
      all_.sent_[static_cast<std::size_t>(rank_)] = send;
      all_.meeting_.arrive_and_wait();
      std::memcpy(receive, all_.sent_[static_cast<std::size_t>(partner)], bytes);
      all_.meeting_.arrive_and_wait();
    }
    [[noreturn]] void abort() override { std::abort(); }

   private:
    Together& all_;
    int rank_;
  };

 private:
  std::vector<const void*> sent_;
  std::barrier<> meeting_;
};

/// What body(process) gives on each of so many processes.
template <class F>
auto on_processes(int size, F body) {
  Together all(size);
  std::vector<decltype(body(std::declval<Communicator&>()))> results(static_cast<std::size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        Together::Process process(all, rank);
        results[static_cast<std::size_t>(rank)] = body(process);
      });
    }
  }
  return results;
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_have_the_numbers_of_all_in_their_order) {
  for (const int size : {1, 2, 4, 8}) {
    const auto all = on_processes(size, [](Communicator& processes) {
      const double rank = processes.rank();
      return all_gather(processes, {rank, 10 * rank, 0.5});
    });
    std::vector<double> want;
    for (int rank = 0; rank < size; ++rank) want.insert(want.end(), {1.0 * rank, 10.0 * rank, 0.5});
    for (const auto& got : all) BOOST_TEST(got == want, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_summed_up_as_a_tree_of_processes_does) {
  const std::vector<float> values{1.0f, 1e8f, -1e8f, 3.0f};
  const auto sums = on_processes(4, [&](Communicator& processes) {
    nn::Linear<float, Cpu> model(1, 1);
    model.weight.set_grad(
        Tensor<float, Cpu>::full({1, 1}, values[static_cast<std::size_t>(processes.rank())]));
    sum_gradients(processes, model);
    return model.weight.grad().item();
  });
  for (const float sum : sums) BOOST_TEST(sum == (1.0f + 1e8f) + (-1e8f + 3.0f));
}

BOOST_AUTO_TEST_CASE(a_reproducible_run_has_the_same_bits_on_any_processes_and_threads) {
  const auto check = []<class T>(T) {
    const std::string want = test::train_on_processes<T>(nullptr, 1);
    for (const int size : {1, 2, 4}) {
      for (const int threads : {1, 2}) {
        const auto all = on_processes(
            size, [&](Communicator& processes) { return test::train_on_processes<T>(&processes, threads); });
        for (const std::string& got : all) {
          BOOST_TEST(got == want, dtype_name<T> << " on " << size << " processes of " << threads);
        }
      }
    }
  };
  check(float());
  check(bfloat16());
  check(float16());
}

BOOST_AUTO_TEST_CASE(processes_that_make_no_tree_are_refused) {
  BOOST_TEST(test::error_message<ConfigError>([] { cria::detail::check_processes(6); }) ==
             "there are 6 processes; their number must be a power of two: 1, 2, 4, 8, ...");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
