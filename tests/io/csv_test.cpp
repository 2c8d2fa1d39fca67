#include "cria/io/csv.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cria/core/random.hpp"
#include "support/damage.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(csv)

namespace {

using namespace cria::io;
using cria::bfloat16;
using cria::ConfigError;
using cria::FileError;
using cria::float16;
using cria::Rng;
using cria::Shape;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

/// A file of these contents.
struct Fixture {
  TemporaryDirectory folder;
  std::filesystem::path path;

  explicit Fixture(const std::string& contents) : path(folder / "x.csv") {
    OutputFile file(path);
    file.write(contents);
    file.close();
  }
};

template <class T = float>
std::vector<T> values(const std::string& contents, const CsvOptions& options = {}) {
  const Fixture file(contents);
  return CsvFile(file.path, options).read<T>().to_vector();
}

/// What the reader says, without the path.
template <class T = float>
std::string refusal(const std::string& contents, const CsvOptions& options = {}) {
  const Fixture file(contents);
  const std::string message = error_message<FileError>([&] { CsvFile(file.path, options).read<T>(); });
  const std::string path = file.path.string() + ": ";
  return message.starts_with(path) ? message.substr(path.size()) : message;
}

const std::vector<float> one_to_four{1, 2, 3, 4};

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_become_a_tensor) {
  const Fixture file("1,2.5,-3e2\n4,.5,+6\n");
  const CsvFile csv(file.path);
  BOOST_TEST(csv.rows() == 2);
  BOOST_TEST(csv.columns() == 3);
  BOOST_TEST(csv.header().empty());
  const auto x = csv.read<float>();
  BOOST_TEST(x.shape() == (Shape{2, 3}));
  BOOST_TEST((x.to_vector() == std::vector<float>{1, 2.5f, -300, 4, 0.5f, 6}));
  BOOST_TEST((csv.read<double>().to_vector() == std::vector<double>{1, 2.5, -300, 4, 0.5, 6}));
  BOOST_TEST((csv.read<float16>().to_vector()[2] == float16(-300.0f)));
  BOOST_TEST((csv.read<bfloat16>().to_vector()[2] == bfloat16(-300.0f)));
}

BOOST_AUTO_TEST_CASE(a_header_names_columns) {
  const Fixture file("length,width,\"kind, as a number\"\n5.1,3.5,0\n4.9,3,2\n");
  const CsvFile csv(file.path, {.header = true});
  BOOST_TEST(csv.rows() == 2);
  BOOST_TEST((csv.header() == std::vector<std::string>{"length", "width", "kind, as a number"}));
  BOOST_TEST((csv.read<float>({"width", "length"}).to_vector() == std::vector<float>{3.5f, 5.1f, 3, 4.9f}));
  const auto kinds = csv.read<std::int32_t>({"kind, as a number"});
  BOOST_TEST(kinds.shape() == (Shape{2, 1}));
  BOOST_TEST((kinds.to_vector() == std::vector<std::int32_t>{0, 2}));
  BOOST_TEST(csv.read<float>().shape() == (Shape{2, 3}));

  const auto message = [&](const std::vector<std::string>& names) {
    return error_message<FileError>([&] { csv.read<float>(names); });
  };
  BOOST_TEST(message({"width", "height"}) ==
             file.path.string() +
                 ": has no column \"height\"; it has \"length\", \"width\", \"kind, as a number\"");
  BOOST_TEST(error_message<ConfigError>([&] {
               csv.read<float>({"width", "width"});
             }) == "CsvFile: column \"width\" is asked for twice");

  const Fixture twice("a,a\n1,2\n");
  BOOST_TEST(error_message<FileError>([&] { CsvFile(twice.path, {.header = true}).read<float>({"a"}); }) ==
             twice.path.string() + ": has the column \"a\" twice");
  BOOST_TEST(error_message<FileError>([&] { CsvFile(twice.path).read<float>({"a"}); }) ==
             twice.path.string() + ": has no column \"a\"; {.header = true} takes names from the first line");
  BOOST_TEST(CsvFile(Fixture("a,b\n").path, {.header = true}).read<float>().shape() == (Shape{0, 2}));
}

