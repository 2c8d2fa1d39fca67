#include "pretrain_llama/tokenizer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "pretrain_llama/text_input.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(tokenizer)

namespace {

using namespace pretrain;
using cria::ConfigError;
using cria::FileError;
using cria::test::error_message;
using cria::test::TemporaryDirectory;
using Ids = std::vector<std::int32_t>;
using Stories = std::vector<std::string>;

/// Pieces 0 to 2 are <unk>, BOS and EOS, the next 256 the bytes.
constexpr std::int32_t byte_piece(unsigned char byte) {
  return 3 + byte;
}

const Stories& small_text() {
  static const Stories stories = {"Lily had a red ball.\n\nShe liked the red ball.",
                                  "Tom had 12 red cars, and a ball."};
  return stories;
}

Tokenizer small_tokenizer() {
  return Tokenizer(Tokenizer::train(small_text(), 300));
}

/// What a function writes to stdout and stderr.
template <class Action>
std::string output_of(Action action) {
  const TemporaryDirectory directory;
  std::fflush(stdout);
  const int output = ::dup(STDOUT_FILENO);
  const int errors = ::dup(STDERR_FILENO);
  const int file = ::open((directory / "output").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  action();
  std::fflush(stdout);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  for (const int descriptor : {output, errors, file}) ::close(descriptor);
  return cria::io::read_file(directory / "output");
}

BOOST_AUTO_TEST_CASE(the_vocabulary_has_the_size_asked_for_and_the_usual_control_tokens) {
  const Tokenizer tokenizer = small_tokenizer();
  BOOST_TEST(tokenizer.size() == 300);
  BOOST_TEST(tokenizer.bos() == 1);
  BOOST_TEST(tokenizer.eos() == 2);
}

BOOST_AUTO_TEST_CASE(decoding_gives_back_the_text) {
  const Tokenizer tokenizer = small_tokenizer();
  for (const std::string text : {
           "Lily had a red ball.",
           "One line.\nAnother.\n\nA paragraph.",
           "two  spaces,   three",
           " a leading space",
           "\n\n  indented\n    twice",
           "a trailing space \n",
           "tabs\tand\r\nreturns",
           "\"quoted\" 'single' “curly” ‘single’ – —",
           "2024 12345 1,000",
           "emoji 😀👩‍👩‍👧 and 中文字 and Ünïcödé",
           "<s> </s> <unk> <0x0A> <|endoftext|> \u2047 \u2585 \uFFFD",
           "",
       }) {
    BOOST_TEST(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

BOOST_AUTO_TEST_CASE(what_the_vocabulary_lacks_becomes_bytes) {
  const Tokenizer tokenizer = small_tokenizer();
  const Ids newline = tokenizer.encode("ball\nball");
  BOOST_TEST((std::find(newline.begin(), newline.end(), byte_piece('\n')) != newline.end()));
  const Ids unknown = tokenizer.encode("ball €");
  const Ids last(unknown.end() - 3, unknown.end());
  BOOST_TEST(last == (Ids{byte_piece(0xE2), byte_piece(0x82), byte_piece(0xAC)}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(digits_are_split) {
  const Stories numbers(50, "1234 1234 1234 ab");
  const Tokenizer tokenizer(Tokenizer::train(numbers, 268));
  BOOST_TEST(tokenizer.encode("1234").size() == 5U);  // the space and four digits
  BOOST_TEST(tokenizer.encode("ab").size() == 1U);
}

BOOST_AUTO_TEST_CASE(bos_and_eos_give_no_text) {
  const Tokenizer tokenizer = small_tokenizer();
  Ids ids = tokenizer.encode("red ball");
  ids.insert(ids.begin(), tokenizer.bos());
  ids.push_back(tokenizer.eos());
  BOOST_TEST(tokenizer.decode(ids) == "red ball");
}

BOOST_AUTO_TEST_CASE(an_id_outside_the_vocabulary_cannot_be_decoded) {
  const Tokenizer tokenizer = small_tokenizer();
  for (const std::int32_t id : {300, -1}) {
    BOOST_TEST(error_message<ConfigError>([&] {
                 tokenizer.decode(Ids{5, id});
               }) == "token id " + std::to_string(id) + " is not in the vocabulary; ids must be in [0, 300)");
  }
}

BOOST_AUTO_TEST_CASE(the_same_text_gives_the_same_model) {
  BOOST_TEST((Tokenizer::train(small_text(), 300) == Tokenizer::train(small_text(), 300)));
  BOOST_TEST((small_tokenizer().model_bytes() == Tokenizer::train(small_text(), 300)));
}

BOOST_AUTO_TEST_CASE(lines_of_any_length_are_learnt_from) {
  const Stories stories = {std::string(100'001, 'x') + " é", "\n\n" + std::string(9'999, ' ') + "ü"};
  const Tokenizer tokenizer(Tokenizer::train(stories, 265));
  for (const char* character : {"é", "ü"}) {
    BOOST_TEST(tokenizer.encode(character).size() == 2U);  // the space and a piece, not two bytes
  }
  BOOST_TEST(tokenizer.decode(tokenizer.encode(stories[0])) == stories[0]);
}

BOOST_AUTO_TEST_CASE(long_lines_are_not_cut_within_a_character) {
  std::string line = "x";  // so that two-byte characters begin at odd places
  for (int i = 0; i < 50'000; ++i) line += "é";
  BOOST_TEST(Tokenizer(Tokenizer::train(Stories{line}, 262)).encode("é").size() == 2U);
}

BOOST_AUTO_TEST_CASE(training_is_silent) {
  BOOST_TEST(output_of([] { small_tokenizer(); }) == "");
  BOOST_TEST(output_of([] { error_message<ConfigError>([] { Tokenizer::train(small_text(), 5000); }); }) ==
             "");
  BOOST_TEST(output_of([] { error_message<FileError>([] { Tokenizer("no model"); }); }) == "");
}

BOOST_AUTO_TEST_CASE(a_text_too_small_for_the_vocabulary_names_the_largest_possible) {
  const std::string message = error_message<ConfigError>([] { Tokenizer::train(small_text(), 4096); });
  const std::string sentence =
      "vocab_size is 4096; the text is too small for so large a vocabulary, the largest possible is ";
  BOOST_TEST_REQUIRE(message.substr(0, sentence.size()) == sentence);
  const std::int64_t largest = std::stoll(message.substr(sentence.size()));
  BOOST_TEST(Tokenizer(Tokenizer::train(small_text(), largest)).size() == largest);
  BOOST_TEST(error_message<ConfigError>([&] { Tokenizer::train(small_text(), largest + 1); }) ==
             "vocab_size is " + std::to_string(largest + 1) +
                 "; the text is too small for so large a vocabulary, the largest possible is " +
                 std::to_string(largest) + ": give --vocab_size=" + std::to_string(largest) +
                 " or more text");
}

BOOST_AUTO_TEST_CASE(a_vocabulary_too_small_for_the_text_names_the_least_possible) {
  const Stories stories = {"ab", "b c"};  // a, b, c and the space
  for (const std::int64_t size : {262, 258, 2, 0, -7}) {
    BOOST_TEST(
        error_message<ConfigError>([&] { Tokenizer::train(stories, size); }) ==
        "vocab_size is " + std::to_string(size) +
            "; it must hold 256 bytes, 3 control tokens and each character of the text, so it must be at "
            "least 263");
  }
  BOOST_TEST(Tokenizer(Tokenizer::train(stories, 263)).size() == 263);
}

BOOST_AUTO_TEST_CASE(a_vocabulary_that_16_bits_cannot_hold_is_refused) {
  BOOST_TEST(error_message<ConfigError>([] { Tokenizer::train(small_text(), 65537); }) ==
             "vocab_size is 65537; token shards hold 16-bit ids, so it must be at most 65536");
}

BOOST_AUTO_TEST_CASE(a_model_that_is_none_is_refused) {
  const std::string damaged = Tokenizer::train(small_text(), 300).substr(0, 1000);
  for (const std::string& model : {std::string(), std::string("no model"), damaged}) {
    BOOST_TEST(error_message<FileError>([&] { Tokenizer(model, "out/tokenizer.model"); }) ==
               "out/tokenizer.model: is not a SentencePiece model, or is damaged");
  }
}

BOOST_AUTO_TEST_CASE(real_text_is_encoded_as_the_reference_does) {
  const std::filesystem::path path = CRIA_SOURCE_DIR "/../shared/data/tinystories_sample.txt";
  if (!std::filesystem::exists(path)) {
    BOOST_TEST_MESSAGE("skipped: the TinyStories sample is not there");
    return;
  }
  const Stories stories = read_stories(path).stories;
  BOOST_TEST(stories.size() == 1011U);
  const Tokenizer tokenizer(Tokenizer::train(stories, 4096));
  std::size_t tokens = 0;
  std::size_t bytes = 0;
  for (const std::string& story : stories) {
    const Ids ids = tokenizer.encode(story);
    tokens += 1 + ids.size();  // BOS
    bytes += story.size();
    BOOST_TEST_REQUIRE(tokenizer.decode(ids) == story);
  }
  BOOST_TEST_MESSAGE(tokens << " tokens, " << bytes << " bytes");
  BOOST_TEST(tokens > 242'500U);
  BOOST_TEST(tokens < 243'500U);
}

}  // namespace

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
