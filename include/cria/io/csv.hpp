#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cria/backend/cpu/cpu.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/error.hpp"
#include "cria/core/tensor.hpp"
#include "cria/io/file.hpp"
#include "cria/io/in_quotes.hpp"

namespace cria::io {

struct CsvOptions {
  bool header = false;  // the first line names the columns
  char separator = ',';
};

namespace detail {

/// A walk through the cells of a text by RFC 4180: the separator divides cells, the end of a line divides
/// records. A cell in quotes may have both inside, and its quotes are doubled. Empty lines are passed over.
class CsvCells {
 public:
  CsvCells(std::string_view text, char separator, const std::string& path)
      : rest_(text), separator_(separator), path_(path) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);  // some programs write it before UTF-8
    skip_ends_of_lines();
  }

  /// Goes to the next cell; false at the end of the text. Throws FileError for quotes that are not as the
  /// format says.
  bool next() {
    if (ends_record_ && rest_.empty()) return false;
    column_ = ends_record_ ? 1 : column_ + 1;
    line_ = next_line_;
    if (rest_.starts_with('"')) {
      read_quoted();
    } else {
      const std::size_t size = size_of_plain();
      text_ = rest_.substr(0, size);
      rest_.remove_prefix(size);
    }
    ends_record_ = !rest_.starts_with(separator_);
    if (ends_record_) {
      skip_ends_of_lines();
    } else {
      rest_.remove_prefix(1);
    }
    return true;
  }

  /// The cell's text, which is there until the next one is read.
  std::string_view text() const { return text_; }
  /// Whether it is the last of its record.
  bool ends_record() const { return ends_record_; }
  /// Where it is, from 1.
  std::int64_t line() const { return line_; }
  std::int64_t column() const { return column_; }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw FileError(path_,
                    "line " + std::to_string(line_) + ", column " + std::to_string(column_) + ": " + problem);
  }

 private:
  static bool ends_line(char character) { return character == '\n' || character == '\r'; }

  void skip_ends_of_lines() {
    for (; !rest_.empty() && ends_line(rest_.front()); rest_.remove_prefix(1))
      next_line_ += rest_.front() == '\n';
  }

  std::size_t size_of_plain() const {
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == separator_ || ends_line(rest_[i])) return i;
      if (rest_[i] == '"') refuse("there is a quote in a cell that does not begin with one");
    }
    return rest_.size();
  }

  void read_quoted() {
    unquoted_.clear();
    for (bool closed = false; !closed;) {
      rest_.remove_prefix(1);  // the quote that opens the text, or the second of two inside
      const std::size_t size = rest_.find('"');
      if (size == std::string_view::npos) refuse("its quotes are not closed");
      next_line_ += std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(size), '\n');
      unquoted_ += rest_.substr(0, size);
      rest_.remove_prefix(size + 1);
      closed = !rest_.starts_with('"');
      if (!closed) unquoted_ += '"';
    }
    if (size_of_plain() > 0) refuse("there is text behind its quotes");
    text_ = unquoted_;
  }

  std::string_view rest_, text_;
  char separator_;
  const std::string& path_;
  std::string unquoted_;
  std::int64_t next_line_ = 1, line_ = 1, column_ = 0;
  bool ends_record_ = true;
};

}  // namespace detail

/// A file of values that are divided by commas, or by another character (RFC 4180), mapped into memory.
class CsvFile {
 public:
  /// Throws FileError for a file without a line, for lines with different numbers of cells and for quotes
  /// that are not as the format says; ConfigError for a separator that is a quote or ends a line.
  explicit CsvFile(const std::filesystem::path& path, const CsvOptions& options = {})
      : path_(path.string()), options_(options), file_(path) {
    if (options.separator == '"' || options.separator == '\n' || options.separator == '\r')
      throw ConfigError("CsvFile: the separator is a quote or ends a line; any other character is allowed");
    for (detail::CsvCells cells = all_cells(); cells.next();) {
      if (first_line_ == 0) first_line_ = cells.line();
      if (rows_ == 0 && options.header) header_.emplace_back(cells.text());
      if (!cells.ends_record()) continue;
      if (rows_++ == 0) columns_ = cells.column();
      if (cells.column() == columns_) continue;
      throw FileError(path_, "line " + std::to_string(cells.line()) + " has " +
                                 std::to_string(cells.column()) + " columns, line " +
                                 std::to_string(first_line_) + " has " + std::to_string(columns_) +
                                 "; all must have the same number");
    }
    if (rows_ == 0) throw FileError(path_, "is empty; a CSV file has at least one line");
    if (options.header) --rows_;
  }

  /// Lines with numbers: without the header, without empty ones.
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  /// The names of the columns; empty without a header.
  const std::vector<std::string>& header() const { return header_; }

  /// All columns as numbers, [rows, columns]. Spaces around them do not matter. Throws FileError, with line
  /// and column, for a cell that is no number of T; "nan" and "inf" are numbers of floating-point types.
  template <class T>
  Tensor<T, Cpu> read() const {
    std::vector<std::int64_t> places(static_cast<std::size_t>(columns_));
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::int64_t>(i);
    return read_to<T>(places, columns_);
  }

