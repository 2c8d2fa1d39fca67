#pragma once
/// A table of what a module consists of.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cria/nn/module.hpp"

namespace cria::nn {

namespace detail {

/// 1234567 as 1,234,567.
inline std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

/// Rows of cells, those of names and shapes on the left of their columns, numbers on the right.
class Table {
 public:
  static constexpr std::size_t columns = 6;
  using Row = std::array<std::string, columns>;

  void add(Row row) {
    for (std::size_t i = 0; i < columns; ++i) widths_[i] = std::max(widths_[i], row[i].size());
    rows_.push_back(std::move(row));
  }
  std::string text() const {
    std::string all;
    for (const Row& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < columns; ++i) {
        const std::string gap(widths_[i] - row[i].size(), ' ');
        const bool is_number = i == 3 || i == 4;
        line += (i == 0 ? "" : "  ") + (is_number ? gap + row[i] : row[i] + gap);
      }
      all += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return all;
  }

 private:
  std::vector<Row> rows_;
  std::array<std::size_t, columns> widths_{};
};

}  // namespace detail

/// Names, shapes, dtypes, numbers of elements and bytes of all parameters and buffers, which are frozen, and
/// the totals: a table to be printed. Throws ConfigError if one is listed twice.
template <class M>
std::string summary(const M& module) {
  check_listed_once(module);
  std::int64_t trained = 0, frozen = 0, in_buffers = 0, bytes = 0;
  detail::Table table;
  table.add({"name", "shape", "dtype", "elements", "bytes", ""});
  const auto add = [&]<class T, class B>(const std::string& name, const Tensor<T, B>& value,
                                         std::int64_t& total, const char* note) {
    const auto size_in_bytes = value.size() * static_cast<std::int64_t>(sizeof(T));
    total += value.size();
    bytes += size_in_bytes;
    table.add({name, to_string(value.shape()), std::string(dtype_name<T>), detail::grouped(value.size()),
               detail::grouped(size_in_bytes), note});
  };
  for_each_value(module, [&](const std::string& name, const auto& field) {
    if constexpr (requires { field.grad(); }) {
      const bool is_trained = field.requires_grad();
      add(name, field.value(), is_trained ? trained : frozen, is_trained ? "" : "frozen");
    } else {
      add(name, field.value(), in_buffers, "buffer");
    }
  });
  std::string totals = detail::grouped(trained + frozen) + " parameters";
  if (frozen > 0) totals += ", of which " + detail::grouped(frozen) + " are frozen";
  if (in_buffers > 0) totals += "; " + detail::grouped(in_buffers) + " elements in buffers";
  return table.text() + totals + "; " + detail::grouped(bytes) + " bytes\n";
}

}  // namespace cria::nn
