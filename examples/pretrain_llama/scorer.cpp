#include "scorer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>

#include "cuda_part.hpp"
#include "progress.hpp"
#include "scorer_on.hpp"

namespace pretrain {

namespace {
/// Tokens of a batch, unless a single passage has more.
constexpr std::int64_t most_tokens = 4096;
}  // namespace

std::unique_ptr<Scorer> scorer(const ModelFolder& folder, const std::string& device) {
  if (device == "cpu") return scorer_on<cria::Cpu>(folder);
  cuda_part()->use_device(0, 1);
  return cuda_part()->scorer(folder);
}

std::vector<double> nats_in_batches(const Scorer& scorer, std::span<const Passage> passages) {
  std::vector<std::size_t> order(passages.size());  // from long to short
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t i) { return std::ssize(passages[i].tokens); };
  std::ranges::stable_sort(order, std::greater(), length);
  std::int64_t all = 0, done = 0;
  for (const Passage& passage : passages) all += std::ssize(passage.tokens);
  Progress progress("evaluating", all, " tokens");
  std::vector<double> nats(passages.size());
  for (std::size_t first = 0; first < order.size();) {
    const auto fit = static_cast<std::size_t>(std::max<std::int64_t>(1, most_tokens / length(order[first])));
    const std::span<const std::size_t> batch =
        std::span(order).subspan(first, std::min(fit, order.size() - first));
    std::vector<Passage> together;
    for (const std::size_t i : batch) together.push_back(passages[i]);
    const std::vector<double> of_batch = scorer.nats(together);
    for (std::size_t i = 0; i < batch.size(); ++i) nats[batch[i]] = of_batch[i];
    for (const Passage& passage : together) done += std::ssize(passage.tokens);
    if (!std::ranges::all_of(of_batch, [](double each) { return std::isfinite(each); })) {
      throw std::runtime_error(
          "the model gives scores that are no finite numbers, as one that has diverged does");
    }
    progress.update(done);
    first += batch.size();
  }
  return nats;
}

}  // namespace pretrain
