#pragma once
/// The training step of a Llama in each dtype, for every backend: nvcc compiles it for the GPU.

#include <cmath>
#include <memory>
#include <string>

#include "cria/cria.hpp"
#include "llama_model.hpp"
#include "memory_plan.hpp"
#include "training_step.hpp"

namespace pretrain {

template <class T, class B>
class LlamaStep final : public TrainingStep {
  using Model = cria::nn::LlamaForCausalLM<T, B>;
  using Step = cria::TrainStep<Model, B>;

 public:
  explicit LlamaStep(const TrainOptions& options)
      : options_(options),
        replicas_(replicas_of(options)),
        model_(llama_config(options)),
        optimizer_(model_, {.learning_rate = options.learning_rate,
                            .beta1 = options.beta1,
                            .beta2 = options.beta2,
                            .weight_decay = options.weight_decay}),
        step_(model_, options.batch(),
              {.micro_batches = options.gradient_accumulation_steps,
               .max_norm = options.grad_clip,
               .threads = static_cast<int>(options.threads),
               .threads_per_replica = static_cast<int>(replicas_.threads),
               .replay = options.cuda_graph == "on" ||
                         (options.cuda_graph == "auto" && !options.profile && Step::replay_is_possible() &&
                          cria::nn::parameter_count(model_) < 100'000'000)}) {
    if (options.init_from == "resume") return;
    initialize(model_, cria::Rng(options.seed).split(0),
               options.init == "llama2c" ? cria::nn::ResidualScaling::llama2c
                                         : cria::nn::ResidualScaling::output_projections);
  }

  void add(const TokenBatch& batch, const cria::Rng& noise, cria::StepProfile* profile) override {
    step_.add(batch, noise, profile);
  }
  cria::TrainStepResult update(double learning_rate, cria::StepProfile* profile) override {
    optimizer_.set_learning_rate(learning_rate);
    return step_.update(optimizer_, profile);
  }
  double loss(const TokenBatch& batch) override { return step_.loss(batch); }

  ModelState state() override {
    return {cria::nn::state_dict(model_), optimizer_.state_dict(), optimizer_.steps(),
            step_.scaler().state()};
  }
  void restore(std::int64_t optimizer_steps, cria::GradScaler::State scaler) override {
    optimizer_.set_steps(optimizer_steps);
    step_.scaler().set_state(scaler);
  }
  bool has_finite_weights() override {
    bool all_finite = true;
    cria::nn::for_each_parameter(model_, [&](const std::string&, const auto& parameter) {
      for (const auto value : parameter.value().to_vector()) {
        all_finite = all_finite && std::isfinite(static_cast<float>(value));
      }
    });
    return all_finite;
  }

  ModelDescription describe() const override {
    const auto decayed = optimizer_.decayed(), rest = optimizer_.not_decayed();
    return {{decayed.tensors, decayed.values}, {rest.tensors, rest.values}, products_by<T, B>()};
  }
  SpeedOfLight speed_of_light() const override {
    return measured_speed_of_light<T, B>(model_costs(options_), options_.max_seq_len,
                                         step_.chunk_size() * options_.max_seq_len, replicas_);
  }

 private:
  TrainOptions options_;
  ThreadGroups replicas_;
  Model model_;
  cria::AdamW<B> optimizer_;
  Step step_;
};

/// In the dtype that the options name.
template <class B>
std::unique_ptr<TrainingStep> llama_step(const TrainOptions& options) {
  if (options.dtype == "bfloat16") return std::make_unique<LlamaStep<cria::bfloat16, B>>(options);
  if (options.dtype == "float16") return std::make_unique<LlamaStep<cria::float16, B>>(options);
  return std::make_unique<LlamaStep<float, B>>(options);
}

}  // namespace pretrain
