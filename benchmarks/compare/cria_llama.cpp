// The reference Llama trained on random tokens, as torch_llama.py and jax_llama.py do it beside it:
// cria_llama --dtype=bfloat16 --batch=16 --steps=6 prints one JSON object. On a GPU, --graph=on trains by a
// CUDA graph. --bound=off leaves out the matrix products that are measured alone, which a profiler would take
// for the steps'.

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <type_traits>
#include <vector>

#include <sys/resource.h>

#include "../random_training.hpp"
#include "pretrain_llama/speed_of_light.hpp"

namespace {

using namespace cria;

struct Options {
  std::string dtype = "float32";
  std::int64_t batch = 16;
  int steps = 6, threads = benchmarks::threads_of_a_step();
  bool graph = false, bound = true;
};

template <class T>
void run(const Options& options) {
  const nn::LlamaConfig config;
  benchmarks::RandomTraining<T> step(config, options.batch, options.threads, options.graph);
  std::vector<double> seconds, losses;
  for (int i = 0; i < options.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    losses.push_back(step());
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::string device_memory, bound;
#ifdef CRIA_DEFAULT_BACKEND_CUDA
  const std::size_t peak = cuda::allocator().statistics().peak_in_use;
  device_memory = "\"device_mb\": " + std::to_string(peak >> 20) + ", ";
#endif
  if (options.bound) {
    const auto light = pretrain::measured_speed_of_light<T, DefaultBackend>(
        nn::costs(config), config.max_position_embeddings, step.rows_of_a_chunk(), {options.threads});
    bound = ", \"bound_tokens_per_s\": " + std::to_string(1 / light.seconds_per_token);
  }
  const auto list = [](const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
    return "[" + text + "]";
  };
  std::printf(
      "{\"program\": \"cria\", \"library\": \"%s\", \"dtype\": \"%s\", \"batch\": %lld, \"tokens\": %lld, "
      "\"seconds\": %s, \"losses\": %s, %s\"rss_mb\": %ld%s}\n",
      pretrain::products_by<T, DefaultBackend>().c_str(), std::string(dtype_name<T>).c_str(),
      static_cast<long long>(options.batch), static_cast<long long>(step.tokens()), list(seconds).c_str(),
      list(losses).c_str(), device_memory.c_str(), usage.ru_maxrss / 1024, bound.c_str());
}

bool is_on(const std::string& name, const std::string& value) {
  if (value != "on" && value != "off") throw ConfigError(name + " is " + value + "; allowed: on, off");
  return value == "on";
}

Options read(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    const std::string value = name.size() < argument.size() ? argument.substr(name.size() + 1) : "";
    if (name == "--dtype") {
      options.dtype = value;
    } else if (name == "--batch") {
      options.batch = std::stoll(value);
    } else if (name == "--steps") {
      options.steps = std::stoi(value);
    } else if (name == "--threads") {
      options.threads = std::stoi(value);
    } else if (name == "--graph") {
      options.graph = is_on(name, value);
    } else if (name == "--bound") {
      options.bound = is_on(name, value);
    } else {
      throw ConfigError("unknown option " + name +
                        "; there are --dtype, --batch, --steps, --threads, --graph and --bound");
    }
  }
  if (options.graph && std::is_same_v<DefaultBackend, Cpu>) {
    throw ConfigError("--graph is on; the CPU has no graphs, it must be off");
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = read(argc, argv);
    if (options.dtype == "float32") {
      run<float>(options);
    } else if (options.dtype == "bfloat16") {
      run<bfloat16>(options);
    } else if (options.dtype == "float16") {
      run<float16>(options);
    } else {
      throw ConfigError("--dtype is " + options.dtype + "; allowed: float32, bfloat16, float16");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
