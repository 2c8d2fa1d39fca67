#include "pretrain_llama/text_input.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(text_input)

namespace {

using namespace pretrain;
using cria::FileError;
using cria::io::write_file;
using cria::test::error_message;
using cria::test::TemporaryDirectory;
using Stories = std::vector<std::string>;

struct Fixture {
  Text read(const std::string& name, const std::string& contents) const {
    write_file(directory / name, contents);
    return read_stories(directory / name);
  }
  Stories stories(const std::string& name, const std::string& contents) const {
    return read(name, contents).stories;
  }

  /// What the error says about the file, behind its path.
  std::string problem(const std::string& name, const std::string& contents) const {
    const std::string prefix = (directory / name).string() + ": ";
    const std::string message = error_message<FileError>([&] { read(name, contents); });
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }

  TemporaryDirectory directory;
};

void check(const Stories& got, const Stories& want) {
  BOOST_TEST(got == want, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(plain_text_is_split_at_endoftext_lines, Fixture) {
  check(stories("a.txt", "One.\n\nStill one.\n<|endoftext|>\n Two <|endoftext|> two.\n<|endoftext|>\n"),
        {"One.\n\nStill one.", "Two <|endoftext|> two."});
}

BOOST_FIXTURE_TEST_CASE(plain_text_without_endoftext_lines_is_split_at_blank_lines, Fixture) {
  check(stories("a.txt", "\n\nOne.\nStill one.\n\n\n \t\nTwo."), {"One.\nStill one.", "Two."});
}

BOOST_FIXTURE_TEST_CASE(lines_may_end_in_carriage_returns, Fixture) {
  check(stories("a.txt", "One.\r\n<|endoftext|>\r\nTwo.\r\n"), {"One.", "Two."});
  check(stories("b.txt", "One.\r\n\r\nTwo.\r\n"), {"One.", "Two."});
}

BOOST_FIXTURE_TEST_CASE(white_space_inside_a_story_is_kept, Fixture) {
  check(stories("a.txt", "  a  b\n   c\td \n\n"), {"a  b\n   c\td"});
}

BOOST_FIXTURE_TEST_CASE(a_byte_order_mark_is_not_text, Fixture) {
  check(stories("a.txt", "\xEF\xBB\xBFOne."), {"One."});
  check(stories("a.json", "\xEF\xBB\xBF[{\"story\": \"One.\"}]"), {"One."});
}

BOOST_FIXTURE_TEST_CASE(json_is_an_array_of_objects_with_a_story_or_text, Fixture) {
  check(stories("a.json",
                R"([{"story": " One.\n", "source": "x"}, {"text": "\u00e9t\u00e9"}, {"story": " "}])"),
        {"One.", "été"});
}

BOOST_FIXTURE_TEST_CASE(jsonl_is_one_such_object_a_line, Fixture) {
  check(stories("a.jsonl", "{\"story\": \"One.\"}\r\n\n{\"text\": \"a\\nb\"}\n{\"text\": \"Three.\"}"),
        {"One.", "a\nb", "Three."});
}

BOOST_FIXTURE_TEST_CASE(a_json_file_with_one_object_is_one_story, Fixture) {
  check(stories("a.json", R"({"title": "x", "text": "One.\n\nMore."})"), {"One.\n\nMore."});
}

BOOST_FIXTURE_TEST_CASE(the_field_with_the_text_can_be_named, Fixture) {
  write_file(directory / "a.jsonl", R"({"content": "One.", "text": "no"})");
  check(read_stories(directory / "a.jsonl", "content").stories, {"One."});
  BOOST_TEST(error_message<FileError>([&] { read_stories(directory / "a.jsonl", "body"); }) ==
             (directory / "a.jsonl").string() +
                 ": line 1 must be an object with a string \"body\"; the strings that it has are "
                 "\"content\", \"text\", "
                 "one of which --text_field may name");
}

BOOST_FIXTURE_TEST_CASE(the_three_formats_give_the_same_stories, Fixture) {
  const Stories plain = stories("a.txt", "One \"x\".\n\nMore.\n<|endoftext|>\nTwo.\n");
  check(stories("a.json", R"([{"story": "One \"x\".\n\nMore.\n"}, {"story": "Two."}])"), plain);
  check(stories("a.jsonl", "{\"story\": \"One \\\"x\\\".\\n\\nMore.\"}\n{\"story\": \"Two.\"}\n"), plain);
}

BOOST_FIXTURE_TEST_CASE(invalid_utf8_is_replaced_and_counted, Fixture) {
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"a.txt", "a\xFF z\xC3\n"},
                                                        {"a.json", "[{\"story\": \"a\xFF z\xC3\"}]"},
                                                        {"a.jsonl", "{\"story\": \"a\xFF z\xC3\"}\n"}}) {
    const Text result = read(name, text);
    check(result.stories, {"a\uFFFD z\uFFFD"});
    BOOST_TEST(result.invalid_utf8 == 2);
  }
}

BOOST_FIXTURE_TEST_CASE(nul_is_replaced_like_invalid_utf8, Fixture) {
  const Text plain = read("a.txt", std::string("a\0b", 3));
  check(plain.stories, {"a\uFFFDb"});
  BOOST_TEST(plain.invalid_utf8 == 1);
  const Text json = read("a.json", R"([{"story": "a\u0000b"}])");
  check(json.stories, {"a\uFFFDb"});
  BOOST_TEST(json.invalid_utf8 == 1);
}