BOOST_AUTO_TEST_CASE(cells_that_are_not_asked_for_may_be_text) {
  const Fixture file("name,age\n\"O'Neill, \"\"Jack\"\"\",50\nCarter,40\n");
  const CsvFile csv(file.path, {.header = true});
  BOOST_TEST((csv.read<float>({"age"}).to_vector() == std::vector<float>{50, 40}));
}

BOOST_AUTO_TEST_CASE(lines_end_in_every_way_and_empty_ones_do_not_count) {
  for (const char* contents : {"1,2\n3,4\n", "1,2\n3,4", "1,2\r\n3,4\r\n", "\n1,2\n\n\n3,4\n\n", "1,2\r3,4\r",
                               "\xEF\xBB\xBF"
                               "1,2\n3,4\n",
                               " 1 ,\t2\n3, 4 \n", "\"1\",\"2\"\n\" 3 \",4\n"}) {
    BOOST_TEST((values(contents) == one_to_four), contents);
  }
  BOOST_TEST((values("1;2\n3;4", {.separator = ';'}) == one_to_four));
  BOOST_TEST((values("1\t2\n3\t4", {.separator = '\t'}) == one_to_four));
  BOOST_TEST((values("1 2\n3 4", {.separator = ' '}) == one_to_four));
  BOOST_TEST((values("\n1\n\n2\n3\r\n4") == one_to_four));
}

BOOST_AUTO_TEST_CASE(quotes_are_as_the_format_says) {
  const Fixture file("\"a\"\"b\",\"c\nd\",\"\"\n1,2,3\n");
  BOOST_TEST((CsvFile(file.path, {.header = true}).header() == std::vector<std::string>{"a\"b", "c\nd", ""}));
  BOOST_TEST(refusal("1,2\n\"3,4\n") == "line 2, column 1: its quotes are not closed");
  BOOST_TEST(refusal("1,2\n\"3\"\"") == "line 2, column 1: its quotes are not closed");
  BOOST_TEST(refusal("1,2\n3,\"4\"x\n") == "line 2, column 2: there is text behind its quotes");
  BOOST_TEST(refusal("1,2\n3,4\"\n") ==
             "line 2, column 2: there is a quote in a cell that does not begin with one");
  BOOST_TEST(refusal("\"a\n\",b\nx,4\n", {.header = true}) == "line 3, column 1: \"x\" is no number");
}

