// GPUs that train together, under emulation: nccl_program TEST, started by mpirun. Each process has a device of
// its own.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/dist/mpi.hpp"
#include "cria/dist/nccl.hpp"
#include "dist/training.hpp"

namespace {

using namespace cria;

constexpr std::int64_t sequences = 4, sequence_length = 32;  // of a step

struct How {
  bool with_owners = false, bfloat16_exchange = false, replay = false;
};

void fail(const std::string& what) {
  throw std::runtime_error(what);
}

/// Losses, norms and weights of three steps in `parts` parts, of which a process has one, and one alone all.
template <class T>
std::vector<double> train(Communicator* processes, int parts, const How& how) {
  test::Guess<T, Cuda> model;
  nn::initialize(model, Rng(3));
  std::optional<ParameterOwners> owners;
  if (how.with_owners) owners.emplace(*processes, model);
  const auto trained = owners ? owners->parameters_of(model) : OwnParameters<test::Guess<T, Cuda>>{model};
  AdamW<Cuda> optimizer(trained, {.learning_rate = 0.02});
  Batch<> part({sequences / parts, sequence_length}, {sequences / parts, sequence_length});
  TrainStep<test::Guess<T, Cuda>, Cuda> step(model, part,
                                             {.micro_batches = processes ? 1 : parts,
                                              .max_norm = 0.1,
                                              .replay = how.replay,
                                              .processes = processes,
                                              .owners = owners ? &*owners : nullptr,
                                              .bfloat16_exchange = how.bfloat16_exchange});
  std::vector<double> numbers;
  for (std::uint64_t iteration = 0; iteration < 3; ++iteration) {
    Rng rng(iteration);
    for (int place = 0; place < parts; ++place) {
      for (std::size_t i = 0; i < part.inputs.size(); ++i) {
        const auto token = static_cast<std::int32_t>(rng.below(test::vocabulary));
        part.inputs[i] = token;
        part.targets[i] = i % 7 == 0 || (place == 0 && i < 20)
                              ? ignored_target
                              : (3 * token + 1) % static_cast<std::int32_t>(test::vocabulary);
      }
      if (!processes || place == processes->rank()) step.add(part, Rng(iteration));
    }
    const TrainStepResult result = step.update(optimizer);
    numbers.insert(numbers.end(), {result.loss, result.gradient_norm});
  }
  nn::for_each_parameter(model, [&](const std::string&, const auto& parameter) {
    for (const T value : parameter.value().to_vector()) numbers.push_back(static_cast<double>(value));
  });
  return numbers;
}

/// All processes have the same bits, and nearly those of one alone, which adds up in another order.
template <class T>
void check_training(Communicator& processes, const std::vector<std::pair<How, double>>& ways) {
  std::vector<double> alone;
  if (processes.rank() == 0) alone = train<T>(nullptr, processes.size(), {});
  for (const auto& [how, tolerance] : ways) {
    const std::vector<double> own = train<T>(&processes, processes.size(), how),
                              all = all_gather(processes, own);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] != own[i % own.size()]) fail("the processes have different bits");
    }
    if (processes.rank() != 0) continue;
    double worst = 0;
    for (std::size_t i = 0; i < own.size(); ++i) worst = std::max(worst, std::abs(own[i] - alone[i]));
    std::printf("%s: numbers differ by %.2g\n", std::string(dtype_name<T>).c_str(), worst);
    if (!(worst <= tolerance))
      fail("numbers differ by " + std::to_string(worst) + " from those of one alone");
  }
}

void train_all(Communicator& processes) {
  check_training<float>(processes, {{{}, 1e-5},
                                    {{.replay = true}, 1e-5},
                                    {{.with_owners = true, .replay = true}, 1e-5},
                                    {{.bfloat16_exchange = true}, 1e-3},
                                    {{.with_owners = true, .bfloat16_exchange = true}, 1e-3}});
  check_training<bfloat16>(processes, {{{.with_owners = true}, 1e-2}});
  check_training<double>(processes, {{{.with_owners = true}, 1e-12}});
}

/// One process ends by an exception, and those that wait for it learn of it.
void leave_others(Communicator& processes) {
  try {
    Nccl gpus(processes);
    if (processes.rank() == 1) throw std::runtime_error("this process ends");
    auto x = Tensor<float, Cuda>::full({3}, 1.0f);
    gpus.all_reduce(x.mutable_vec());
    x.to_vector();
    fail("the sum of all has come without one of them");
  } catch (const BackendError& error) {
    std::printf("process %d has learned of it: %s\n", processes.rank(), error.what());
  } catch (const std::runtime_error&) {
    if (processes.rank() != 1) throw;
  }
}

/// One process sums up more numbers than the others.
void disagree(Communicator& processes) {
  Nccl gpus(processes);
  auto x = Tensor<float, Cuda>::full({3 + processes.rank()}, 1.0f);
  gpus.all_reduce(x.mutable_vec());
  x.to_vector();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Mpi processes;
    const std::string_view test = argc > 1 ? argv[1] : "";
    cuda::use_device(test == "one_device" ? 0 : processes.rank());
    if (test == "train") train_all(processes);
    if (test == "leave_others") leave_others(processes);
    if (test == "disagree") disagree(processes);
    if (test == "one_device") Nccl{processes};
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
