#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(train)

namespace {

using namespace cria;
using test::small_data, test::small_training, test::TemporaryDirectory;

std::vector<nlohmann::json> losses_of(const std::vector<std::string>& more) {
  const TemporaryDirectory folder;
  const auto outcome = test::run(small_training(small_data().data_dir(), folder / "out", more));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  std::vector<nlohmann::json> losses;
  for (const auto& line : test::metrics(folder / "out", "loss")) losses.push_back(line["loss"]);
  return losses;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_log_is_the_references) {
  const TemporaryDirectory folder;
  const auto outcome = test::run(small_training(small_data().data_dir(), folder / "out",
                                                {"--max_iters=10", "--warmup_iters=1000", "--dropout=0"}));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  const std::regex line(
      R"((\d+) \| loss \d+\.\d{4} \| lr (\d\.\d{6}e[-+]\d\d) \| \d+\.\d\dms \| mfu (-?\d+\.\d\d)%)");
  std::istringstream text(outcome.output);
  std::vector<std::string> kept;
  for (std::string each; std::getline(text, each);) kept.push_back(each);
  const std::vector<std::string> rates{"0.000000e+00", "5.000000e-07", "1.000000e-06", "1.500000e-06",
                                       "2.000000e-06", "2.500000e-06", "3.000000e-06"};
  std::size_t it = 0;
  for (const auto& each : kept) {
    std::smatch match;
    if (!std::regex_match(each, match, line)) continue;
    BOOST_TEST(match[1] == std::to_string(it));
    if (it < rates.size()) BOOST_TEST(match[2] == rates[it]);
    BOOST_TEST((match[3] == "-100.00") == (it < 5));
    ++it;
  }
  BOOST_TEST(it == 11u);  // max_iters + 1
  BOOST_TEST(test::metrics(folder / "out", "loss").size() == 11u);
  const auto first = test::metrics(folder / "out", "loss").front();
  BOOST_TEST(std::abs(first["loss"].get<double>() - std::log(300.0)) < 0.1);
  BOOST_TEST(first["lr"] == 0.0);
  BOOST_TEST(first["loss_scale"] == 1.0);
  BOOST_TEST(outcome.output.find("step 0: train loss ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_losses_do_not_depend_on_the_threads_that_openmp_gives) {
  const auto losses = [](const std::vector<std::string>& environment) {
    const TemporaryDirectory folder;
    std::vector<std::string> arguments{"/usr/bin/env"};
    arguments.insert(arguments.end(), environment.begin(), environment.end());
    for (const std::string& argument :
         small_training(small_data().data_dir(), folder / "out", {"--max_iters=10"})) {
      arguments.push_back(argument);
    }
    const auto outcome = test::run(arguments);
    BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    std::vector<nlohmann::json> result;
    for (const auto& line : test::metrics(folder / "out", "loss")) result.push_back(line["loss"]);
    return result;
  };
  const auto want = losses({});
  BOOST_TEST_REQUIRE(want.size() == 11u);
  BOOST_TEST((losses({"OMP_THREAD_LIMIT=1"}) == want));
  BOOST_TEST((losses({"OMP_DYNAMIC=true", "OMP_NUM_THREADS=8"}) == want));
}

BOOST_AUTO_TEST_CASE(the_same_seed_and_threads_give_the_same_losses) {
  const auto losses = losses_of({});
  BOOST_TEST(losses.size() == 61u);
  BOOST_TEST((losses_of({}) == losses));
  BOOST_TEST((losses_of({"--seed=2"}) != losses));
}

BOOST_AUTO_TEST_CASE(a_profile_names_what_the_time_went_into) {
  const TemporaryDirectory folder;
  // Three sequences: one for each thread, and one that both work on.
  const auto outcome = test::run(small_training(small_data().data_dir(), folder / "out",
                                                {"--profile=true", "--threads=2", "--batch_size=3"}));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  const std::size_t table = outcome.output.find("ms per iteration");
  BOOST_TEST_REQUIRE(table != std::string::npos);
  for (const char* row : {"\nlinear ", "\nattention ", "\nrms_norm ", "\nAdamW ", "\nrest"}) {
    BOOST_TEST(outcome.output.find(row, table) != std::string::npos, row);
    BOOST_TEST(outcome.output.find(row, table) == outcome.output.rfind(row), row);  // and once
  }
}

BOOST_AUTO_TEST_CASE(evaluation_does_not_disturb_training) {
  BOOST_TEST((losses_of({"--eval_interval=7", "--eval_iters=3"}) == losses_of({})));
}

BOOST_AUTO_TEST_CASE(the_loss_is_the_mean_over_the_micro_batches) {
  const auto two = losses_of({"--dropout=0", "--max_iters=5"});
  const auto one =
      losses_of({"--dropout=0", "--max_iters=5", "--batch_size=8", "--gradient_accumulation_steps=1"});
  BOOST_TEST(two[0].get<double>() == one[0].get<double>(), boost::test_tools::tolerance(1e-6));
  BOOST_TEST(two[5].get<double>() == one[5].get<double>(), boost::test_tools::tolerance(1e-4));
}

BOOST_AUTO_TEST_CASE(eval_only_evaluates_and_trains_nothing) {
  const TemporaryDirectory folder;
  const auto outcome =
      test::run(small_training(small_data().data_dir(), folder / "out", {"--eval_only=true"}));
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.output.find("step 0: train loss") != std::string::npos);
  BOOST_TEST(outcome.output.find("\ndone: evaluated before iteration 0\n") != std::string::npos);
  BOOST_TEST(outcome.output.find("0 | loss") == std::string::npos);
  BOOST_TEST(!std::filesystem::exists(folder / "out/ckpt"));
}

BOOST_AUTO_TEST_CASE(eval_only_evaluates_a_checkpoint_at_any_iteration) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), out, {"--max_iters=6"})).exit_code ==
                     0);
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, "--eval_only=true"});
  BOOST_TEST(outcome.exit_code == 0, outcome.errors);
  BOOST_TEST(outcome.output.find("\nstep 7: train loss") != std::string::npos, outcome.output);
  BOOST_TEST(outcome.output.find("7 | loss") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_float16_run_logs_its_loss_scale) {
  const TemporaryDirectory folder;
  const auto outcome = test::run(
      small_training(small_data().data_dir(), folder / "out", {"--dtype=float16", "--max_iters=3"}));
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(test::metrics(folder / "out", "loss")[0]["loss_scale"] == 65536.0);
}

BOOST_AUTO_TEST_CASE(generation_prints_the_text_alone_and_repeats_it_for_a_seed) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), out, {"--max_iters=20"})).exit_code ==
                     0);
  const auto generate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{PRETRAIN_LLAMA, "generate", "--checkpoint=" + out + "/best",
                                       "--prompt=the cat", "--max_new_tokens=40"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto outcome = test::run(arguments);
    BOOST_TEST(outcome.exit_code == 0, outcome.errors);
    BOOST_TEST(outcome.output.starts_with("the cat"));
    BOOST_TEST(outcome.errors == "");
    return outcome.output;
  };
  BOOST_TEST(generate({"--temperature=0", "--seed=1"}) == generate({"--temperature=0", "--seed=2"}));
  BOOST_TEST(generate({"--seed=1"}) == generate({"--seed=1"}));
  BOOST_TEST(generate({"--seed=1"}) != generate({"--seed=2"}));
  BOOST_TEST(generate({"--top_k=1"}) == generate({"--temperature=0"}));
  BOOST_TEST(generate({"--num_samples=2"}).find("\n---\n") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
