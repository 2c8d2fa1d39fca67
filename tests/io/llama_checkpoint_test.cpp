#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>

#include "cria/cria.hpp"
#include "cria/io/io.hpp"
#include "support/llama_golden.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(llama_checkpoint)

using namespace cria;

namespace {
const char* const checkpoints[] = {"llama32", "biased", "qwen2", "qwen3"};
}  // namespace

/// The folders are as transformers saves them.
BOOST_DATA_TEST_CASE(a_folder_of_transformers_gives_its_logits, boost::unit_test::data::make(checkpoints),
                     name) {
  const std::filesystem::path folder = test::golden_path(std::string("checkpoints/") + name);
  const auto description = cria::io::read_llama_config(folder / "config.json");
  BOOST_TEST(description.dtype == "float32");
  const cria::nn::LlamaForCausalLM<float> model(description.config);
  cria::io::load_state(folder / "model.safetensors", cria::nn::state_dict(model));
  const auto inputs = test::golden_batch(test::golden_json(std::string(name) + ".json"), 0).inputs;
  const auto got = model.logits(inputs).to_vector();
  const cria::io::SafetensorsFile golden(test::golden_path(std::string(name) + ".safetensors"));
  const auto& logits = *golden.find("logits");
  BOOST_TEST_REQUIRE(logits.shape.size() == std::ssize(got));
  std::vector<float> want(got.size());
  std::memcpy(want.data(), logits.bytes.data(), want.size() * sizeof(float));
  float worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
  BOOST_TEST(worst < 1e-4f);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
