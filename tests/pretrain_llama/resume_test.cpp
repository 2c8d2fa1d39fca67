#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(resume)

namespace {

using namespace cria;
using test::Process, test::small_data, test::small_training;

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of metrics.jsonl without what depends on the clock.
std::vector<std::string> metrics(const std::string& out_dir) {
  std::vector<std::string> lines;
  std::istringstream text(contents(out_dir + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    auto json = nlohmann::json::parse(line);
    for (const char* timing : {"ms", "mfu", "sol", "tokens_per_s", "memory_mb"}) json.erase(timing);
    lines.push_back(json.dump());
  }
  return lines;
}

void check_equal_runs(const std::string& got, const std::string& want) {
  for (const char* file : {"/ckpt/model.safetensors", "/ckpt/optimizer.safetensors",
                           "/best/model.safetensors", "/best/optimizer.safetensors"}) {
    BOOST_TEST(!contents(want + file).empty());
    BOOST_TEST((contents(got + file) == contents(want + file)), file << " differs");
  }
  BOOST_TEST((metrics(got) == metrics(want)), "metrics differ");
}

/// A run of all 60 iterations, and one with the same schedule that ended after 20.
struct WholeAndPart {
  WholeAndPart() {
    BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), whole)).exit_code == 0);
    BOOST_TEST_REQUIRE(
        test::run(small_training(small_data().data_dir(), part, {"--max_iters=20", "--lr_decay_iters=60"}))
            .exit_code == 0);
    manifest = contents(part + "/ckpt/manifest.json");
  }

  /// How the part goes on to the end.
  std::vector<std::string> going_on(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + part,
                                       "--max_iters=60"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  void check_that_the_part_is_untouched_and_ends_like_the_whole() const {
    BOOST_TEST(contents(part + "/ckpt/manifest.json") == manifest);
    BOOST_TEST_REQUIRE(test::run(going_on()).exit_code == 0);
    check_equal_runs(part, whole);
  }

  test::TemporaryDirectory folder;
  const std::string whole = folder / "whole", part = folder / "part";
  std::string manifest;  // of the part's checkpoint
};

bool has_checkpoint(const std::string& out_dir) {
  for (const char* name : {"/ckpt", "/ckpt.new", "/ckpt.previous"}) {
    if (std::filesystem::exists(out_dir + name + "/manifest.json")) return true;
  }
  return false;
}

/// How a run that was stopped goes on: from its checkpoint, or from the start if there was none yet.
std::vector<std::string> going_on(const std::string& out_dir, const std::string& dtype) {
  std::vector<std::string> more{"--dtype=" + dtype};
  // A kill between the first best and the first latest checkpoint leaves the best one alone.
  if (dtype != "float32") more.push_back("--async_save=true");
  more.push_back(has_checkpoint(out_dir) ? "--init_from=resume" : "--overwrite=true");
  return small_training(small_data().data_dir(), out_dir, more);
}

const char* const dtypes[] = {"float32", "bfloat16", "float16"};
const char* const optimizers[] = {"adamw", "muon", "lion", "sgd", "adafactor"};

}  // namespace

BOOST_DATA_TEST_CASE(every_optimizer_goes_on_as_if_it_had_not_stopped,
                     boost::unit_test::data::make(optimizers), optimizer) {
  const test::TemporaryDirectory folder;
  const std::string whole = folder / "whole", part = folder / "part";
  const auto training = [&](const std::string& out_dir, const char* last) {
    return small_training(small_data().data_dir(), out_dir,
                          {std::string("--optimizer=") + optimizer, "--dtype=bfloat16", "--schedule=wsd",
                           "--ema=0.9", "--lr_decay_iters=20", std::string("--max_iters=") + last});
  };
  BOOST_TEST_REQUIRE(test::run(training(whole, "20")).exit_code == 0);
  BOOST_TEST_REQUIRE(test::run(training(part, "10")).exit_code == 0);
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + part, "--max_iters=20"});
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  check_equal_runs(part, whole);
  const auto losses = test::metrics(whole, "loss");
  BOOST_TEST(losses.back()["loss"].get<double>() < losses.front()["loss"].get<double>());
  BOOST_TEST(losses.back()["lr"].get<double>() == 0.0);  // the schedule has come to its end
}

// Four chunks of 1,024 tokens an iteration, on threads that share them differently or in micro-batches of one.
BOOST_DATA_TEST_CASE(a_run_has_the_same_bits_on_any_threads_and_in_any_micro_batches,
                     boost::unit_test::data::make({"float32", "bfloat16"}), dtype) {
  const test::TemporaryDirectory folder;
  const auto weights = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> options{std::string("--dtype=") + dtype, "--max_iters=3", "--dropout=0.1",
                                     "--eval_interval=100"};
    options.insert(options.end(), more.begin(), more.end());
    const std::string out_dir = folder / name;
    const auto outcome = test::run(small_training(small_data().data_dir(), out_dir, options));
    BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    return contents(out_dir + "/ckpt/model.safetensors");
  };
  const auto chunks = [](int batch, int accumulated, int threads) {
    return std::vector<std::string>{"--batch_size=" + std::to_string(batch),
                                    "--gradient_accumulation_steps=" + std::to_string(accumulated),
                                    "--threads=" + std::to_string(threads)};
  };
  const int chunk = 1024 / 16;  // sequences of small_training
  const std::string want = weights("one", chunks(4 * chunk, 1, 1));
  BOOST_TEST(!want.empty());
  BOOST_TEST((weights("two", chunks(4 * chunk, 1, 2)) == want));
  BOOST_TEST((weights("three", chunks(4 * chunk, 1, 3)) == want));
  auto pinned = chunks(4 * chunk, 1, 1);
  pinned.push_back("--pin=true");
  BOOST_TEST((weights("pinned", pinned) == want));
  BOOST_TEST((weights("parts", chunks(chunk, 4, 2)) == want));
}

