#pragma once
/// A small training run that processes share, and all of its bits.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "cria/cria.hpp"

namespace cria::test {

constexpr std::int64_t vocabulary = 11, length = 512;  // of sequences, of which two are a chunk

/// Guesses the next token from this one alone.
template <class T, class B = Cpu>
struct Guess {
  nn::Embedding<T, B> table{vocabulary, 6};
  nn::Linear<T, B> hidden{6, 5, {.bias = true}};
  nn::Dropout dropout{0.1f};
  nn::Linear<T, B> out{5, vocabulary};

  auto loss(const Tensor<std::int32_t, B>& tokens, const Tensor<std::int32_t, B>& targets) const {
    return linear_cross_entropy(dropout(tanh(hidden(table(tokens)))), out.weight, targets);
  }
  static void visit(auto& self, auto&& field) {
    field("table", self.table);
    field("hidden", self.hidden);
    field("out", self.out);
  }
};

/// How processes train together.
struct Together {
  bool with_owners = false;  // each has an optimiser of its own parameters
  bool bfloat16_exchange = false;
  bool by_muon = false;
};

/// Losses, norms and weights of three steps on eight sequences, of which each process has its part; in some
/// of which targets are ignored.
template <class T>
std::string train_on_processes(Communicator* processes, int threads, const Together& together = {}) {
  const std::int64_t size = processes ? processes->size() : 1, rank = processes ? processes->rank() : 0;
  Guess<T> model;
  nn::initialize(model, Rng(3));
  std::optional<ParameterOwners> owners;
  if (together.with_owners) owners.emplace(*processes, model);
  const auto optimizer_of = [&](auto trained) -> std::unique_ptr<Optimizer<Cpu>> {
    if (together.by_muon) return std::make_unique<Muon<Cpu>>(trained, MuonOptions{.learning_rate = 0.05});
    return std::make_unique<AdamW<Cpu>>(trained, AdamWOptions{.learning_rate = 0.05});
  };
  const auto optimizer = owners ? optimizer_of(owners->parameters_of(model)) : optimizer_of(model);
  Batch<> part({8 / size, length}, {8 / size, length});
  TrainStep<Guess<T>, Cpu> step(model, part,
                                {.max_norm = 0.1,
                                 .threads = threads,
                                 .reproducible = true,
                                 .processes = processes,
                                 .owners = owners ? &*owners : nullptr,
                                 .bfloat16_exchange = together.bfloat16_exchange});
  std::ostringstream text;
  text << std::hexfloat;
  for (std::uint64_t iteration = 0; iteration < 3; ++iteration) {
    Rng rng(iteration);
    for (std::int64_t i = 0; i < 8 * length; ++i) {
      const auto token = static_cast<std::int32_t>(rng.below(vocabulary));
      const std::int64_t here = i - rank * (8 / size) * length;
      if (here < 0 || here >= 8 / size * length) continue;
      part.inputs[static_cast<std::size_t>(here)] = token;
      part.targets[static_cast<std::size_t>(here)] =
          i % 7 == 0 || i < 900 ? ignored_target : (3 * token + 1) % static_cast<std::int32_t>(vocabulary);
    }
    step.add(part, Rng(iteration));
    const TrainStepResult result = step.update(*optimizer);
    text << result.loss << ' ' << result.gradient_norm << '\n';
  }
  nn::for_each_parameter(model, [&](const std::string& name, const auto& parameter) {
    text << name;
    for (const T value : parameter.value().to_vector()) text << ' ' << static_cast<acc_t<T>>(value);
    text << '\n';
  });
  return text.str();
}

}  // namespace cria::test
