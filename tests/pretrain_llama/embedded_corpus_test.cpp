#include "pretrain_llama/embedded_corpus.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "cria/core/error.hpp"
#include "support/error_message.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(embedded_corpus)

namespace {

using namespace pretrain;

struct Parse {
  int derivations = 0;
  double probability = 0;  // of all derivations together
};

/// All derivations of `text`, by trying every choice as long as what it gives is a prefix.
void search(const Derivation& derivation, const std::string& text, Parse& parse) {
  if (!text.starts_with(derivation.text())) return;
  if (derivation.probabilities().empty()) {
    if (derivation.text() != text) return;
    ++parse.derivations;
    parse.probability += std::exp(derivation.log_probability());
    return;
  }
  for (std::size_t i = 0; i < derivation.probabilities().size(); ++i) {
    if (derivation.probabilities()[i] == 0.0) continue;
    Derivation next = derivation;
    next.take(i);
    search(next, text, parse);
  }
}

Parse parse(const Grammar& grammar, const std::string& text) {
  Parse result;
  search(Derivation(grammar), text, result);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_story_has_exactly_one_derivation_and_its_probability) {
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Story story = embedded_story(5, i);
    const Parse found = parse(story_grammar(), story.text);
    BOOST_TEST_REQUIRE(found.derivations == 1, story.text);
    BOOST_TEST(std::log(found.probability) == story.log_probability, boost::test_tools::tolerance(1e-9));
  }
}

BOOST_AUTO_TEST_CASE(the_search_finds_every_derivation_of_an_ambiguous_grammar) {
  const Grammar ambiguous("start:\n- (very|) <big>\n\nbig:\n- *3 big\n- very big\n");
  const Parse found = parse(ambiguous, "very big");
  BOOST_TEST(found.derivations == 2);
  BOOST_TEST(found.probability == 0.5 * 0.75 + 0.5 * 0.25, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(the_notation_means_what_its_table_says) {
  const Grammar grammar(
      "start:\n- {Who=one} met {a} <thing> and {other=one}. {Who.he} smiled at {other.him} .\n\n"
      "one [name he him]:\n- ann / she / her\n- bob / he / him\n\nthing:\n- apple\n");
  Derivation derivation(grammar);
  BOOST_TEST(derivation.probabilities().size() == 2u);
  derivation.take(1);
  BOOST_TEST(derivation.probabilities()[1] == 0.0);  // bob is taken
  derivation.take(0);
  BOOST_TEST(derivation.text() == "Bob met an apple and ann. He smiled at her.");
  BOOST_TEST(derivation.log_probability() == std::log(0.5), boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(mistakes_in_the_notation_are_named) {
  const auto message = [](const char* notation) {
    return cria::test::error_message<cria::ConfigError>([&] { Grammar grammar(notation); });
  };
  BOOST_TEST(message("") == "grammar: there must be at least one rule");
  BOOST_TEST(message("start:\n- <nothing>\n") == "grammar: the rule 'nothing' is not defined");
  BOOST_TEST(message("start:\n- (a|b\n") == "grammar: '(' without ')' in a rule");
}

BOOST_AUTO_TEST_CASE(a_story_depends_on_seed_and_number_alone) {
  const std::string third = embedded_story(1, 3).text;
  embedded_story(1, 2);
  BOOST_TEST(embedded_story(1, 3).text == third);
  BOOST_TEST(embedded_story(2, 3).text != third);
  BOOST_TEST(embedded_story(1, 4).text != third);
}

BOOST_AUTO_TEST_CASE(stories_are_written_properly) {
  std::set<std::string> distinct;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const std::string text = embedded_story(7, i).text;
    distinct.insert(text);
    if (i >= 2000) continue;
    std::size_t words = 1;
    for (std::size_t c = 0; c < text.size(); ++c) {
      BOOST_TEST_REQUIRE((text[c] == '\n' || (text[c] >= ' ' && text[c] <= '~')), text);
      if (text[c] == ' ' || (text[c] == '\n' && text[c - 1] == '\n')) ++words;
    }
    BOOST_TEST_REQUIRE((words >= 40 && words <= 220), words << " words: " << text);
    BOOST_TEST((text.back() == '.' || text.back() == '!' || text.back() == '?' || text.back() == '"'), text);
    BOOST_TEST(std::count(text.begin(), text.end(), '"') % 2 == 0, text);
    for (const char* wrong : {"  ", " .", " ,", " !", " ?", "..", " \n", "\n\n\n", " a a", " a e", " a i",
                              " a o", "A a", "A e", "A i", "A o"}) {
      BOOST_TEST(text.find(wrong) == std::string::npos, "'" << wrong << "' in: " << text);
    }
    // A sentence begins with a capital letter.
    for (std::size_t c = 0; c + 2 < text.size(); ++c) {
      if (text[c] != '.' || text[c + 1] != ' ') continue;
      BOOST_TEST(((text[c + 2] >= 'A' && text[c + 2] <= 'Z') || text[c + 2] == '"'), text);
    }
  }
  BOOST_TEST(distinct.size() > 19980u);
}

BOOST_AUTO_TEST_CASE(frequencies_follow_the_weights) {
  // The race has weight 2 of 27.
  int races = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    races += embedded_story(9, i).text.find("All the animals came to watch.") != std::string::npos ? 1 : 0;
  }
  BOOST_TEST(races / 20000.0 == 2.0 / 27.0, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
