#include "pretrain_llama/depth.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "cria/io/file.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(depth)

namespace {

using namespace cria;
using test::small_data, test::TemporaryDirectory;

/// The options of a run of that depth on the small data, or on `tokens` of it; those `given` stay as they are.
pretrain::TrainOptions by_depth(std::int64_t depth, pretrain::TrainOptions options = {},
                                const std::set<std::string>& given = {}, std::uintmax_t tokens = 0) {
  const TemporaryDirectory folder;
  const std::filesystem::path data = folder / "data";
  std::filesystem::copy(small_data().data_dir(), data, std::filesystem::copy_options::recursive);
  if (tokens > 0) {  // which only their number is asked of
    std::filesystem::remove(data / "tok300" / "00002_training.bin");
    std::filesystem::resize_file(data / "tok300" / "00001_training.bin", 2 * tokens);
  }
  options.depth = depth;
  options.data_dir = data;
  pretrain::set_by_depth(options, [&](const std::string& name) { return given.contains(name); });
  options.resolve();
  return options;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_model_is_as_wide_as_its_depth_says) {
  for (const std::int64_t depth : {1, 2, 5, 12}) {
    const auto options = by_depth(depth);
    BOOST_TEST(options.n_layers == depth);
    BOOST_TEST(options.dim == 32 * depth);
    BOOST_TEST(options.n_heads == depth);
    BOOST_TEST(options.n_kv_heads == (depth % 2 == 0 ? depth / 2 : depth));
    BOOST_TEST(options.vocab_size == 300);
    BOOST_TEST(options.min_lr == options.learning_rate / 10);
    BOOST_TEST(options.warmup_iters < options.max_iters);
  }
  BOOST_TEST(by_depth(2).learning_rate == 2 * by_depth(4).learning_rate);
}

BOOST_AUTO_TEST_CASE(a_run_is_as_long_as_the_model_needs_and_the_data_allows) {
  const auto trained = [](const pretrain::TrainOptions& options) {
    return static_cast<double>((options.max_iters + 1) * options.tokens_per_iteration());
  };
  const double plenty = 1'000'000'000, few = 100'000;
  // dim 64: 300 x 64 of the vocabulary, and 2 layers of 64 x (64 + 32 + 32 + 64 + 3 x 192), and 5 norms.
  const double parameters = 300 * 64 + 2 * 64 * (192 + 3 * 192) + 5 * 64;
  const auto long_run = by_depth(2, {}, {}, std::uintmax_t(plenty));
  BOOST_TEST(trained(long_run) / (30 * parameters) > 0.99);
  BOOST_TEST(trained(long_run) / (30 * parameters) < 1.01);
  const auto short_run = by_depth(2, {}, {}, std::uintmax_t(few));
  BOOST_TEST(trained(short_run) / (4 * few) > 0.98);
  BOOST_TEST(trained(short_run) / (4 * few) < 1.02);
  // More tokens are trained on in larger batches.
  BOOST_TEST(by_depth(8, {}, {}, std::uintmax_t(plenty)).batch_size > long_run.batch_size);
  BOOST_TEST(short_run.batch_size == 4);
}

BOOST_AUTO_TEST_CASE(options_that_are_given_stay_and_the_others_follow_them) {
  pretrain::TrainOptions given;
  given.dim = 96;
  given.n_kv_heads = 1;
  given.batch_size = 4;
  given.max_iters = 50;
  const auto options = by_depth(4, given, {"dim", "n_kv_heads", "batch_size", "max_iters"});
  BOOST_TEST(options.n_layers == 4);
  BOOST_TEST(options.dim == 96);
  BOOST_TEST(options.n_heads == 3);
  BOOST_TEST(options.n_kv_heads == 1);
  BOOST_TEST(options.batch_size == 4);
  BOOST_TEST(options.max_iters == 50);
  BOOST_TEST(options.warmup_iters == 2);
  BOOST_TEST(options.eval_interval == 5);
  BOOST_TEST(options.learning_rate == by_depth(3).learning_rate);
}

BOOST_AUTO_TEST_CASE(the_program_trains_by_depth_and_says_what_that_means) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  io::write_file(folder / "options.toml", "depth = 1\nmax_iters = 4\n");
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "train", "--config=" + std::string(folder / "options.toml"), "--dim=16",
                 "--data_dir=" + small_data().data_dir(), "--out_dir=" + out, "--max_seq_len=16"});
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  BOOST_TEST(outcome.output.starts_with("depth 1: --n_layers=1 --dim=16 --n_heads=1 "), outcome.output);
  const auto state = nlohmann::json::parse(io::read_file(out + "/ckpt/state.json"));
  BOOST_TEST(state["iter_num"] == 5);
  BOOST_TEST(state["options"]["dim"] == 16);
  BOOST_TEST(state["options"]["vocab_size"] == 300);
  const auto resumed =
      test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, "--max_iters=6"});
  BOOST_TEST_REQUIRE(resumed.exit_code == 0, resumed.errors);
  BOOST_TEST(resumed.output.find("done: iterations 5 to 6") != std::string::npos, resumed.output);
}

BOOST_AUTO_TEST_CASE(a_depth_out_of_range_is_refused) {
  for (const std::string depth : {"-1", "1001"}) {
    const auto outcome = test::run({PRETRAIN_LLAMA, "train", "--depth=" + depth});
    BOOST_TEST(outcome.exit_code == 1);
    BOOST_TEST(outcome.errors.starts_with("error: --depth is " + depth + "; it must be at "), outcome.errors);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
