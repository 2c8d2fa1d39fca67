// The reference Llama trained on random tokens, as torch_llama.py and jax_llama.py do it beside it:
// cria_llama --dtype=bfloat16 --batch=16 --steps=6 prints one JSON object.

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "../train_step.hpp"
#include "pretrain_llama/speed_of_light.hpp"

namespace {

using namespace cria;

template <class T>
void run(std::int64_t batch, int steps, int threads) {
  const nn::LlamaConfig config;
  benchmarks::TrainStep<T> step(config, batch, threads);
  std::vector<double> seconds, losses;
  for (int i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    losses.push_back(step());
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::string device_memory;
#ifdef CRIA_DEFAULT_BACKEND_CUDA
  const std::size_t peak = cuda::allocator().statistics().peak_in_use;
  device_memory = "\"device_mb\": " + std::to_string(peak >> 20) + ", ";
#endif
  const auto light = pretrain::measured_speed_of_light<T, DefaultBackend>(
      config, config.max_position_embeddings, step.rows_of_a_chunk(), threads);
  const auto list = [](const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
    return "[" + text + "]";
  };
  std::printf(
      "{\"program\": \"cria\", \"library\": \"%s\", \"dtype\": \"%s\", \"batch\": %lld, \"tokens\": %lld, "
      "\"seconds\": %s, \"losses\": %s, \"rss_mb\": %ld, %s\"bound_tokens_per_s\": %.0f}\n",
      pretrain::products_by<T, DefaultBackend>().c_str(), std::string(dtype_name<T>).c_str(),
      static_cast<long long>(batch), static_cast<long long>(step.tokens()), list(seconds).c_str(),
      list(losses).c_str(), usage.ru_maxrss / 1024, device_memory.c_str(), 1 / light.seconds_per_token);
}

}  // namespace

int main(int argc, char** argv) {
  std::string dtype = "float32";
  std::int64_t batch = 16;
  int steps = 6, threads = benchmarks::threads_of_a_step();
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    const std::string value = name.size() < argument.size() ? argument.substr(name.size() + 1) : "";
    if (name == "--dtype") {
      dtype = value;
    } else if (name == "--batch") {
      batch = std::stoll(value);
    } else if (name == "--steps") {
      steps = std::stoi(value);
    } else if (name == "--threads") {
      threads = std::stoi(value);
    } else {
      std::fprintf(stderr, "unknown option %s; there are --dtype, --batch, --steps and --threads\n",
                   name.c_str());
      return 1;
    }
  }
  try {
    if (dtype == "float32") {
      run<float>(batch, steps, threads);
    } else if (dtype == "bfloat16") {
      run<bfloat16>(batch, steps, threads);
    } else if (dtype == "float16") {
      run<float16>(batch, steps, threads);
    } else {
      std::fprintf(stderr, "--dtype is %s; allowed: float32, bfloat16, float16\n", dtype.c_str());
      return 1;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
