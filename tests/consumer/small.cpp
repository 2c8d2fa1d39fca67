// A tensor that is written to a file and read back.

#include <cria/cria.hpp>
#include <cria/io/io.hpp>
#include <cstdio>
#include <filesystem>

int main(int, char** argv) {
  using namespace cria;
  const auto path = std::filesystem::path(argv[0]).replace_extension(".safetensors");
  nn::Linear<float> saved(2, 1), loaded(2, 1);
  nn::initialize(saved, Rng(1));
  io::save_state(path, nn::state_dict(saved));
  io::load_state(path, nn::state_dict(loaded));
  const bool same = loaded.weight.to_vector() == saved.weight.to_vector();
  std::printf("%s\n", same ? "the same" : "different");
  return same ? 0 : 1;
}
