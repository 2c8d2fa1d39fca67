// Processes that train together, with threads in their place.

#include "cria/dist/communicator.hpp"

#include <algorithm>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdlib>
#include <span>
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
class Threads {
 public:
  explicit Threads(int size) : sent_(static_cast<std::size_t>(size)), meeting_(size) {}

  class Process final : public Communicator {
   public:
    Process(Threads& all, int rank) : all_(all), rank_(rank) {}
    int size() const override { return static_cast<int>(all_.sent_.size()); }
    int rank() const override { return rank_; }
    void exchange(int partner, std::span<const std::byte> send, std::span<std::byte> receive) override {
      all_.sent_[static_cast<std::size_t>(rank_)] = send;
      all_.meeting_.arrive_and_wait();
      const auto sent = all_.sent_[static_cast<std::size_t>(partner)];
      if (sent.size() != receive.size()) std::abort();  // the others would wait for ever
      std::ranges::copy(sent, receive.begin());
      all_.meeting_.arrive_and_wait();
    }
    [[noreturn]] void abort() override { std::abort(); }

   private:
    Threads& all_;
    int rank_;
  };

 private:
  std::vector<std::span<const std::byte>> sent_;
  std::barrier<> meeting_;
};

/// What body(process) gives on each of so many processes.
template <class F>
auto on_processes(int size, F body) {
  Threads all(size);
  std::vector<decltype(body(std::declval<Communicator&>()))> results(static_cast<std::size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        Threads::Process process(all, rank);
        results[static_cast<std::size_t>(rank)] = body(process);
      });
    }
  }
  return results;
}

struct Four {
  nn::Linear<float, Cpu> small{3, 5}, large{40, 50}, middle{30, 40}, other{25, 30};
  static void visit(auto& self, auto&& field) {
    field("small", self.small);
    field("large", self.large);
    field("middle", self.middle);
    field("other", self.other);
  }
};

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
  const float tree = (1.0f + 1e8f) + (-1e8f + 3.0f);
  const auto sums = on_processes(4, [&](Communicator& processes) {
    nn::Linear<float, Cpu> model(1, 1, {.bias = true});
    const ParameterOwners owners(processes, model);
    const float value = values[static_cast<std::size_t>(processes.rank())];
    std::vector<float> got;
    const auto set = [&] {
      model.weight.set_grad(Tensor<float, Cpu>::full({1, 1}, value));
      model.bias->set_grad(Tensor<float, Cpu>::full({1}, 2 * value));
    };
    set();
    sum_gradients(owners, model);
    got.push_back(model.weight.grad().item());
    got.push_back(model.bias->grad().item());
    set();
    sum_own_gradients(owners, model);
    got.push_back(model.weight.has_grad() ? model.weight.grad().item() : 0);
    got.push_back(model.bias->has_grad() ? model.bias->grad().item() : 0);
    return got;
  });
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const std::vector<float> want{tree, 2 * tree, rank == 0 ? tree : 0, rank == 1 ? 2 * tree : 0};
    BOOST_TEST(sums[rank] == want, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(sums_that_travel_as_bfloat16_are_the_same_everywhere) {
  const auto sums = on_processes(4, [](Communicator& processes) {
    nn::Linear<float, Cpu> model(3, 1);
    const ParameterOwners owners(processes, model);
    model.weight.set_grad(Tensor<float, Cpu>::full({1, 3}, 1.01f + static_cast<float>(processes.rank())));
    sum_gradients<bfloat16>(owners, model);
    return model.weight.grad().to_vector();
  });
  for (const auto& got : sums) {
    BOOST_TEST(got == sums[0], boost::test_tools::per_element());
    BOOST_TEST(got[0] == 10.04f, boost::test_tools::tolerance(0.01f));
    BOOST_TEST(got[0] == static_cast<float>(bfloat16(got[0])));
  }
}

BOOST_AUTO_TEST_CASE(shares_of_owners_are_even) {
  const auto owners_of = [](Communicator& processes) {
    const Four model;
    const ParameterOwners owners(processes, model);
    std::vector<int> ranks;
    for (const char* name : {"small", "large", "middle", "other"}) {
      ranks.push_back(owners.owner(std::string(name) + ".weight"));
    }
    return ranks;
  };
  const std::vector<int> want{1, 0, 1, 1};  // 2000 on one side, 1200 + 750 + 15 on the other
  for (const auto& got : on_processes(2, owners_of))
    BOOST_TEST(got == want, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_reproducible_run_has_the_same_bits_on_any_processes_and_threads) {
  const auto check = []<class T>(T) {
    const std::string want = test::train_on_processes<T>(nullptr, 1);
    for (const int size : {1, 2, 4}) {
      for (const int threads : {1, 2}) {
        for (const bool with_owners : {false, true}) {
          const auto all = on_processes(size, [&](Communicator& processes) {
            return test::train_on_processes<T>(&processes, threads, {.with_owners = with_owners});
          });
          for (const std::string& got : all) {
            BOOST_TEST(got == want, dtype_name<T> << " on " << size << " processes of " << threads
                                                  << (with_owners ? ", each with its own parameters" : ""));
          }
        }
      }
    }
  };
  check(float());
  check(bfloat16());
  check(float16());
}

BOOST_AUTO_TEST_CASE(an_optimiser_that_looks_at_whole_matrices_can_be_shared) {
  const auto by_muon = [](Communicator* processes, bool with_owners) {
    return test::train_on_processes<float>(processes, 1, {.with_owners = with_owners, .by_muon = true});
  };
  const std::string want = by_muon(nullptr, false);
  for (const auto& got :
       on_processes(2, [&](Communicator& processes) { return by_muon(&processes, true); })) {
    BOOST_TEST(got == want);
  }
}

BOOST_AUTO_TEST_CASE(an_exchange_in_bfloat16_trains_alike_on_all_processes) {
  const auto all = on_processes(4, [](Communicator& processes) {
    return test::train_on_processes<float>(&processes, 1, {.with_owners = true, .bfloat16_exchange = true});
  });
  for (const std::string& got : all) BOOST_TEST(got == all[0]);
  BOOST_TEST(all[0] != test::train_on_processes<float>(nullptr, 1));
}

BOOST_AUTO_TEST_CASE(owners_without_parameters_are_refused) {
  const auto messages = on_processes(4, [](Communicator& processes) {
    nn::Linear<float, Cpu> model(2, 2, {.bias = true});
    const ParameterOwners owners(processes, model);
    return test::error_message<ConfigError>([&] { owners.parameters_of(model); });
  });
  for (const auto& message : messages) {
    BOOST_TEST(message ==
               "the model has 2 parameters that are trained, which 4 processes cannot share; each "
               "needs one at least");
  }
}

BOOST_AUTO_TEST_CASE(processes_that_make_no_tree_are_refused) {
  BOOST_TEST(test::error_message<ConfigError>([] { cria::detail::check_processes(6); }) ==
             "there are 6 processes; their number must be a power of two: 1, 2, 4, 8, ...");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
