#include "pretrain_llama/text_stream.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(text_stream)

namespace {

using namespace cria;
using pretrain::TextStream, pretrain::Tokenizer;

/// A vocabulary of bytes and some words.
const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer(Tokenizer::train(std::vector{test::small_text(1, 40)}, 300));
  return tokenizer;
}

/// The pieces in which a text comes out.
std::vector<std::string> pieces(const std::vector<std::int32_t>& ids,
                                const std::vector<std::string>& stop = {}) {
  TextStream stream(tokenizer(), std::vector{tokenizer().bos()}, stop);
  std::vector<std::string> all;
  for (const std::int32_t id : ids) {
    all.push_back(stream.add(id));
    if (stream.stopped()) return all;
  }
  all.push_back(stream.finish());
  return all;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(pieces_are_the_text_and_whole_characters) {
  for (const std::string text :
       {"the cat sat.", "  two spaces", "caf\u00e9 \u20ac \U0001F999 the dog", "a\nb"}) {
    const auto all = pieces(tokenizer().encode(text));
    BOOST_TEST(joined(all) == text);
    for (const std::string& piece : all) {
      std::string bytes = piece;
      BOOST_TEST(pretrain::take_characters(bytes) == piece);  // no replacement, and
      BOOST_TEST(bytes == "");                                // nothing left
    }
  }
}

// Any tokens, as a model may write them.
BOOST_AUTO_TEST_CASE(pieces_of_any_tokens_are_what_the_tokenizer_decodes) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 12; ++i) {
      // Mostly bytes above 127, of which some are characters.
      ids.push_back(static_cast<std::int32_t>(
          rng.below(3) > 0 ? 3 + 0xC0 + rng.below(0x40) - rng.below(2) * 0x40 : rng.below(300)));
    }
    BOOST_TEST(joined(pieces(ids)) == tokenizer().decode(ids));
  }
}

// Each token at the start of a text, after a control token, within it, and behind itself.
BOOST_AUTO_TEST_CASE(each_token_adds_what_the_tokenizer_decodes) {
  for (std::int32_t id = 0; id < tokenizer().size(); ++id) {
    for (const std::vector<std::int32_t>& ids :
         {std::vector<std::int32_t>{id, 270}, {1, id, 280}, {270, id, 280}, {id, id, 270}}) {
      BOOST_TEST(joined(pieces(ids)) == tokenizer().decode(ids), "token " << id);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_text_goes_on_from_its_prompt_with_the_space_between) {
  std::vector<std::int32_t> prompt = tokenizer().encode("the cat");
  TextStream stream(tokenizer(), prompt, {});
  std::string text;
  for (const std::int32_t id : tokenizer().encode("sat")) text += stream.add(id);
  BOOST_TEST(text + stream.finish() == " sat");
}

BOOST_AUTO_TEST_CASE(a_stop_string_may_span_tokens) {
  const auto ids = tokenizer().encode("the cat sat on the mat");
  for (const std::string stop : {"t sat o", "mat", "the mat", "at"}) {
    const std::string text = "the cat sat on the mat";
    BOOST_TEST(joined(pieces(ids, {"never", stop})) == text.substr(0, text.find(stop)));
  }
  // The earliest one counts.
  BOOST_TEST(joined(pieces(ids, {"on", "sat"})) == "the cat ");
  // What only begins like one comes at the end.
  BOOST_TEST(joined(pieces(ids, {"mattress"})) == "the cat sat on the mat");
}

BOOST_AUTO_TEST_CASE(what_may_become_a_stop_string_is_held_back) {
  TextStream stream(tokenizer(), std::vector{tokenizer().bos()}, {"abc"});
  const auto byte = [](char c) { return 3 + static_cast<unsigned char>(c); };
  BOOST_TEST(stream.add(byte('x')) == "x");
  BOOST_TEST(stream.add(byte('a')) == "");
  BOOST_TEST(stream.add(byte('b')) == "");
  BOOST_TEST(stream.add(byte('a')) == "ab");
  BOOST_TEST(stream.add(byte('b')) == "");
  BOOST_TEST(stream.add(byte('c')) == "");
  BOOST_TEST(stream.stopped());
  BOOST_TEST(stream.finish() == "");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
