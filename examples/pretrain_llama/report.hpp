#pragma once
/// A run, or several over each other, as one HTML file that needs nothing else: curves, settings, samples.

#include <filesystem>
#include <string>
#include <vector>

namespace pretrain {

struct ReportOptions {
  std::vector<std::string> runs;  // folders that `train` wrote
  std::string output = "report.html";
};

/// Writes the report of `runs` to the file `output` and says so. Throws cria::ConfigError without a run, and
/// cria::FileError for a folder without metrics.jsonl, a file of other contents, and what cannot be written.
void report(const ReportOptions& options);

/// Writes out_dir/report.html about the run in out_dir; of one that `goes_on` a page that loads itself again.
/// Takes some microseconds for each line of metrics.jsonl. Throws cria::FileError.
void write_report(const std::filesystem::path& out_dir, bool goes_on);

}  // namespace pretrain