BOOST_DATA_TEST_CASE(a_run_killed_at_any_moment_ends_as_if_it_had_not_been,
                     boost::unit_test::data::make(dtypes), dtype) {
  const test::TemporaryDirectory folder;
  const std::string whole = folder / "whole", killed = folder / "killed";
  const auto start = std::chrono::steady_clock::now();
  const auto outcome =
      test::run(small_training(small_data().data_dir(), whole, {"--dtype=" + std::string(dtype)}));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  Rng rng(17);
  int kills = 0;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    Process process(going_on(killed, dtype));
    if (kills < 8) {
      // Somewhere in a fifth of the run, so that eight kills spread over all of it.
      std::this_thread::sleep_for(std::chrono::duration<double>(rng.uniform() * seconds / 5));
      process.kill(SIGKILL);
    }
    const auto ended = process.wait();
    if (ended.exit_code == -SIGKILL) {
      ++kills;
      continue;
    }
    BOOST_TEST_REQUIRE(ended.exit_code == 0, ended.errors);
    if (kills >= 8) break;
    std::filesystem::remove_all(killed);  // it was done before the kill: once more from the start
  }
  BOOST_TEST(kills == 8);
  check_equal_runs(killed, whole);
}

BOOST_AUTO_TEST_CASE(a_termination_signal_saves_and_says_how_to_go_on) {
  const test::TemporaryDirectory folder;
  const std::string whole = folder / "whole", stopped = folder / "stopped";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), whole)).exit_code == 0);
  for (const int signal : {SIGTERM, SIGINT}) {
    std::filesystem::remove_all(stopped);
    Process process(small_training(small_data().data_dir(), stopped));
    while (process.is_running() && process.output().find("\n3 |") == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    process.kill(signal);
    const auto ended = process.wait();
    BOOST_TEST(ended.exit_code == 0);
    BOOST_TEST(ended.errors == "");
    BOOST_TEST(metrics(stopped).size() < metrics(whole).size());
    BOOST_TEST(ended.output.find("go on with: pretrain_llama train --init_from=resume --out_dir=" +
                                 stopped) != std::string::npos);
    BOOST_TEST_REQUIRE(
        test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + stopped}).exit_code == 0);
    check_equal_runs(stopped, whole);
  }
}

BOOST_FIXTURE_TEST_CASE(a_termination_signal_ends_an_evaluation_that_then_leaves_no_trace, WholeAndPart) {
  Process process(going_on({"--eval_interval=1", "--eval_iters=1000000000"}));
  while (process.is_running() && process.output().find("resuming at iteration 21") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  process.kill(SIGTERM);
  const auto ended = process.wait();
  BOOST_TEST(ended.exit_code == 0);
  BOOST_TEST(ended.errors == "");
  BOOST_TEST(ended.output.ends_with("\nstopped before iteration 21; nothing was trained\n"), ended.output);
  check_that_the_part_is_untouched_and_ends_like_the_whole();
}

BOOST_AUTO_TEST_CASE(a_run_that_is_done_is_not_trained_on) {
  const test::TemporaryDirectory folder;
  const std::string out = folder / "out";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), out, {"--max_iters=6"})).exit_code ==
                     0);
  const std::string manifest = contents(out + "/ckpt/manifest.json"),
                    lines = contents(out + "/metrics.jsonl");
  for (const char* last : {"--max_iters=6", "--max_iters=3"}) {
    const auto ended = test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, last});
    BOOST_TEST(ended.exit_code == 0, ended.errors);
    BOOST_TEST(ended.output == "nothing to train: the run in " + out + " has done iteration 6, and " +
                                   std::string(last).replace(11, 1, " is ") + "\n");
    BOOST_TEST(contents(out + "/ckpt/manifest.json") == manifest);
    BOOST_TEST(contents(out + "/metrics.jsonl") == lines);
  }
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_stops_the_run_with_a_sentence_and_the_checkpoint_stays, WholeAndPart) {
  for (const char* async_save : {"--async_save=false", "--async_save=true"}) {
    const auto ended = test::run(going_on({async_save}), /*file_limit=*/20000);
    BOOST_TEST(ended.exit_code == 1);
    BOOST_TEST(ended.errors.find("cannot be written: File too large") != std::string::npos, ended.errors);
    BOOST_TEST(std::count(ended.errors.begin(), ended.errors.end(), '\n') == 1);
  }
  check_that_the_part_is_untouched_and_ends_like_the_whole();
}

BOOST_AUTO_TEST_CASE(a_run_that_ends_between_saving_its_two_checkpoints_still_gets_the_best) {
  const test::TemporaryDirectory folder;
  const std::string whole = folder / "whole", broken = folder / "broken";
  // The evaluation after iteration 4 is the last and the best one.
  const std::vector<std::string> options{"--max_iters=7", "--learning_rate=0.01"};
  const auto training = small_training(small_data().data_dir(), broken, options);
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), whole, options)).exit_code == 0);

  std::filesystem::create_directory(broken);
  std::ofstream(broken + "/best") << "a file, so that the checkpoint cannot be put here";
  const auto ended = test::run(training);
  BOOST_TEST(ended.exit_code == 1);
  BOOST_TEST(ended.errors == "error: " + broken + "/best: is a file, not a checkpoint folder\n");

  std::filesystem::remove(broken + "/best");
  auto again = training;
  if (has_checkpoint(broken)) again.push_back("--init_from=resume");
  BOOST_TEST_REQUIRE(test::run(again).exit_code == 0);
  check_equal_runs(broken, whole);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
