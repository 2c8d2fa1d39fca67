#include "evaluation.hpp"

#include "progress.hpp"

namespace pretrain {

std::optional<Evaluation> evaluate(TrainingStep& step, const Corpus& corpus, const TrainOptions& options,
                                   TokenBatch& batch, const StopSignal& stop) {
  const auto mean_loss = [&](const Corpus::Shards& shards, const char* label) -> std::optional<double> {
    cria::io::TokenStream stream(shards, options.max_seq_len, cria::Rng(42));
    Progress progress(label, options.eval_iters);
    double sum = 0;
    for (std::int64_t i = 0; i < options.eval_iters; ++i) {
      if (stop.requested()) return {};
      stream.next(batch.size(), batch.inputs, batch.targets);
      sum += step.loss(batch);
      progress.update(i + 1);
    }
    return sum / static_cast<double>(options.eval_iters);
  };
  const auto training = mean_loss(corpus.training, "evaluating train");
  const auto validation = mean_loss(corpus.validation, "evaluating val");
  if (!training || !validation) return {};
  return Evaluation{*training, *validation};
}

}  // namespace pretrain
