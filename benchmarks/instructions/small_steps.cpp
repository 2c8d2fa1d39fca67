// small_steps N: N training steps of a small Llama on one thread, for run.sh to count their instructions.

#include <cstdio>
#include <cstdlib>

#include "../random_training.hpp"

int main(int argc, char** argv) {
  cria::nn::LlamaConfig config;
  config.vocab_size = 512;
  config.hidden_size = 96;
  config.intermediate_size = 256;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 64;
  cria::benchmarks::RandomTraining<float> wide(config, /*batch=*/4, /*threads=*/1);
  cria::benchmarks::RandomTraining<cria::bfloat16> narrow(config, 4, 1);
  double loss = 0;
  for (int step = 0; step < (argc > 1 ? std::atoi(argv[1]) : 1); ++step) loss = wide() + narrow();
  std::printf("%.4f\n", loss);
}
