#include "pretrain_llama/prepare.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "cria/io/tokens.hpp"
#include "pretrain_llama/embedded_corpus.hpp"
#include "pretrain_llama/folder_lock.hpp"
#include "pretrain_llama/tokenizer.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(prepare)

namespace {

using namespace pretrain;
using cria::ConfigError;
using cria::FileError;
using cria::io::read_file;
using cria::io::TokenShard;
using cria::io::write_file;
using cria::test::error_message;
using cria::test::TemporaryDirectory;
using Ids = std::vector<std::uint16_t>;

/// For its lifetime no file can grow beyond `size` bytes: the test's full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t size) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit smaller{size, limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &smaller);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit limit_{};
  void (*handler_)(int);
};

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

/// The one-letter stories "a", of two tokens each, separated by blank lines.
std::string letters(int count) {
  return repeated("a\n\n", count);
}

struct Fixture {
  Fixture() {
    options.data_dir = (directory / "data").string();
    options.vocab_size = 262;  // 3 control pieces, 256 bytes, "▁a", "▁", "a": all there is
    options.max_seq_len = 1;
    options.overwrite = true;  // many tests prepare a folder more than once
  }

  void write_input(const std::string& name, const std::string& contents) {
    write_file(directory / name, contents);
    options.input.push_back((directory / name).string());
  }

  std::string run() const {
    std::ostringstream out;
    pretrain::prepare(options, out);
    return out.str();
  }

  template <class Error>
  std::string error() const {
    return error_message<Error>([&] { run(); });
  }

  std::filesystem::path data(const std::string& name) const {
    return std::filesystem::path(options.data_dir) / name;
  }
  nlohmann::json corpus() const { return nlohmann::json::parse(read_file(data("corpus.json"))); }
  Ids ids(const std::string& shard) const {
    const TokenShard file(data(shard), options.vocab_size);
    return {file.tokens().begin(), file.tokens().end()};
  }

  /// Every file of the data folder with its contents.
  std::map<std::string, std::string> state() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options.data_dir)) {
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(options.data_dir)] = read_file(entry.path());
    }
    return files;
  }

  bool has_written_nothing() const { return !std::filesystem::exists(options.data_dir); }

  TemporaryDirectory directory;
  PrepareOptions options;
};

BOOST_FIXTURE_TEST_CASE(a_tiny_text_gives_exactly_these_bytes, Fixture) {
  write_input("text.txt", letters(60));
  run();
  const std::string story("\x01\x00\x03\x01", 4);  // BOS, and 259 for "▁a"
  BOOST_TEST(read_file(data("tok262/00000_validation.bin")) ==
             repeated(story, 11));  // the first with 21 tokens
  BOOST_TEST(read_file(data("tok262/00001_training.bin")) == repeated(story, 49));
  BOOST_TEST(state().size() == 4U);
}

BOOST_FIXTURE_TEST_CASE(corpus_json_describes_the_data, Fixture) {
  write_input("text.txt", letters(60));
  run();
  const std::string model = read_file(data("tokenizer.model"));
  const nlohmann::json expected = {{"format_version", 1},
                                   {"source", options.input},
                                   {"invalid_utf8", 0},
                                   {"vocab_size", 262},
                                   {"tokenizer_crc32", cria::io::crc32(std::as_bytes(std::span(model)))},
                                   {"training",
                                    {{"stories", 49},
                                     {"tokens", 98},
                                     {"bytes", 49},
                                     {"bytes_per_token", 0.5},
                                     {"shards", {"00001_training.bin"}}}},
                                   {"validation",
                                    {{"stories", 11},
                                     {"tokens", 22},
                                     {"bytes", 11},
                                     {"bytes_per_token", 0.5},
                                     {"shards", {"00000_validation.bin"}}}}};
  BOOST_TEST(corpus().dump(1) == expected.dump(1));
}

BOOST_FIXTURE_TEST_CASE(the_summary_is_a_table, Fixture) {
  write_input("text.txt", letters(60) + "a\xFF");
  options.vocab_size = 262;  // "▁", "a" and U+FFFD: three tokens for a story "a"
  BOOST_TEST(run() ==
             "Training a vocabulary of 262 pieces on 61 stories.\n"
             "                              training    validation\n"
             "stories                             54             7\n"
             "tokens                             163            21\n"
             "bytes of text                       57             7\n"
             "bytes per token                 0.3497        0.3333\n"
             "token shards                         1             1\n"
             "Invalid UTF-8 in the text: 1 sequences were replaced by U+FFFD.\n"
             "The data lies in " +
                 options.data_dir + ".\n");
}