BOOST_AUTO_TEST_CASE(each_maximal_part_of_an_invalid_sequence_is_replaced_once) {
  const auto repaired = [](std::string_view text) {
    std::int64_t replaced = 0;
    std::string result = repair_utf8(text, replaced);
    return std::pair(result, replaced);
  };
  using Result = std::pair<std::string, std::int64_t>;
  const std::string valid = "a\u007F\u0080\u07FF\u0800\uD7FF\uE000\uFFFF\U00010000\U0010FFFF";
  BOOST_TEST((repaired(valid) == Result(valid, 0)));
  BOOST_TEST((repaired("\x80"
                       "a") == Result("\uFFFDa", 1)));                                  // a lone continuation
  BOOST_TEST((repaired("\xC0\xAF") == Result("\uFFFD\uFFFD", 2)));                      // overlong
  BOOST_TEST((repaired("\xE0\x80\x80") == Result("\uFFFD\uFFFD\uFFFD", 3)));            // overlong
  BOOST_TEST((repaired("\xED\xA0\x80") == Result("\uFFFD\uFFFD\uFFFD", 3)));            // a surrogate
  BOOST_TEST((repaired("\xF4\x90\x80\x80") == Result("\uFFFD\uFFFD\uFFFD\uFFFD", 4)));  // above U+10FFFF
  BOOST_TEST((repaired("\xF0\x8F\xBF\xBF") == Result("\uFFFD\uFFFD\uFFFD\uFFFD", 4)));  // overlong
  BOOST_TEST((repaired("\xE2\x82") == Result("\uFFFD", 1)));                            // cut off at the end
  BOOST_TEST((repaired("\xF0\x9F\x98"
                       "a\xE2\x82\xAC") == Result("\uFFFDa\u20AC", 1)));  // cut off by a letter
}

BOOST_FIXTURE_TEST_CASE(a_file_without_text_is_refused, Fixture) {
  BOOST_TEST(problem("a.txt", "") == "holds no text");
  BOOST_TEST(problem("b.txt", " \n\n<|endoftext|>\n") == "holds no text");
  BOOST_TEST(problem("a.json", "[]") == "holds no text");
  BOOST_TEST(problem("a.jsonl", "\n") == "holds no text");
}

BOOST_FIXTURE_TEST_CASE(malformed_json_is_refused, Fixture) {
  BOOST_TEST(problem("a.json", "[{\"story\": \"One.\"") == "the file is not valid JSON at byte 18");
  BOOST_TEST(problem("b.json", "7") == "the file must be an object with a string \"story\" or \"text\"");
  BOOST_TEST(problem("c.json", R"([{"story": "One."}, {"title": "x", "content": "y", "id": 3}])") ==
             "element 1 must be an object with a string \"story\" or \"text\"; the strings that it has are "
             "\"content\", \"title\", one of which --text_field may name");
  BOOST_TEST(problem("d.json", "[{\"story\": 3}]") ==
             "element 0 must be an object with a string \"story\" or \"text\"");
  BOOST_TEST(problem("e.json", "[\"One.\"]") ==
             "element 0 must be an object with a string \"story\" or \"text\"");
  BOOST_TEST(problem("a.jsonl", "{\"text\": \"One.\"}\n{\"text\"}\n") ==
             "line 2 is not valid JSON at byte 8");
  BOOST_TEST(problem("b.jsonl", "\n7\n") == "line 2 must be an object with a string \"story\" or \"text\"");
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_refused) {
  BOOST_TEST(error_message<FileError>([] { text_files({"/nowhere/a.txt"}); }) ==
             "/nowhere/a.txt: there is no such file or folder");
}

BOOST_FIXTURE_TEST_CASE(a_folder_stands_for_its_text_files_in_sorted_order, Fixture) {
  std::filesystem::create_directories(directory / "b/inner.txt");
  for (const char* name : {"c.txt", "a.jsonl", "b/x.json", "b/inner.txt/y.txt", "notes.md", "tokens.bin"}) {
    write_file(directory / name, "x");
  }
  const std::vector<std::filesystem::path> all = {directory / "a.jsonl", directory / "b/inner.txt/y.txt",
                                                  directory / "b/x.json", directory / "c.txt"};
  BOOST_TEST((text_files({directory.path().string()}) == all));
}

BOOST_FIXTURE_TEST_CASE(files_given_by_name_may_have_any_and_are_sorted_and_taken_once, Fixture) {
  for (const char* name : {"b.md", "a"}) write_file(directory / name, "x");
  const std::string a = (directory / "a").string();
  const std::string b = (directory / "b.md").string();
  BOOST_TEST((text_files({b, a, b}) == std::vector<std::filesystem::path>{a, b}));
}

BOOST_FIXTURE_TEST_CASE(a_folder_without_text_files_is_refused, Fixture) {
  BOOST_TEST(error_message<FileError>([&] { text_files({directory.path().string()}); }) ==
             directory.path().string() + ": the folder holds no .txt, .json or .jsonl files");
}

}  // namespace

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
