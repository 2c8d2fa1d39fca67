#pragma once
/// What a matrix product is added to before it is rounded.

#include <cstdint>

#include "cria/core/view.hpp"

namespace cria::cpu {

/// A matrix whose element (i, j) is data[i row + j column]; nothing if data is null.
template <class C>
struct Addend {
  const C* data = nullptr;
  std::int64_t row = 0, column = 0;

  explicit operator bool() const { return data != nullptr; }
  const C& at(std::int64_t i, std::int64_t j) const { return data[i * row + j * column]; }
  Addend from(std::int64_t i, std::int64_t j) const {
    return data ? Addend{&at(i, j), row, column} : Addend{};
  }
  Addend transposed() const { return {data, column, row}; }
};

/// c itself, or nothing.
template <class C>
Addend<C> itself_if(bool accumulate, Rows<C> c) {
  return accumulate ? Addend<C>{c.data, c.cols, 1} : Addend<C>{};
}

/// The same row for all rows; nothing if it is empty.
template <class C>
Addend<C> each_row(Vec<const C> row) {
  return {row.data, 0, 1};
}

}  // namespace cria::cpu
