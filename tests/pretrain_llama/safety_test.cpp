// What keeps a run from being lost: its folder is its own, and divergence ends it.

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(safety)

namespace {

using namespace cria;
using test::Outcome, test::Process, test::small_data, test::small_training;

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Outcome train(const std::string& out_dir, const std::vector<std::string>& more) {
  return test::run(small_training(small_data().data_dir(), out_dir, more));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_diverged_run_ends_and_keeps_the_checkpoint_before) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=10", "--lr_decay_iters=60"}).exit_code == 0);
  const std::string before = contents(out + "/ckpt/manifest.json");
  const auto diverged = train(out, {"--init_from=resume", "--max_iters=60", "--learning_rate=1e30",
                                    "--min_lr=1e30", "--grad_clip=0", "--max_nonfinite_iters=3"});
  BOOST_TEST(diverged.exit_code == 1);
  BOOST_TEST(diverged.errors.starts_with("error: training has diverged: since iteration "), diverged.errors);
  BOOST_TEST(
      diverged.errors.find(" the loss or its gradient is no finite number, and the last finite loss was ") !=
          std::string::npos,
      diverged.errors);
  BOOST_TEST(diverged.errors.find("try a lower --learning_rate (now 1e+30)") != std::string::npos,
             diverged.errors);
  BOOST_TEST(diverged.errors.find("from the checkpoint before that, " + out +
                                  "/ckpt, by --init_from=resume\n") != std::string::npos,
             diverged.errors);
  BOOST_TEST(contents(out + "/ckpt/manifest.json") == before);
  BOOST_TEST(train(out, {"--init_from=resume", "--max_iters=12"}).exit_code == 0);
}

BOOST_AUTO_TEST_CASE(a_diverged_run_goes_back_to_its_checkpoint_and_on_with_other_data) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=10", "--lr_decay_iters=60"}).exit_code == 0);
  const std::string before = contents(out + "/ckpt/manifest.json");
  const auto diverged =
      train(out, {"--init_from=resume", "--max_iters=60", "--learning_rate=1e30", "--min_lr=1e30",
                  "--grad_clip=0", "--max_nonfinite_iters=3", "--on_divergence=rollback"});
  BOOST_TEST(diverged.exit_code == 1);
  int returns = 0;
  const std::string sentence = "; back to the checkpoint before iteration 11, with other data\n";
  for (auto at = diverged.output.find(sentence); at != std::string::npos;
       at = diverged.output.find(sentence, at + 1)) {
    ++returns;
  }
  BOOST_TEST(returns == 3, diverged.output);
  BOOST_TEST(diverged.errors.find(", also after going back 3 times; try a lower") != std::string::npos,
             diverged.errors);
  BOOST_TEST(contents(out + "/ckpt/manifest.json") == before);
  // Each try has seen other data, and metrics.jsonl has the last one.
  std::vector<std::string> first_losses;
  std::istringstream lines(diverged.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("11 | loss ")) first_losses.push_back(line.substr(0, line.find(" | lr")));
  }
  BOOST_TEST_REQUIRE(first_losses.size() == 4U);
  BOOST_TEST(first_losses[0] != first_losses[1]);
  BOOST_TEST(first_losses[1] != first_losses[2]);
  int of_iteration = 0;
  for (const auto& line : test::metrics(out, "loss")) of_iteration += line["iter"] == 11;
  BOOST_TEST(of_iteration == 1);
}

BOOST_AUTO_TEST_CASE(a_diverged_run_goes_on_if_it_is_told_to_skip) {
  const test::TemporaryDirectory folder;
  const auto diverged = train(
      folder / "run", {"--max_iters=8", "--eval_interval=100", "--learning_rate=1e30", "--decay_lr=false",
                       "--grad_clip=0", "--max_nonfinite_iters=2", "--on_divergence=skip"});
  BOOST_TEST(diverged.exit_code == 0, diverged.errors);
  BOOST_TEST(diverged.output.find("8 | loss ") != std::string::npos, diverged.output);
}

BOOST_AUTO_TEST_CASE(a_run_that_has_diverged_is_not_saved_at_its_end) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  const auto diverged = train(out, {"--max_iters=8", "--eval_interval=100", "--learning_rate=1e30",
                                    "--decay_lr=false", "--grad_clip=0", "--max_nonfinite_iters=0"});
  BOOST_TEST(diverged.exit_code == 0);
  BOOST_TEST(diverged.output.find("the loss or a weight is no finite number: " + out +
                                  "/ckpt is left as it was") != std::string::npos,
             diverged.output);
  BOOST_TEST(!std::filesystem::exists(out + "/ckpt"));
}

BOOST_AUTO_TEST_CASE(an_evaluation_that_is_no_number_saves_nothing) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=2", "--lr_decay_iters=60"}).exit_code == 0);
  const auto diverged = train(out, {"--init_from=resume", "--max_iters=8", "--eval_interval=1",
                                    "--learning_rate=1e39", "--decay_lr=false", "--max_nonfinite_iters=0"});
  const auto val_loss = test::metrics(out, "val_loss").back()["val_loss"];
  BOOST_TEST(val_loss.is_null(), val_loss);
  // Both are from before: a model that has diverged could write nothing.
  for (const char* name : {"/ckpt", "/best"}) {
    const auto written = test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + out + name});
    BOOST_TEST(written.exit_code == 0, written.errors);
  }
}

BOOST_AUTO_TEST_CASE(weights_that_the_last_update_has_spoiled_are_not_saved) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  // The loss is computed before the update that makes the weights infinite.
  const auto diverged =
      train(out, {"--max_iters=0", "--learning_rate=1e39", "--decay_lr=false", "--eval_interval=100"});
  BOOST_TEST(test::metrics(out, "loss")[0]["loss"].is_number());
  BOOST_TEST(diverged.output.find("/ckpt is left as it was") != std::string::npos, diverged.output);
  BOOST_TEST(!std::filesystem::exists(out + "/ckpt"));
}