BOOST_FIXTURE_TEST_CASE(plain_text_json_and_jsonl_give_the_same_data, Fixture) {
  std::string plain;
  nlohmann::json array = nlohmann::json::array();
  std::string lines;
  for (int i = 0; i < 80; ++i) {
    const std::string story = "Tom said \"" + std::to_string(i * i) + " cars\".\n\nThe end.";
    plain += story + "\n<|endoftext|>\n";
    array.push_back({{"story", story}});
    lines += nlohmann::json{{"text", story}}.dump() + "\n";
  }
  options.vocab_size = 310;
  std::vector<std::map<std::string, std::string>> states;
  for (const auto& [name, contents] :
       {std::pair<std::string, std::string>{"a.txt", plain}, {"a.json", array.dump()}, {"a.jsonl", lines}}) {
    options.input.clear();
    write_input(name, contents);
    run();
    states.push_back(state());
    states.back().erase("corpus.json");  // names the source
  }
  BOOST_TEST((states[0] == states[1]));
  BOOST_TEST((states[0] == states[2]));
}

BOOST_FIXTURE_TEST_CASE(validation_is_the_first_hundredth_of_a_large_text, Fixture) {
  write_input("text.txt", letters(5000));
  run();
  BOOST_TEST(corpus()["validation"]["stories"] == 50);
  BOOST_TEST(corpus()["training"]["stories"] == 4950);
}

BOOST_FIXTURE_TEST_CASE(validation_has_twenty_windows, Fixture) {
  options.max_seq_len = 10;
  write_input("text.txt", letters(150));
  run();
  BOOST_TEST(TokenShard(data("tok262/00000_validation.bin"), 262).window_count(10) == 20);
  BOOST_TEST(corpus()["validation"]["stories"] == 105);
}

BOOST_FIXTURE_TEST_CASE(of_several_files_the_first_is_validation_and_each_other_a_shard, Fixture) {
  write_input("c.txt", letters(3));
  write_input("a.txt", letters(40));
  write_input("b.txt", letters(5));
  run();
  BOOST_TEST(ids("tok262/00000_validation.bin").size() == 80U);
  BOOST_TEST(ids("tok262/00001_training.bin").size() == 10U);
  BOOST_TEST(ids("tok262/00002_training.bin").size() == 6U);
  BOOST_TEST((corpus()["training"]["shards"] == nlohmann::json{"00001_training.bin", "00002_training.bin"}));
}

BOOST_FIXTURE_TEST_CASE(files_too_small_for_a_shard_are_joined, Fixture) {
  options.max_seq_len = 2;  // validation needs 42 tokens, a training shard 4
  for (const char* name : {"a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt"}) {
    write_input(name, letters(name[0] <= 'b' ? 12 : 1));
  }
  run();
  BOOST_TEST(ids("tok262/00000_validation.bin").size() == 48U);  // a and b
  BOOST_TEST(ids("tok262/00001_training.bin").size() == 4U);     // c and d
  BOOST_TEST(ids("tok262/00002_training.bin").size() == 4U);     // e and f

  write_input("g.txt", letters(1));
  run();
  BOOST_TEST(ids("tok262/00002_training.bin").size() == 6U);  // g alone would not do
  BOOST_TEST(!std::filesystem::exists(data("tok262/00003_training.bin")));
}

BOOST_FIXTURE_TEST_CASE(what_an_earlier_run_left_is_removed_and_the_rest_is_kept, Fixture) {
  write_input("text.txt", letters(60));
  run();
  const auto fresh = state();
  for (const char* name : {"tok262/00002_training.bin", "tok262/00009_training.bin.partial"})
    write_file(data(name), "x");
  write_file(data("tok262/notes.txt"), "kept");
  run();
  auto expected = fresh;
  expected["tok262/notes.txt"] = "kept";
  BOOST_TEST((state() == expected));
}

BOOST_FIXTURE_TEST_CASE(a_vocabulary_by_default_suits_the_embedded_corpus_or_a_text, Fixture) {
  options.vocab_size = 0;
  options.stories = 3000;
  options.max_seq_len = 16;
  run();
  BOOST_TEST(corpus()["vocab_size"] == 1024);
  write_input("text.txt", letters(60));
  BOOST_TEST(error<ConfigError>().starts_with("vocab_size is 4096; the text is too small"));
}