  /// The columns of these names, [rows, names.size()]. Throws FileError for a name that the header does not
  /// have, or has twice, ConfigError for one that is asked for twice.
  template <class T>
  Tensor<T, Cpu> read(const std::vector<std::string>& names) const {
    std::vector<std::int64_t> places(static_cast<std::size_t>(columns_), -1);
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::int64_t& place = places[index_of(names[i])];
      if (place >= 0)
        throw ConfigError("CsvFile: column " + detail::in_quotes(names[i]) + " is asked for twice");
      place = static_cast<std::int64_t>(i);
    }
    return read_to<T>(places, static_cast<std::int64_t>(names.size()));
  }

 private:
  detail::CsvCells all_cells() const {
    const auto bytes = file_.bytes();
    return {{reinterpret_cast<const char*>(bytes.data()), bytes.size()}, options_.separator, path_};
  }

  std::size_t index_of(const std::string& name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found == header_.end()) {
      std::string names;
      for (const auto& known : header_)
        names += (names.empty() ? "; it has " : ", ") + detail::in_quotes(known);
      throw FileError(path_,
                      "has no column " + detail::in_quotes(name) +
                          (options_.header ? names : "; {.header = true} takes names from the first line"));
    }
    if (std::find(found + 1, header_.end(), name) != header_.end())
      throw FileError(path_, "has the column " + detail::in_quotes(name) + " twice");
    return static_cast<std::size_t>(found - header_.begin());
  }

  /// Cells of column i go to column places[i] of the tensor, or nowhere if that is negative.
  template <class T>
  Tensor<T, Cpu> read_to(const std::vector<std::int64_t>& places, std::int64_t width) const {
    auto tensor = Tensor<T, Cpu>::empty({rows_, width});
    T* row = tensor.mutable_vec().data;
    detail::CsvCells cells = all_cells();
    for (bool in_header = options_.header; in_header && cells.next();) in_header = !cells.ends_record();
    while (cells.next()) {
      const std::int64_t place = places[static_cast<std::size_t>(cells.column() - 1)];
      if (place >= 0) row[place] = number<T>(cells);
      if (cells.ends_record()) row += width;
    }
    return tensor;
  }

  /// Without spaces around it, and without a plus that std::from_chars does not know.
  static std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    text.remove_suffix(text.size() - (text.find_last_not_of(" \t") + 1));
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    return text;
  }

  template <class T>
  T number(const detail::CsvCells& cells) const {
    static_assert(Number<T> && !dtype_name<T>.empty(),
                  "cells are numbers of a type that tensors are saved in");
    const std::string_view text = trimmed(cells.text());
    const char *const begin = text.data(), *const all = begin + text.size();
    acc_t<T> value = 0;
    auto [end, error] = std::from_chars(begin, all, value);
    if constexpr (FloatingPoint<T>) {
      long double wide = 0;  // tells what is too small, and becomes 0, from what is too large
      if (error == std::errc::result_out_of_range && std::from_chars(begin, all, wide).ec == std::errc() &&
          std::abs(wide) < 1) {
        value = static_cast<acc_t<T>>(wide);
        error = std::errc();
      }
      if (std::isinf(static_cast<acc_t<T>>(static_cast<T>(value))) && !std::isinf(value))
        error = std::errc::result_out_of_range;
    }
    if (end != all || begin == all) refuse<T>(cells, text, false);
    if (error != std::errc()) refuse<T>(cells, text, error == std::errc::result_out_of_range);
    return static_cast<T>(value);
  }

  template <class T>
  [[noreturn]] void refuse(const detail::CsvCells& cells, std::string_view text, bool too_large) const {
    const std::string shown = detail::in_quotes(text.substr(0, 40));
    if (too_large) cells.refuse(shown + " is beyond what " + std::string(dtype_name<T>) + " holds");
    cells.refuse((text.empty() ? "the cell is empty; a number is needed"
                               : shown + (FloatingPoint<T> ? " is no number" : " is no integer")) +
                 (cells.line() == first_line_ && first_line_has_names()
                      ? "; with {.header = true} line " + std::to_string(first_line_) + " names the columns"
                      : ""));
  }

  /// Whether the first line looks like a header that nobody spoke of: none of its cells is a number.
  bool first_line_has_names() const {
    detail::CsvCells cells = all_cells();
    for (bool goes_on = !options_.header; goes_on && cells.next(); goes_on = !cells.ends_record()) {
      double value = 0;
      const std::string_view text = trimmed(cells.text());
      const char* const end = text.data() + text.size();
      if (!text.empty() && std::from_chars(text.data(), end, value).ptr == end) return false;
    }
    return !options_.header;
  }

  std::string path_;
  CsvOptions options_;
  MappedFile file_;
  std::vector<std::string> header_;
  std::int64_t rows_ = 0, columns_ = 0, first_line_ = 0;
};

}  // namespace cria::io