BOOST_AUTO_TEST_CASE(the_advice_to_a_diverged_run_is_what_it_can_change) {
  const test::TemporaryDirectory folder;
  const auto diverged = train(folder / "run", {"--dtype=bfloat16", "--learning_rate=1e30", "--decay_lr=false",
                                               "--max_nonfinite_iters=2", "--eval_interval=100"});
  BOOST_TEST(diverged.exit_code == 1);
  BOOST_TEST(diverged.errors.find(
                 "; try a lower --learning_rate (now 1e+30), a longer --warmup_iters (now 5) or "
                 "a smaller --grad_clip (now 1.0), or a new run with --dtype=float32\n") != std::string::npos,
             diverged.errors);
}

BOOST_AUTO_TEST_CASE(a_float16_gradient_that_overflows_ends_no_run) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  // With so few tokens each one's gradient times the first scale is beyond float16.
  const auto outcome = train(out, {"--dtype=float16", "--max_iters=5", "--max_nonfinite_iters=1",
                                   "--batch_size=1", "--gradient_accumulation_steps=1", "--max_seq_len=2"});
  BOOST_TEST(outcome.exit_code == 0, outcome.errors);
  BOOST_TEST(test::metrics(out, "loss")[0]["grad_norm"].is_null());
}

BOOST_AUTO_TEST_CASE(a_folder_has_one_run_at_a_time) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  Process first(small_training(small_data().data_dir(), out,
                               {"--max_iters=1000000", "--always_save_checkpoint=false"}));
  while (first.is_running() && first.output().find("1 | loss") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto second = train(out, {"--overwrite=true"});
  BOOST_TEST(second.exit_code == 1);
  BOOST_TEST(second.errors.starts_with("error: " + out + ": another run works in this folder: process "),
             second.errors);
  BOOST_TEST(second.errors.find("; wait until it has ended, or choose another folder\n") != std::string::npos,
             second.errors);
  first.kill(SIGKILL);
  first.wait();
  BOOST_TEST(train(out, {"--overwrite=true", "--max_iters=1"}).exit_code ==
             0);  // the lock died with its process
}

BOOST_AUTO_TEST_CASE(a_run_is_replaced_on_request_only) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=2"}).exit_code == 0);
  const std::string before = contents(out + "/ckpt/manifest.json");
  const auto again = train(out, {"--max_iters=2"});
  BOOST_TEST(again.exit_code == 1);
  BOOST_TEST(again.errors ==
             "error: --out_dir is " + out +
                 ", which holds a run; go on with it by --init_from=resume, let the new one take its "
                 "place by --overwrite=true, or choose another folder\n");
  BOOST_TEST(contents(out + "/ckpt/manifest.json") == before);
  BOOST_TEST(train(out, {"--max_iters=2", "--overwrite=true"}).exit_code == 0);
  // That was said for one run and is no option of what goes on with it.
  BOOST_TEST(train(out, {"--init_from=resume", "--max_iters=3"}).exit_code == 0);
  BOOST_TEST(nlohmann::json::parse(contents(out + "/ckpt/state.json"))["options"]["overwrite"] == false);
}

BOOST_AUTO_TEST_CASE(an_evaluation_replaces_no_run) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=2"}).exit_code == 0);
  const std::string metrics = contents(out + "/metrics.jsonl");
  BOOST_TEST(train(out, {"--eval_only=true"}).exit_code == 1);
  BOOST_TEST(contents(out + "/metrics.jsonl") == metrics);
}

BOOST_AUTO_TEST_CASE(whatever_is_left_of_a_run_is_not_replaced_unasked) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=6"}).exit_code == 0);
  const std::string manifest = contents(out + "/ckpt/manifest.json");
  // As a crash between two steps of saving leaves it.
  for (const char* name : {"/ckpt.new", "/ckpt.previous"}) {
    std::filesystem::rename(out + "/ckpt", out + name);
    std::filesystem::rename(out + "/best", folder / "best");
    const auto again = train(out, {"--max_iters=2"});
    BOOST_TEST(again.exit_code == 1);
    BOOST_TEST(again.errors.find("go on with it by --init_from=resume") != std::string::npos, again.errors);
    std::filesystem::rename(folder / "best", out + "/best");
    std::filesystem::rename(out + name, out + "/ckpt");
  }
  // The best model alone cannot be gone on with.
  std::filesystem::remove_all(out + "/ckpt");
  BOOST_TEST(train(out, {"--max_iters=2"}).errors ==
             "error: --out_dir is " + out +
                 ", which holds a run; let the new one take its place by --overwrite=true, or choose another "
                 "folder\n");
  BOOST_TEST(std::filesystem::exists(out + "/best/manifest.json"));
}

BOOST_AUTO_TEST_CASE(a_run_that_replaces_another_one_leaves_nothing_of_it) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "run";
  BOOST_TEST_REQUIRE(train(out, {"--max_iters=6"}).exit_code == 0);
  BOOST_TEST_REQUIRE(std::filesystem::exists(out + "/best"));
  // It ends before its first evaluation that could save a best model.
  BOOST_TEST(train(out, {"--max_iters=2", "--overwrite=true"}).exit_code == 0);
  BOOST_TEST(!std::filesystem::exists(out + "/best"));
  BOOST_TEST(std::filesystem::exists(out + "/ckpt"));
  BOOST_TEST(!std::filesystem::exists(out + "/.lock"));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
