#include "pretrain_llama/report.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "support/error_message.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(report)

namespace {

using cria::io::read_file;
using cria::io::write_file;
using cria::test::error_message;
using cria::test::TemporaryDirectory;
using nlohmann::json;

/// The runs that a page shows.
json runs_of(const std::string& page) {
  const std::string opening = R"(<script type="application/json" id="data">)";
  const std::size_t begin = page.find(opening) + opening.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

/// A folder with this metrics.jsonl, and the runs of its report.
struct Reported {
  explicit Reported(const std::string& metrics, bool goes_on = false) {
    write_file(folder / "metrics.jsonl", metrics);
    pretrain::write_report(folder / "", goes_on);
    page = read_file(folder / "report.html");
    runs = runs_of(page);
  }
  TemporaryDirectory folder;
  std::string page;
  json runs;
};

std::string line(std::int64_t iteration, double loss) {
  return json({{"iter", iteration}, {"loss", loss}}).dump() + "\n";
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_page_holds_the_numbers_of_a_run) {
  const Reported run(
      "{\"iter\":0,\"train_loss\":7.5,\"val_loss\":7.25}\n{\"iter\":0,\"loss\":7.125,\"mfu\":null}\n"
      "{\"iter\":1,\"loss\":6.5,\"mfu\":0.25}\n");
  BOOST_TEST_REQUIRE(run.runs.size() == 1u);
  const json& series = run.runs[0]["series"];
  BOOST_TEST(series["loss"] == json({{"iter", {0, 1}}, {"mean", {7.125, 6.5}}}));
  BOOST_TEST(series["val_loss"] == json({{"iter", {0}}, {"mean", {7.25}}}));
  BOOST_TEST(series["mfu"] == json({{"iter", {0, 1}}, {"mean", {nullptr, 0.25}}, {"lost", {1, 0}}}));
  BOOST_TEST(run.runs[0]["iterations"] == 2);
  BOOST_TEST(run.runs[0]["running"] == false);
  BOOST_TEST(Reported("", true).runs[0]["running"] == true);
  // Nothing of it comes from elsewhere.
  for (const char* other : {"src=", "href=", "@import", "url(h", "//cdn"}) {
    BOOST_TEST(run.page.find(other) == std::string::npos, other);
  }
}

BOOST_AUTO_TEST_CASE(a_long_curve_is_thinned_and_keeps_its_extremes_and_its_mean) {
  constexpr std::int64_t count = 100'000;
  std::string metrics;
  for (std::int64_t i = 0; i < count; ++i) {
    metrics += line(i, i == 31'415 ? 99.0 : i == 27'182 ? -3.0 : i == 50'000 ? std::nan("") : double(i % 2));
  }
  const json loss = Reported(metrics).runs[0]["series"]["loss"];
  const auto& iterations = loss["iter"];
  BOOST_TEST(iterations.size() > 1000u);
  BOOST_TEST(iterations.size() < 2000u);
  BOOST_TEST(std::ranges::is_sorted(iterations));
  BOOST_TEST(iterations[99] == 99);  // the beginning has all its points
  double most = 0, least = 0, sum = 0;
  std::int64_t lost = 0;
  for (std::size_t p = 0; p < iterations.size(); ++p) {
    const std::int64_t begin = iterations[p].get<std::int64_t>();
    const std::int64_t end = p + 1 < iterations.size() ? iterations[p + 1].get<std::int64_t>() : count;
    const double high = loss["high"][p], low = loss["low"][p];
    BOOST_TEST((high == 99.0) == (begin <= 31'415 && 31'415 < end));
    BOOST_TEST((low == -3.0) == (begin <= 27'182 && 27'182 < end));
    most = std::max(most, high);
    least = std::min(least, low);
    lost += loss["lost"][p].get<std::int64_t>();
    sum += loss["mean"][p].get<double>() *
           static_cast<double>(end - begin - loss["lost"][p].get<std::int64_t>());
  }
  BOOST_TEST(most == 99.0);
  BOOST_TEST(least == -3.0);
  BOOST_TEST(lost == 1);
  // 31,415 is odd, 27,182 and 50,000 are even.
  BOOST_TEST(std::abs(sum - (50'000 - 1 + 99 - 3)) < 0.5);
}

BOOST_AUTO_TEST_CASE(no_text_ends_the_element_that_it_stands_in) {
  const std::string text = "</script><script>alert(1)</script> & \"\\ \xff <!-- \xe2\x80\xa8";
  const Reported run(
      json({{"iter", 0}, {"sample", text}}).dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  BOOST_TEST(run.page.find("alert(1)</script>") == std::string::npos);
  const std::size_t data = run.page.find("id=\"data\">") + 10;
  BOOST_TEST(run.page.substr(data, run.page.find("</script>", data) - data).find('<') == std::string::npos);
  BOOST_TEST(run.runs[0]["samples"][0]["text"].get<std::string>().starts_with("</script><script>alert(1)"));
}

BOOST_AUTO_TEST_CASE(a_line_that_is_still_written_is_left_out) {
  BOOST_TEST(Reported(line(0, 2.0) + "{\"iter\":1,\"lo").runs[0]["series"]["loss"]["iter"] ==
             json::array({0}));
}

BOOST_AUTO_TEST_CASE(several_runs_have_names_that_tell_them_apart) {
  const TemporaryDirectory folder;
  const std::string paths[] = {folder / "a/run", folder / "b/run/", folder / "c/other"};
  for (const std::string& path : paths) {
    std::filesystem::create_directories(path);
    write_file(std::filesystem::path(path) / "metrics.jsonl", line(0, 2.0));
  }
  write_file(folder / "c/other/run.json", R"({"floor": 0.5, "options": {"dim": 16}})");
  const std::string output = folder / "several.html";
  pretrain::report({{paths[0], paths[1], paths[2]}, output});
  const json runs = runs_of(read_file(output));
  BOOST_TEST_REQUIRE(runs.size() == 3u);
  BOOST_TEST(runs[0]["name"] == paths[0]);
  BOOST_TEST(runs[1]["name"] == paths[1]);
  BOOST_TEST(runs[2]["name"] == "other");
  BOOST_TEST(runs[2]["options"] == json({{"dim", 16}}));
  BOOST_TEST(runs[2]["facts"] == json({{"floor", 0.5}}));
}

BOOST_AUTO_TEST_CASE(what_is_no_run_is_refused_by_a_sentence) {
  const TemporaryDirectory folder;
  const std::string run = folder / "";
  const auto refused = [&] {
    return error_message<cria::FileError>([&] { pretrain::write_report(run, false); });
  };
  BOOST_TEST(refused().ends_with("holds no metrics.jsonl; a report is of the --out_dir of `train`"));
  for (const char* second : {"no JSON\n", "[1]\n", "{\"loss\":1}\n", "{\"iter\":\"1\"}\n", "\n"}) {
    write_file(folder / "metrics.jsonl", line(0, 2.0) + second);
    BOOST_TEST(refused().ends_with("metrics.jsonl: line 2 is not a JSON object with an iteration \"iter\""),
               second);
  }
  write_file(folder / "metrics.jsonl", line(0, 2.0));
  for (const char* settings : {"no JSON", "[]", "{\"options\": 1}"}) {
    write_file(folder / "run.json", settings);
    BOOST_TEST(refused().ends_with("run.json: is not a JSON object with the options of a run"), settings);
  }
  BOOST_TEST(error_message<cria::ConfigError>([] {
               pretrain::report({});
             }).starts_with("report needs the folder of a run"));
  const auto outcome = cria::test::run({PRETRAIN_LLAMA, "report", folder / "nowhere"});
  BOOST_TEST(outcome.exit_code == 1);
  BOOST_TEST(outcome.errors.starts_with("error: "));
}

BOOST_AUTO_TEST_CASE(a_run_draws_itself) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  const auto outcome = cria::test::run(
      cria::test::small_training(cria::test::small_data().data_dir(), out, {"--max_iters=12"}));
  BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
  const json run = runs_of(read_file(out + "/report.html"))[0];
  BOOST_TEST(run["name"] == "out");
  BOOST_TEST(run["running"] == false);
  BOOST_TEST(run["options"]["max_iters"] == 12);
  BOOST_TEST(run["facts"]["tokens_per_iteration"] == 128);
  BOOST_TEST(run["facts"]["parameters"] > 4800);
  const auto losses = cria::test::metrics(out, "loss");
  const json& drawn = run["series"]["loss"];
  BOOST_TEST_REQUIRE(drawn["mean"].size() == 13u);
  for (std::size_t i = 0; i < 13; ++i) {
    BOOST_TEST(drawn["iter"][i] == losses[i]["iter"]);
    BOOST_TEST(std::abs(drawn["mean"][i].get<double>() - losses[i]["loss"].get<double>()) < 1e-4);
  }
  BOOST_TEST(run["series"]["val_loss"]["iter"] == json::array({0, 5, 10}));
}

BOOST_AUTO_TEST_CASE(a_run_writes_for_tensorboard) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  const auto events = [&] {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(out)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents."))
        all += read_file(entry.path());
    }
    return all;
  };
  const auto count = [](const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  BOOST_TEST_REQUIRE(
      cria::test::run(cria::test::small_training(cria::test::small_data().data_dir(), out, {"--max_iters=7"}))
          .exit_code == 0);
  const std::string begun = events();
  BOOST_TEST(count(begun, "grad_norm") == 8);
  BOOST_TEST(count(begun, "val_loss") == 2);
  BOOST_TEST_REQUIRE(
      cria::test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, "--max_iters=9"})
          .exit_code == 0);
  BOOST_TEST(count(events(), "grad_norm") == 10);
  // Of step 8 and what follows only the second file tells: step (field 2), session_log {status: START}.
  BOOST_TEST(count(begun, "\x10\x08\x3a\x02\x08\x01") == 0);
  BOOST_TEST(count(events(), "\x10\x08\x3a\x02\x08\x01") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