BOOST_FIXTURE_TEST_CASE(data_is_replaced_on_request_only, Fixture) {
  write_input("text.txt", letters(60));
  options.overwrite = false;
  run();
  const auto before = state();
  write_input("more.txt", letters(70));
  const std::string refusal =
      "--data_dir is " + options.data_dir +
      ", which holds prepared data; train on it, let the new data take its place by --overwrite=true, or "
      "choose another folder";
  BOOST_TEST(error<ConfigError>() == refusal);
  BOOST_TEST((state() == before));
  // Data of another program may lack corpus.json.
  std::filesystem::remove(data("corpus.json"));
  BOOST_TEST(error<ConfigError>() == refusal);
  options.overwrite = true;
  run();
  BOOST_TEST((state() != before));
}

BOOST_FIXTURE_TEST_CASE(a_folder_is_prepared_by_one_at_a_time, Fixture) {
  write_input("text.txt", letters(60));
  run();
  const auto before = state();
  {
    const FolderLock other(options.data_dir);
    BOOST_TEST(
        error<FileError>().starts_with(options.data_dir + ": another run works in this folder: process "));
  }
  BOOST_TEST((state() == before));
}

BOOST_FIXTURE_TEST_CASE(a_few_stories_of_the_embedded_corpus_are_refused, Fixture) {
  options.vocab_size = 300;
  options.stories = 2;
  options.max_seq_len = 256;
  const std::string refusal = error<ConfigError>();
  BOOST_TEST(refusal.ends_with("(20 windows), so give more --stories"), refusal);
}

BOOST_FIXTURE_TEST_CASE(the_embedded_corpus_is_the_same_for_the_same_seed, Fixture) {
  options.vocab_size = 400;
  options.stories = 300;
  options.max_seq_len = 16;
  run();
  const auto first = state();
  run();
  BOOST_TEST((state() == first));
  options.seed = 2;
  run();
  BOOST_TEST((state() != first));
}

