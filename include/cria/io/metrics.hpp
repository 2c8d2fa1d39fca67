#pragma once
/// Metrics as JSON lines: one object a line, each with the iteration "iter" that it belongs to.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"

namespace cria::io {

/// Appends to a file of metrics so that the file of a run that was stopped and resumed equals that of a run
/// that was never stopped.
class MetricsLog {
 public:
  /// Opens the file for appending, after dropping the lines with "iter" >= keep_before_iter, which the
  /// resumed run writes again, and those that a killed process left unfinished. 0 starts afresh. Throws
  /// FileError; then the old file is intact.
  MetricsLog(const std::filesystem::path& path, std::int64_t keep_before_iter)
      : file_(keep_lines(path, keep_before_iter), OutputFile::Mode::append) {}

  /// Writes one line and hands it to the system at once. Numbers keep every digit that reading them back
  /// exactly needs; infinities and NaN become null. Throws FileError.
  void write(const nlohmann::ordered_json& object) {
    file_.write(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    file_.flush();
  }

 private:
  static const std::filesystem::path& keep_lines(const std::filesystem::path& path,
                                                 std::int64_t keep_before_iter) {
    std::string kept;
    if (keep_before_iter > 0 && std::filesystem::exists(path)) {
      const std::string contents = read_file(path);
      for (std::size_t begin = 0; begin < contents.size();) {
        const std::size_t end = std::min(contents.find('\n', begin), contents.size());
        const std::string_view line = std::string_view(contents).substr(begin, end - begin);
        if (is_before(line, keep_before_iter)) kept.append(line).append("\n");
        begin = end + 1;
      }
    }
    write_file(path, kept);
    return path;
  }

  static bool is_before(std::string_view line, std::int64_t keep_before_iter) {
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    return object.is_object() && object.contains("iter") && object["iter"].is_number_integer() &&
           object["iter"].get<std::int64_t>() < keep_before_iter;
  }

  OutputFile file_;
};

}  // namespace cria::io
