#include "cria/io/metrics.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(metrics)

namespace {

using cria::FileError;
using cria::io::MetricsLog;
using cria::io::read_file;
using cria::io::write_file;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

// A run's iterations [first, last): one line each, and an evaluation before every second one.
void log_run(MetricsLog& log, int first, int last) {
  for (int iter = first; iter < last; ++iter) {
    if (iter % 2 == 0) log.write({{"iter", iter}, {"val_loss", 1.0 / (iter + 3)}});
    log.write({{"iter", iter}, {"loss", std::sqrt(iter)}, {"lr", 5e-4}});
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_object_is_one_line_with_its_keys_in_order_and_there_at_once) {
  const TemporaryDirectory folder;
  MetricsLog log(folder / "m.jsonl", 0);
  BOOST_TEST(read_file(folder / "m.jsonl") == "");
  log.write({{"iter", 0}, {"loss", 0.1}, {"a", "text\n"}});
  BOOST_TEST(read_file(folder / "m.jsonl") == "{\"iter\":0,\"loss\":0.1,\"a\":\"text\\n\"}\n");
  log.write({{"iter", 1}});
  BOOST_TEST(read_file(folder / "m.jsonl") == "{\"iter\":0,\"loss\":0.1,\"a\":\"text\\n\"}\n{\"iter\":1}\n");
}

BOOST_AUTO_TEST_CASE(numbers_read_back_exactly) {
  const TemporaryDirectory folder;
  MetricsLog log(folder / "m.jsonl", 0);
  const std::vector<double> values{1.0 / 3.0, std::nextafter(1.0, 2.0), 5e-324, 1.7976931348623157e308, -0.0,
                                   8.3};
  log.write({{"iter", 0}, {"values", values}, {"single", 0.1f}});
  const auto line = nlohmann::json::parse(read_file(folder / "m.jsonl"));
  BOOST_TEST((line["values"].get<std::vector<double>>() == values));
  BOOST_TEST(std::signbit(line["values"][4].get<double>()));
  BOOST_TEST(line["single"].get<float>() == 0.1f);
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite_are_null) {
  const TemporaryDirectory folder;
  MetricsLog log(folder / "m.jsonl", 0);
  const double infinity = std::numeric_limits<double>::infinity();
  log.write({{"iter", 0}, {"loss", std::nan("")}, {"grad_norm", infinity}, {"lr", -infinity}});
  BOOST_TEST(read_file(folder / "m.jsonl") == "{\"iter\":0,\"loss\":null,\"grad_norm\":null,\"lr\":null}\n");
}

BOOST_AUTO_TEST_CASE(a_resumed_run_leaves_the_file_of_a_run_never_stopped) {
  const TemporaryDirectory folder;
  {
    MetricsLog log(folder / "whole", 0);
    log_run(log, 0, 12);
  }
  {
    MetricsLog log(folder / "resumed", 0);
    log_run(log, 0, 9);
  }
  {
    MetricsLog log(folder / "resumed", 6);
    log_run(log, 6, 12);
  }
  BOOST_TEST(read_file(folder / "resumed") == read_file(folder / "whole"));
}

BOOST_AUTO_TEST_CASE(a_line_cut_anywhere_is_dropped_or_written_again) {
  const TemporaryDirectory folder;
  {
    MetricsLog log(folder / "whole", 0);
    log_run(log, 0, 6);
  }
  const std::string whole = read_file(folder / "whole");
  const std::size_t kept = whole.find("{\"iter\":4");
  // At the first size the last line kept lacks nothing but its newline: it must not be lost.
  for (std::size_t size = kept - 1; size <= whole.size(); size += 3) {
    write_file(folder / "cut", whole.substr(0, size));
    MetricsLog log(folder / "cut", 4);
    log_run(log, 4, 6);
    BOOST_TEST(read_file(folder / "cut") == whole);
  }
}

BOOST_AUTO_TEST_CASE(lines_that_are_no_objects_with_an_iteration_are_dropped) {
  const TemporaryDirectory folder;
  const std::string zeros(3, '\0');
  write_file(folder / "m", "{\"iter\":1}\n\n[1]\nnull\n{\"loss\":2}\n{\"iter\":\"1\"}\n" + zeros +
                               "\n{\"iter\":2}\n{\"ite");
  MetricsLog log(folder / "m", 5);
  BOOST_TEST(read_file(folder / "m") == "{\"iter\":1}\n{\"iter\":2}\n");
}

BOOST_AUTO_TEST_CASE(zero_starts_afresh_and_a_missing_file_is_created) {
  const TemporaryDirectory folder;
  write_file(folder / "old", "{\"iter\":-1}\n{\"iter\":0}\n");
  MetricsLog fresh(folder / "old", 0);
  BOOST_TEST(read_file(folder / "old") == "");
  MetricsLog missing(folder / "new", 7);
  BOOST_TEST(read_file(folder / "new") == "");
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
  const TemporaryDirectory folder;
  const std::string path = folder / "missing/m";
  BOOST_TEST(error_message<FileError>([&] { MetricsLog log(path, 0); }) ==
             path + ".partial: cannot be written: No such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
