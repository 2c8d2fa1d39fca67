#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cria/io/file.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(dry_run)

namespace {

using namespace cria;
using test::small_data, test::small_training, test::TemporaryDirectory;

test::Outcome train(const std::string& out_dir, std::vector<std::string> more) {
  return test::run(small_training(small_data().data_dir(), out_dir, more));
}

/// What a dry run prints; it must print nothing on stderr.
std::string printed(const std::string& out_dir, std::vector<std::string> more = {}) {
  more.push_back("--dry_run=true");
  const auto outcome = train(out_dir, more);
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.errors == "");
  return outcome.output;
}

bool says(const std::string& output, const std::string& part) {
  if (output.find(part) != std::string::npos) return true;
  BOOST_TEST_MESSAGE("printed: " << output);
  return false;
}

/// All files below a folder with their contents, and folders.
std::map<std::string, std::string> files_below(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_regular_file() ? io::read_file(entry.path()) : "a folder";
  }
  return files;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_dry_run_says_what_a_run_would_do_and_leaves_nothing) {
  const TemporaryDirectory folder;
  const std::string output = printed(folder / "some/out/");
  BOOST_TEST(std::filesystem::is_empty(std::string(folder / ".")));
  BOOST_TEST(says(output, " tokens/s (mean of 3); 61 to do\n"));
  BOOST_TEST(says(output, " s; 13 to do\n"));
  BOOST_TEST(says(output, " MB; at most 25 to write\n"));
  BOOST_TEST(says(output, "the run would take "));
  BOOST_TEST(says(output, " and end at 20"));
  BOOST_TEST(says(output, "\n  total "));
  BOOST_TEST(!says(output, "| loss"));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_is_as_large_as_it_says) {
  const TemporaryDirectory folder;
  const std::vector<std::string> more{"--dim=128", "--max_iters=1", "--dtype=bfloat16", "--ema=0.9"};
  const std::string output = printed(folder / "out", more);
  BOOST_TEST_REQUIRE(train(folder / "out", more).exit_code == 0);
  double bytes = 0;
  for (const auto& [path, contents] : files_below(folder / "out/ckpt")) bytes += double(contents.size());
  const std::size_t begin = output.find("ckpt, best") + 10;
  BOOST_TEST(std::abs(std::stod(output.substr(begin)) - bytes * 1e-6) < 0.06, output);
}

BOOST_AUTO_TEST_CASE(what_is_left_of_a_run_is_said_and_the_run_is_left_alone) {
  const TemporaryDirectory folder;
  BOOST_TEST_REQUIRE(train(folder / "out", {"--max_iters=9"}).exit_code == 0);
  const auto before = files_below(folder / ".");
  const std::string output = printed(folder / "out", {"--init_from=resume", "--max_iters=19"});
  BOOST_TEST(says(output, "; 10 to do\n"));
  BOOST_TEST(says(output, " s; 2 to do\n"));  // before iterations 10 and 15
  BOOST_TEST(says(output, "at most 5 to write\n"));
  const auto refused = train(folder / "out", {"--dry_run=true"});
  BOOST_TEST(refused.exit_code == 1);
  BOOST_TEST(says(refused.errors, "which holds a run; "));
  BOOST_TEST((files_below(folder / ".") == before));
  const std::string evaluation = printed(folder / "out", {"--eval_only=true", "--overwrite=true"});
  BOOST_TEST(says(evaluation, "(mean of 3); 0 to do\n"));
  BOOST_TEST(says(evaluation, " s; 1 to do\n"));
  BOOST_TEST(says(evaluation, "at most 0 to write\n"));
  BOOST_TEST((files_below(folder / ".") == before));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
