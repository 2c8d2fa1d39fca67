#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "report_page.hpp"

namespace pretrain {

namespace {

using Json = nlohmann::ordered_json;

/// Iterations and values, NaN where there was no finite number.
using Series = std::vector<std::pair<std::int64_t, double>>;

/// Points of a curve that a page has pixels for; at its beginning, where losses fall fast, they lie closer.
constexpr std::size_t most_points = 1000, first_points = 100;
constexpr std::size_t most_samples = 200;

/// To six digits, which are more than a curve shows.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return std::strtod(text, nullptr);
}

/// {"iter", "mean"}, and of more values than there are points "low" and "high", the least and largest value
/// from a point to the next; "lost", how many values were no finite numbers, if there were any. A mean of
/// none is null.
Json thinned(const Series& series) {
  Json iter = Json::array(), mean = Json::array(), low = Json::array(), high = Json::array();
  Json lost = Json::array();
  for (std::size_t begin = 0; begin < series.size();) {
    const std::size_t size = std::clamp<std::size_t>(series.size() / most_points, 1,
                                                     std::max<std::size_t>(1, begin / first_points));
    const std::size_t end = std::min(begin + size, series.size());
    double sum = 0, least = std::numeric_limits<double>::infinity(), most = -least;
    std::int64_t count = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const double value = series[i].second;
      if (!std::isfinite(value)) continue;
      sum += value;
      least = std::min(least, value);
      most = std::max(most, value);
      ++count;
    }
    iter.push_back(series[begin].first);
    lost.push_back(static_cast<std::int64_t>(end - begin) - count);
    for (auto [list, value] : {std::pair(&mean, sum / static_cast<double>(count)), std::pair(&low, least),
                               std::pair(&high, most)}) {
      list->push_back(count > 0 ? Json(rounded(value)) : Json());
    }
    begin = end;
  }
  Json points{{"iter", iter}, {"mean", mean}};
  if (iter.size() < series.size()) points.update({{"low", low}, {"high", high}});
  if (std::ranges::any_of(lost, [](const Json& count) { return count > 0; })) points["lost"] = lost;
  return points;
}

/// At most so many samples, the last one among them.
Json thinned_samples(const std::vector<std::pair<std::int64_t, std::string>>& samples) {
  const std::size_t step = (samples.size() + most_samples - 1) / most_samples;
  Json kept = Json::array();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if ((samples.size() - 1 - i) % step == 0) {
      kept.push_back({{"iter", samples[i].first}, {"text", samples[i].second}});
    }
  }
  return kept;
}

/// The options and facts in run.json; a run of which none is known has none.
void add_settings(Json& run, const std::filesystem::path& path) {
  Json settings = Json::object();
  if (std::filesystem::exists(path)) {
    settings = Json::parse(cria::io::read_file(path), nullptr, /*allow_exceptions=*/false);
    if (!settings.is_object() || !settings.value("options", Json::object()).is_object()) {
      throw cria::FileError(path.string(), "is not a JSON object with the options of a run");
    }
  }
  run["options"] = settings.value("options", Json::object());
  settings.erase("options");
  run["facts"] = settings;
}

/// What the lines of metrics.jsonl hold. A last line without its end is being written, or its writer was
/// killed.
void add_metrics(Json& run, const std::filesystem::path& path) {
  std::map<std::string, Series> all;
  std::vector<std::pair<std::int64_t, std::string>> samples;
  const std::string contents = cria::io::read_file(path);
  run["iterations"] = 0;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < contents.size();) {
    const std::size_t end = contents.find('\n', begin);
    if (end == std::string::npos) break;
    ++number;
    const std::string_view text = std::string_view(contents).substr(begin, end - begin);
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("iter") || !line["iter"].is_number_integer()) {
      throw cria::FileError(path.string(), "line " + std::to_string(number) +
                                               " is not a JSON object with an iteration \"iter\"");
    }
    const auto iteration = line["iter"].get<std::int64_t>();
    if (line.contains("loss")) run["iterations"] = iteration + 1;
    for (const auto& [key, value] : line.items()) {
      if (key == "iter") continue;
      if (value.is_number()) all[key].emplace_back(iteration, value.get<double>());
      if (value.is_null()) all[key].emplace_back(iteration, std::nan(""));
      if (key == "sample" && value.is_string()) samples.emplace_back(iteration, value.get<std::string>());
    }
    begin = end + 1;
  }
  run["series"] = Json::object();
  for (auto& [key, series] : all) {
    std::ranges::stable_sort(series, {}, &Series::value_type::first);
    run["series"][key] = thinned(series);
  }
  run["samples"] = thinned_samples(samples);
}

Json run_in(const std::filesystem::path& folder, const std::string& name, bool goes_on) {
  const auto metrics = folder / "metrics.jsonl";
  if (!std::filesystem::is_regular_file(metrics)) {
    throw cria::FileError(folder.string(), "holds no metrics.jsonl; a report is of the --out_dir of `train`");
  }
  Json run{{"name", name}, {"running", goes_on}};
  add_settings(run, folder / "run.json");
  add_metrics(run, metrics);
  return run;
}

std::string run_name(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// The page with its data, in which no text can end the element that it stands in.
void write_page(const std::filesystem::path& path, const Json& runs) {
  constexpr std::string_view place = "@DATA@";
  std::string page = report_page;
  std::string data;
  for (const char letter : runs.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    letter == '<' ? data += "\\u003c" : data += letter;
  }
  page.replace(page.find(place), place.size(), data);
  cria::io::write_file(path, page);
}

}  // namespace

void report(const ReportOptions& options) {
  if (options.runs.empty()) {
    throw cria::ConfigError("report needs the folder of a run, as in `pretrain_llama report output`");
  }
  const auto count = [&](const std::string& name) {
    return std::ranges::count(options.runs, name, run_name);
  };
  Json runs = Json::array();
  for (const std::string& folder : options.runs) {
    const std::string name = run_name(folder);
    runs.push_back(run_in(folder, count(name) > 1 ? folder : name, false));
  }
  write_page(options.output, runs);
  std::printf("%s: %zu run%s\n", options.output.c_str(), runs.size(), runs.size() > 1 ? "s" : "");
}

void write_report(const std::filesystem::path& out_dir, bool goes_on) {
  write_page(out_dir / "report.html", Json::array({run_in(out_dir, run_name(out_dir), goes_on)}));
}

}  // namespace pretrain
