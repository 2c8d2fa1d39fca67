#pragma once
/// Speeds of training that others published, beside what the model of a step says of the same run.

#include <string>
#include <vector>

#include "scale_model.hpp"

namespace pretrain {

struct PublishedRun {
  std::string source, model;
  Hardware hardware;
  Workload workload;
  Layout layout;
  double tokens_per_second;  // of all GPUs together, as published; or 0
  double mfu;                // as published, where tokens are not
  bool fitted;               // whether shares of hardware were chosen with this row in sight
  bool causal = false;       // whether the published MFU counts attention's causal half alone

  double published_mfu() const;
  double predicted_mfu() const;
  double ratio() const { return predicted_mfu() / published_mfu(); }
};

/// Llama 3 405B: "The Llama 3 Herd of Models" (arXiv 2407.21783), table 4. llmq: the README of
/// github.com/IST-DASLab/llmq, bf16. MPT: scripts/train/benchmarking/README.md of
/// github.com/mosaicml/llm-foundry.
std::vector<PublishedRun> published_runs();

/// A row for each, aligned.
std::string published_table();

}  // namespace pretrain