BOOST_AUTO_TEST_CASE(bad_cells_are_named) {
  BOOST_TEST(refusal("a,b\n1,2\n") ==
             "line 1, column 1: \"a\" is no number; with {.header = true} line 1 names the columns");
  BOOST_TEST(
      refusal("\n\n,a b\n1,2\n") ==
      "line 3, column 1: the cell is empty; a number is needed; with {.header = true} line 3 names the "
      "columns");
  BOOST_TEST(refusal("1,b\n1,2\n") == "line 1, column 2: \"b\" is no number");  // as a header has none
  BOOST_TEST(refusal("a, +2.5e3 \n1,2\n") == "line 1, column 1: \"a\" is no number");
  BOOST_TEST(refusal("a,b\n1,c\n", {.header = true}) == "line 2, column 2: \"c\" is no number");
  BOOST_TEST(refusal("1,2\n\n\n3,\n") == "line 4, column 2: the cell is empty; a number is needed");
  BOOST_TEST(refusal("1,2\n ,4\n") == "line 2, column 1: the cell is empty; a number is needed");
  BOOST_TEST(refusal("1,\n") == "line 1, column 2: the cell is empty; a number is needed");
  for (const char* cell : {"1.2.3", "0x10", "1e", "1 2", "--1", "+-1", "+", "-", ".", "1,5", "1\x01"}) {
    BOOST_TEST(refusal("0\n\"" + std::string(cell) + "\"\n")
                   .starts_with("line 2, column 1: \"" + std::string(cell).substr(0, 1)),
               cell);
  }
  BOOST_TEST(refusal("0\n1\x01") == "line 2, column 1: \"1\\u0001\" is no number");
  BOOST_TEST(refusal("0\n" + std::string(100, 'x')) ==
             "line 2, column 1: \"" + std::string(40, 'x') + "\" is no number");
  BOOST_TEST(refusal<std::int32_t>("0\n1.5\n") == "line 2, column 1: \"1.5\" is no integer");
  BOOST_TEST(refusal<std::int32_t>("0\n2147483648\n") ==
             "line 2, column 1: \"2147483648\" is beyond what int32 holds");
  BOOST_TEST(refusal<std::uint8_t>("0\n256\n") == "line 2, column 1: \"256\" is beyond what uint8 holds");
  BOOST_TEST(refusal<std::uint8_t>("0\n-1\n") == "line 2, column 1: \"-1\" is no integer");
  BOOST_TEST(refusal("1,2\n3,4,5\n") == "line 2 has 3 columns, line 1 has 2; all must have the same number");
  BOOST_TEST(refusal("\n1,2\n3\n") == "line 3 has 1 columns, line 2 has 2; all must have the same number");
  BOOST_TEST(refusal("") == "is empty; a CSV file has at least one line");
  BOOST_TEST(refusal("\n\n") == "is empty; a CSV file has at least one line");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_too_large_are_refused_and_small_ones_are_rounded) {
  BOOST_TEST((values("1e-45\n1e-46\n-1e-400\n3.4028235e38") ==
              std::vector<float>{1e-45f, 0, -0.0f, std::numeric_limits<float>::max()}));
  BOOST_TEST((values<double>("1e-400\n5e-324") == std::vector<double>{0, 5e-324}));
  BOOST_TEST(refusal("0\n-1e39") == "line 2, column 1: \"-1e39\" is beyond what float32 holds");
  BOOST_TEST(refusal<double>("0\n1e400") == "line 2, column 1: \"1e400\" is beyond what float64 holds");
  BOOST_TEST(refusal<float16>("0\n70000") == "line 2, column 1: \"70000\" is beyond what float16 holds");
  BOOST_TEST(refusal<bfloat16>("0\n3.4028235e38") ==
             "line 2, column 1: \"3.4028235e38\" is beyond what bfloat16 holds");
  const auto special = values("nan\ninf\n-inf");
  BOOST_TEST(std::isnan(special[0]));
  BOOST_TEST(special[1] == std::numeric_limits<float>::infinity());
  BOOST_TEST(special[2] == -std::numeric_limits<float>::infinity());
  BOOST_TEST((values<float16>("inf")[0] == std::numeric_limits<float16>::infinity()));
}

BOOST_AUTO_TEST_CASE(a_separator_that_cannot_be_is_refused) {
  const Fixture file("1,2\n");
  for (const char separator : {'"', '\n', '\r'}) {
    BOOST_TEST(error_message<ConfigError>([&] { CsvFile(file.path, {.separator = separator}); }) ==
               "CsvFile: the separator is a quote or ends a line; any other character is allowed");
  }
  BOOST_TEST(error_message<FileError>([] { CsvFile("no/such.csv"); }) ==
             "no/such.csv: cannot be opened: No such file or directory");
}

BOOST_AUTO_TEST_CASE(damaged_files_are_read_or_refused_but_never_crash) {
  Rng rng(19);
  const std::string valid = "length,width,\"kind, \"\"k\"\"\"\n5.1,\"3.5\",0\r\n-4.9e1,3,2\n1,2,3\n";
  int refused = 0;
  for (int i = 0; i < 2000; ++i)
    refused += refusal(cria::test::damaged(valid, rng), {.header = true}) != "(nothing thrown)";
  BOOST_TEST(refused > 600);
  BOOST_TEST(refused < 2000);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
