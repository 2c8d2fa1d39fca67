#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "cria/io/file.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(sample_text)

namespace {

using namespace cria;
using test::small_data, test::small_training;

std::string train(const std::string& out, const std::vector<std::string>& more) {
  const auto outcome = test::run(small_training(small_data().data_dir(), out, more));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  return outcome.output;
}

}  // namespace

// Nor does it matter that a run is stopped in between, where a sample is due.
BOOST_AUTO_TEST_CASE(samples_do_not_disturb_training) {
  const test::TemporaryDirectory folder;
  const std::string with = folder / "with", without = folder / "without";
  const std::vector<std::string> options{"--dtype=bfloat16", "--ema=0.5", "--lr_decay_iters=20",
                                         "--learning_rate=0.01"};
  const auto more = [&](std::vector<std::string> others) {
    others.insert(others.end(), options.begin(), options.end());
    return others;
  };
  train(without, more({"--max_iters=20"}));
  train(with, more({"--max_iters=13", "--sample_interval=7"}));
  const auto resumed =
      test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + with, "--max_iters=20"});
  BOOST_TEST_REQUIRE(resumed.exit_code == 0, resumed.errors);
  for (const char* file : {"/ckpt/model.safetensors", "/ckpt/optimizer.safetensors"}) {
    BOOST_TEST((io::read_file(with + file) == io::read_file(without + file)), file << " differs");
  }
  BOOST_TEST(test::metrics(without, "sample").empty());
  const auto texts = test::metrics(with, "sample");
  BOOST_TEST_REQUIRE(texts.size() == 3u);
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(texts[i]["iter"] == 7 * i);
  const auto last = texts[2]["sample"].get<std::string>();
  BOOST_TEST(last != texts[0]["sample"]);  // it has learned in between
  BOOST_TEST(resumed.output.find("\nsample 14: " + last + "\n") != std::string::npos, resumed.output);
  BOOST_TEST(io::read_file(with + "/report.html").find("\"iter\":14,\"text\":") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_model_that_has_diverged_writes_nothing) {
  const test::TemporaryDirectory folder;
  train(folder / "out", {"--max_iters=4", "--sample_interval=2", "--learning_rate=1e300", "--grad_clip=0",
                         "--warmup_iters=0", "--min_lr=1e300", "--max_nonfinite_iters=0"});
  const auto texts = test::metrics(folder / "out", "sample");
  BOOST_TEST_REQUIRE(texts.size() == 3u);
  BOOST_TEST(texts.back()["sample"] == "");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
