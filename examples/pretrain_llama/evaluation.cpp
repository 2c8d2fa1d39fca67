#include "evaluation.hpp"

#include <numeric>
#include <vector>

#include "processes.hpp"
#include "progress.hpp"

namespace pretrain {

std::optional<Evaluation> evaluate(TrainingStep& step, const Corpus& corpus, const TrainOptions& options,
                                   TokenBatch& batch, const StopSignal& stop) {
  const auto mean_loss = [&](const Corpus::Shards& shards, const char* label) -> std::optional<double> {
    cria::io::TokenStream stream(shards, options.max_seq_len, cria::Rng(42));
    Progress progress(label, options.eval_iters);
    std::vector<double> losses;
    for (std::int64_t i = 0; i < options.eval_iters; ++i) {
      if (any_of(options.processes, stop.requested())) return {};
      for (std::int64_t part = 0; part < options.process_count(); ++part) {
        stream.next(batch.size(), batch.inputs, batch.targets);
        if (part == options.rank()) losses.push_back(step.loss(batch));
      }
      progress.update(i + 1);
    }
    if (options.processes) losses = cria::all_gather(*options.processes, losses);
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  };
  const auto training = mean_loss(corpus.training, "evaluating train");
  const auto validation = mean_loss(corpus.validation, "evaluating val");
  if (!training || !validation) return {};
  return Evaluation{*training, *validation};
}

}  // namespace pretrain