BOOST_FIXTURE_TEST_CASE(the_entropy_is_that_of_the_embedded_stories, Fixture) {
  options.vocab_size = 400;
  options.stories = 300;
  options.max_seq_len = 16;
  const std::string summary = run();
  const Tokenizer tokenizer(read_file(data("tokenizer.model")));
  const nlohmann::json description = corpus();
  BOOST_TEST(description["source"] == "embedded");
  BOOST_TEST(description["seed"] == 1337);
  std::uint64_t index = 0;
  for (const char* split : {"validation", "training"}) {
    const nlohmann::json& values = description[split];
    double nats = 0;
    double tokens = 0;
    double bytes = 0;
    const std::uint64_t end = index + values["stories"].get<std::uint64_t>();
    for (; index < end; ++index) {
      const Story story = embedded_story(1337, index);
      nats -= story.log_probability;
      tokens += 1 + static_cast<double>(tokenizer.encode(story.text).size());
      bytes += static_cast<double>(story.text.size());
    }
    BOOST_TEST(values["tokens"] == tokens);
    BOOST_TEST(values["bytes"] == bytes);
    const auto close = boost::test_tools::tolerance(1e-12);
    BOOST_TEST(values["nats_per_story"].get<double>() == nats / values["stories"].get<double>(), close);
    BOOST_TEST(values["nats_per_token"].get<double>() == nats / tokens, close);
    BOOST_TEST(values["bits_per_byte"].get<double>() == nats / std::numbers::ln2 / bytes, close);
  }
  BOOST_TEST(index == 300U);
  BOOST_TEST(summary.find("entropy, nats per token") != std::string::npos);
  BOOST_TEST(summary.find("No model can beat this entropy") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_refused_text_leaves_nothing_behind, Fixture) {
  write_input("text.txt", letters(60));
  options.vocab_size = 4096;
  BOOST_TEST(error<ConfigError>() ==
             "vocab_size is 4096; the text is too small for so large a vocabulary, the largest possible is "
             "262: give "
             "--vocab_size=262 or more text");
  BOOST_TEST(has_written_nothing());
  options.vocab_size = 65537;
  BOOST_TEST(error<ConfigError>() ==
             "vocab_size is 65537; token shards hold 16-bit ids, so it must be at most 65536");
  BOOST_TEST(has_written_nothing());
}

BOOST_FIXTURE_TEST_CASE(a_text_too_small_for_the_window_is_refused, Fixture) {
  write_input("text.txt", letters(60));
  options.max_seq_len = 6;
  BOOST_TEST(error<ConfigError>() ==
             "max_seq_len is 6, for which this text of 120 tokens is too small: training needs 12 tokens and "
             "validation 126 (20 windows), so give more text or --max_seq_len=5, to `train`, too");
  BOOST_TEST(has_written_nothing());
  options.max_seq_len = 5;
  run();
  BOOST_TEST(corpus()["validation"]["tokens"] == 106);
}

BOOST_FIXTURE_TEST_CASE(a_text_of_one_story_is_cut_inside_of_it, Fixture) {
  const std::string text = repeated("a", 2000);
  write_input("text.txt", text);
  options.max_seq_len = 10;
  const std::string output = run();
  BOOST_TEST(output.find("validation is the end of the text, cut off inside a story") != std::string::npos,
             output);
  const Ids validation = ids("tok262/00000_validation.bin"), training = ids("tok262/00001_training.bin");
  BOOST_TEST(validation.size() == 210u);
  BOOST_TEST(training.size() >= 20u);
  // Together they are the whole text, and validation is its end.
  Ids all = training;
  all.insert(all.end(), validation.begin(), validation.end());
  const Tokenizer tokenizer(read_file(data("tokenizer.model")));
  BOOST_TEST(all.front() == tokenizer.bos());
  BOOST_TEST(tokenizer.decode(std::vector<std::int32_t>(all.begin() + 1, all.end())) == text);
  BOOST_TEST(corpus()["validation"]["bytes"] ==
             tokenizer.decode(std::vector<std::int32_t>(validation.begin(), validation.end())).size());
  BOOST_TEST(corpus()["training"]["stories"] == 1);
  BOOST_TEST(corpus()["validation"]["stories"] == 0);
}

BOOST_FIXTURE_TEST_CASE(files_too_small_for_whole_ones_to_be_split_are_cut, Fixture) {
  for (const char* name : {"a.txt", "b.txt"}) write_input(name, letters(30));
  options.max_seq_len = 4;  // validation needs 84 of the 120 tokens
  BOOST_TEST(run().find("Whole files leave too little") != std::string::npos);
  BOOST_TEST(corpus()["training"]["tokens"] == 120 - 84);
}

BOOST_FIXTURE_TEST_CASE(a_bad_file_among_good_ones_leaves_nothing_behind, Fixture) {
  write_input("a.txt", letters(60));
  write_input("b.json", "[{\"story\"]");
  BOOST_TEST(error<FileError>() ==
             (directory / "b.json").string() + ": the file is not valid JSON at byte 10");
  BOOST_TEST(has_written_nothing());
}

BOOST_FIXTURE_TEST_CASE(options_below_one_are_refused, Fixture) {
  options.stories = 0;
  BOOST_TEST(error<ConfigError>() == "stories is 0; it must be at least 1");
  options.stories = 1;
  options.max_seq_len = -1;
  BOOST_TEST(error<ConfigError>() == "max_seq_len is -1; it must be at least 1");
}

BOOST_FIXTURE_TEST_CASE(a_data_folder_that_cannot_be_created_is_named, Fixture) {
  write_input("text.txt", letters(60));
  options.data_dir = (directory / "text.txt").string();
  BOOST_TEST(error<FileError>() ==
             (directory / "text.txt").string() + ": cannot be used as a folder to write to: Not a directory");
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_leaves_the_earlier_data_intact, Fixture) {
  write_input("text.txt", letters(60));
  run();
  const auto before = state();
  options.input.clear();
  write_input("larger.txt", letters(50'000));
  {
    const FullDisk limit(20'000);
    BOOST_TEST(error<FileError>() ==
               data("tok262/00001_training.bin.partial").string() + ": cannot be written: File too large");
  }
  BOOST_TEST((state() == before));
}

BOOST_AUTO_TEST_CASE(real_text_gives_the_reference_s_split) {
  PrepareOptions options;
  options.input = {CRIA_SOURCE_DIR "/../shared/data/tinystories_sample.txt"};
  if (!std::filesystem::exists(options.input.front())) {
    BOOST_TEST_MESSAGE("skipped: the TinyStories sample is not there");
    return;
  }
  const TemporaryDirectory directory;
  options.data_dir = directory.path().string();
  std::ostringstream out;
  pretrain::prepare(options, out);
  BOOST_TEST_MESSAGE(out.str());
  const auto shards = cria::io::token_shards(directory / "tok4096");
  BOOST_TEST_REQUIRE(shards.size() == 2U);
  const TokenShard validation(shards[0], 4096);
  const TokenShard training(shards[1], 4096);
  BOOST_TEST(validation.window_count(256) == 20);
  const std::size_t tokens = validation.tokens().size() + training.tokens().size();
  BOOST_TEST(tokens > 242'500U);
  BOOST_TEST(tokens < 243'500U);
  const auto stories = std::count(validation.tokens().begin(), validation.tokens().end(), 1) +
                       std::count(training.tokens().begin(), training.tokens().end(), 1);
  BOOST_TEST(stories == 1011);
}

}  // namespace

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
