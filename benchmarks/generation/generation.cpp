// Writes 200 tokens, each the likeliest, with a Llama of random weights: generation <small|110m> <dtype>
// <weights> [<tokens> [<texts>]], of so many texts at once. Puts the weights into a file, as floats in the
// order of the model, for programs to compare with, and prints a line: tokens in a second, of all texts
// together, the rate at which weights are read beside that of a loop that adds them up, and the first tokens.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "cria/cria.hpp"

namespace {

using namespace cria;

double seconds_of(auto run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Bytes in a second at which all threads read memory of so many bytes, at best.
double reading_rate(std::int64_t bytes) {
  const std::vector<float> memory(static_cast<std::size_t>(bytes) / sizeof(float), 1.0f);
  const int threads = available_threads();
  std::vector<float> sums(static_cast<std::size_t>(threads) * 16);  // a cache line for each
  const auto read_part = [&](int thread) {
    const auto parts = static_cast<std::size_t>(threads), part = static_cast<std::size_t>(thread);
    const float* const begin = memory.data() + memory.size() * part / parts;
    const float* const end = memory.data() + memory.size() * (part + 1) / parts;
    float sum = 0;
    CRIA_SIMD_SUM(sum)
    for (const float* x = begin; x < end; ++x) sum += *x;
    sums[part * 16] += sum;
  };
  double least = 1e9;
  for (int i = 0; i < 20; ++i)
    least = std::min(least, seconds_of([&] { run_on_threads(threads, read_part); }));
  if (sums[0] == 0) std::abort();  // so that it is not left out
  return static_cast<double>(bytes) / least;
}

template <class T>
int run(const nn::LlamaConfig& config, const char* weights, std::int64_t count, std::int64_t texts) {
  nn::LlamaForCausalLM<T> model(config);
  nn::initialize(model, Rng(1));
  std::ofstream file(weights, std::ios::binary);
  for (const std::int64_t size :
       {config.vocab_size, config.hidden_size, config.intermediate_size, config.num_hidden_layers,
        config.num_attention_heads, config.num_key_value_heads, config.max_position_embeddings}) {
    const auto number = static_cast<std::int32_t>(size);
    file.write(reinterpret_cast<const char*>(&number), sizeof number);
  }
  std::int64_t parameters = 0;
  nn::for_each_parameter(model, [&](const std::string&, auto& parameter) {
    const auto values = cast<float>(static_cast<const Tensor<T>&>(parameter.value())).to_vector();
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
    parameters += parameter.size();
  });
  if (!file.flush()) {
    std::fprintf(stderr, "%s cannot be written\n", weights);
    return 1;
  }
  std::vector<std::int32_t> text;
  double least = 1e9;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::vector<nn::KeyValueCache<T>>> caches;  // of each text
    for (std::int64_t i = 0; i < texts; ++i) caches.push_back(model.make_caches(1, count));
    const std::vector<std::span<nn::KeyValueCache<T>>> together(caches.begin(), caches.end());
    text = {1};
    auto last = Tensor<std::int32_t>::full({texts, 1}, 1);
    least = std::min(least, seconds_of([&] {
                       for (std::int64_t i = 0; i < count; ++i) {
                         last = unsqueeze(argmax(model.next_logits(last, together), -1), -1);
                         text.push_back(last.to_vector().front());
                       }
                     }));
  }
  const double rate = static_cast<double>(count) / least;
  const double bytes = static_cast<double>(parameters) * sizeof(T);
  std::printf("cria %s, %lld texts: %.0f tokens/s, weights are read at %.0f %% of the rate of a plain loop;",
              std::string(dtype_name<T>).c_str(), static_cast<long long>(texts),
              rate * static_cast<double>(texts),
              100 * rate * bytes / reading_rate(static_cast<std::int64_t>(bytes)));
  for (std::size_t i = 1; i < 9 && i < text.size(); ++i) std::printf(" %d", text[i]);
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(
        stderr,
        "generation <small|110m> <float32|bfloat16|float16> <file for the weights> [<tokens> [<texts>]]\n");
    return 1;
  }
  const std::string size = arguments[1], dtype = arguments[2];
  nn::LlamaConfig config;  // the reference model
  config.max_position_embeddings = 1024;
  if (size == "110m") {
    config.vocab_size = 32000;
    config.hidden_size = 768;
    config.intermediate_size = 2048;
    config.num_hidden_layers = 12;
    config.num_attention_heads = config.num_key_value_heads = 12;
  }
  const std::int64_t tokens = count > 4 ? std::atoll(arguments[4]) : 200;
  const std::int64_t texts = count > 5 ? std::atoll(arguments[5]) : 1;
  if (dtype == "bfloat16") return run<bfloat16>(config, arguments[3], tokens, texts);
  if (dtype == "float16") return run<float16>(config, arguments[3], tokens, texts);
  return run<float>(config, arguments[3], tokens, texts);
}
