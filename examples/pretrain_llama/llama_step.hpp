#pragma once
/// The training step of a Llama in each dtype, for every backend: nvcc compiles it for the GPU.

#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

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
        owners_(options.shards_optimizer()
                    ? std::optional<cria::ParameterOwners>(std::in_place, *options.processes, model_)
                    : std::nullopt),
        optimizer_(optimizer_of(owners_ ? owners_->parameters_of(model_) : cria::OwnParameters<Model>{model_},
                                options)),
        step_(model_, options.batch(),
              {.micro_batches = options.gradient_accumulation_steps,
               .max_norm = options.grad_clip,
               .threads = static_cast<int>(options.threads),
               .threads_per_replica = static_cast<int>(replicas_.threads),
               .reproducible = options.reproducible,
               .replay = options.cuda_graph == "on" ||
                         (options.cuda_graph == "auto" && !options.profile && Step::replay_is_possible() &&
                          cria::nn::parameter_count(model_) < 100'000'000),
               .processes = options.processes,
               .owners = owners_ ? &*owners_ : nullptr,
               .bfloat16_exchange = options.reduce_dtype == "bfloat16"}) {
    if (options.init_from != "resume") {
      initialize(model_, cria::Rng(options.seed).split(0),
                 options.init == "llama2c" ? cria::nn::ResidualScaling::llama2c
                                           : cria::nn::ResidualScaling::output_projections);
    }
    if (options.ema > 0) average_.emplace(model_, options.ema);
  }

  void add(const TokenBatch& batch, const cria::Rng& noise, cria::StepProfile* profile) override {
    step_.add(batch, noise, profile);
  }
  cria::TrainStepResult update(double learning_rate, cria::StepProfile* profile) override {
    optimizer_->set_learning_rate(learning_rate);
    const auto result = step_.update(*optimizer_, profile);
    if (average_) average_->update();
    return result;
  }
  double loss(const TokenBatch& batch) override {
    if (!average_) return step_.loss(batch);
    const auto averages = average_->in_place();
    return step_.loss(batch);
  }

  std::vector<std::int32_t> write(std::int32_t first, std::int64_t most, const ChooseToken& choose) override {
    const Model model = average_ ? average_->model() : model_;
    auto caches = model.make_caches(1, most);
    std::vector<std::int32_t> text{first};
    while (std::ssize(text) < most) {
      const auto token = cria::Tensor<std::int32_t, B>::from({1, 1}, std::span(&text.back(), 1));
      std::vector<float> scores;
      for (const T score : model.next_logits(token, caches).to_vector()) {
        scores.push_back(static_cast<float>(score));
      }
      const auto next = choose(scores);
      if (!next) break;
      text.push_back(*next);
    }
    return text;
  }

  /// With an average, that is the checkpoint's model, and the weights that are trained lie beside the optimiser's
  /// state.
  ModelState state() override {
    ModelState all{cria::nn::state_dict(model_),
                   optimizer_->state_dict(),
                   {},
                   optimizer_->steps(),
                   step_.scaler().state()};
    if (!average_) return all;
    for (auto& trained : all.weights) {
      trained.name += ".trained";
      all.average.push_back(std::move(trained));
    }
    for (auto& average : average_->state_dict()) all.average.push_back(std::move(average));
    all.weights = cria::nn::state_dict(average_->model());
    return all;
  }
  void restore(std::int64_t optimizer_steps, cria::GradScaler::State scaler) override {
    optimizer_->set_steps(optimizer_steps);
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
    TensorCount decayed{0, 0}, rest{0, 0};
    cria::nn::for_each_parameter(model_, [&](const std::string& name, const auto& parameter) {
      TensorCount& count = cria::decay_matrices(name, parameter.shape()) > 0 ? decayed : rest;
      ++count.tensors;
      count.values += parameter.size();
    });
    return {decayed, rest, products_by<T, B>()};
  }
  SpeedOfLight speed_of_light() const override {
    return measured_speed_of_light<T, B>(model_costs(options_), options_.max_seq_len,
                                         step_.chunk_size() * options_.max_seq_len, replicas_);
  }

 private:
  static std::unique_ptr<cria::Optimizer<B>> optimizer_of(const cria::OwnParameters<Model>& model,
                                                          const TrainOptions& options) {
    const double rate = options.learning_rate, decay = options.weight_decay;
    const double beta1 = options.beta1, beta2 = options.beta2;
    if (options.optimizer == "muon") {
      return std::make_unique<cria::Muon<B>>(model, cria::MuonOptions{.learning_rate = rate,
                                                                      .bfloat16_products = sizeof(T) == 2,
                                                                      .weight_decay = decay,
                                                                      .beta1 = beta1,
                                                                      .beta2 = beta2});
    }
    if (options.optimizer == "lion") {
      return std::make_unique<cria::Lion<B>>(
          model,
          cria::LionOptions{.learning_rate = rate, .beta1 = beta1, .beta2 = beta2, .weight_decay = decay});
    }
    if (options.optimizer == "sgd") {
      return std::make_unique<cria::SGD<B>>(
          model, cria::SGDOptions{.learning_rate = rate, .momentum = beta1, .weight_decay = decay});
    }
    if (options.optimizer == "adafactor") {
      return std::make_unique<cria::Adafactor<B>>(
          model, cria::AdafactorOptions{.learning_rate = rate, .weight_decay = decay});
    }
    return std::make_unique<cria::AdamW<B>>(
        model,
        cria::AdamWOptions{.learning_rate = rate, .beta1 = beta1, .beta2 = beta2, .weight_decay = decay});
  }

  TrainOptions options_;
  ThreadGroups replicas_;
  Model model_;
  std::optional<cria::ParameterOwners> owners_;  // where each process has the optimiser's state of its own
  std::unique_ptr<cria::Optimizer<B>> optimizer_;
  std::optional<cria::ExponentialMovingAverage<Model, B>> average_;
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
