#pragma once
/// The files that tests/golden/make_goldens.py made with PyTorch.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace cria::test {

inline std::string golden_path(const std::string& name) {
  return CRIA_SOURCE_DIR "/tests/golden/" + name;
}

inline nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(golden_path(name)));
}

}  // namespace cria::test
