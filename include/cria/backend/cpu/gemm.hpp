#pragma once
/// Matrix products on the CPU. An operand is brought into panels (panels.hpp), which tiles of the result read
/// from start to end (register_tile.hpp); what is too small or too narrow for that to pay is multiplied as it
/// lies. Sums are kept in acc_t. An element of the result is the same for any number of threads.

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include "cria/backend/cpu/addend.hpp"
#include "cria/backend/cpu/cpu.hpp"
#include "cria/backend/cpu/few_rows.hpp"
#include "cria/backend/cpu/map.hpp"
#include "cria/backend/cpu/panels.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/backend/cpu/sum.hpp"

namespace cria::cpu {

/// c = a b, or c += a b if `accumulate`, summed in acc_t<T>.
template <class T, class C>
using Product = void (*)(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c);

/// The product of a library that has instructions which these have not; null if there is none. A file that
/// knows the library sets it (gemm_onednn.hpp), and then all files of the program multiply by it, also those
/// that are compiled without it, as nvcc's are: what they are compiled to is the same.
template <class T, class C>
CRIA_SHARED inline Product<T, C> library_product = nullptr;
/// Its name and the instructions that it uses: "oneDNN 2.6 (AMX)".
CRIA_SHARED inline std::string (*library_description)() = nullptr;

/// By what matrices of T are multiplied: "cria (AVX-512, bfloat16)".
template <class T>
std::string gemm_library() {
  if (library_product<T, T>) return library_description();
#if defined(__AVX512F__)
  std::string instructions = "AVX-512";
#elif defined(__AVX2__) && defined(__FMA__)
  std::string instructions = "AVX2";
#else
  std::string instructions = std::to_string(8 * register_bytes) + " bits";
#endif
  if constexpr (numbers_in<factor_t<T>> == 2) {
    instructions += ", " + std::string(dtype_name<T>);
  } else if constexpr (!std::is_same_v<T, acc_t<T>>) {
    instructions += ", widened to float32";
  }
  return "cria (" + instructions + ")";
}

/// Factors of depth that are added up at a time, so that a panel lies in a near cache; rows of the left
/// operand that lie there beside it; and columns of the right one that are packed at a time.
inline constexpr std::int64_t depth_of_block = 384, rows_of_block = 256, columns_of_block = 768;
/// Bytes that panels of both operands take at most on each thread.
inline constexpr std::int64_t most_bytes_of_panels =
    4 * (depth_of_block + 16) * (columns_of_block + rows_of_block + tile_height);

namespace detail {

/// Multiply-adds below which a thread is not worth waking, and numbers to be read for few rows.
inline constexpr std::int64_t products_for_thread = 1 << 18, numbers_for_thread = 1 << 15;
/// Rows up to which the right operand, rather than be transposed, becomes the left one, and tiles of the
/// result are transposed instead.
inline constexpr std::int64_t rows_of_transposed_tiles = 48;

/// c = a b + addend for a section of depth.
template <class T, class C>
void multiply_section(const Operand<T>& a, const Operand<T>& b, Section rows, Section depth, Section columns,
                      TileTarget<C> c) {
  using F = factor_t<T>;
  const std::int64_t factors = factors_for<F>(depth.size);
  const Scratch<F> left(LeftBlock<F>::memory_size(a, std::min(rows.size, rows_of_block), factors));
  const Scratch<F> right(
      RightBlock<F>::memory_size(b, rows.size, std::min(columns.size, columns_of_block), factors));
  for_each_section(columns, columns_of_block, [&](Section of_columns) {
    const auto b_block = RightBlock<F>::load(b, rows.size, depth, of_columns, right.data());
    for_each_section(rows, rows_of_block, [&](Section of_rows) {
      auto a_block = LeftBlock<F>::load(a, of_rows, depth, left.data());
      for_each_section(of_columns, panel_width<F>, [&](Section panel) {
        const RightFactors<F> b_panel = b_block.at(panel.first - of_columns.first, panel.size);
        multiply_tiles<F, C>(of_rows.size, factors, a_block, b_panel,
                             c.from(of_rows.first, panel.first, panel.size));
        a_block.may_be_far = false;
      });
    });
  });
}

/// c = a b + addend for some rows and columns.
template <class T, class C>
void multiply_part(const Operand<T>& a, const Operand<T>& b, Section rows, Section columns, TileTarget<C> c) {
  using F = factor_t<T>;
  using A = acc_t<T>;
  const std::int64_t depth = a.cols(), factors = factors_for<F>(depth);
  const std::int64_t sections = (factors + depth_of_block - 1) / depth_of_block;
  if (sections <= 1) return multiply_section(a, b, rows, {0, depth}, columns, c);
  const std::int64_t size = (factors + sections - 1) / sections * numbers_in<F>;
  const auto add_up = [&]<class S>(TileTarget<S> sums) {
    for_each_section({0, depth}, size, [&](Section section) {
      multiply_section(a, b, rows, section, columns, sums);
      sums.addend = {sums.data, sums.row, sums.column};
    });
  };
  if constexpr (std::is_same_v<C, A>) {
    add_up(c);
  } else {  // rounded once
    const Scratch<A> memory(rows.size * columns.size);
    add_up(TileTarget<A>{memory.data() - rows.first * columns.size - columns.first, columns.size, 1, 0, {}});
    for (std::int64_t i = 0; i < rows.size; ++i) {
      store_sums<1>(rows.first + i, memory.data() + i * columns.size, columns.size,
                    c.from(0, columns.first, columns.size));
    }
  }
}

/// `whole` cut into `parts` of whole units, and the part number `i` of it.
inline Section part_of(std::int64_t whole, std::int64_t unit, std::int64_t parts, std::int64_t i) {
  const std::int64_t units = (whole + unit - 1) / unit;
  const std::int64_t begin = units * i / parts * unit, end = std::min(units * (i + 1) / parts * unit, whole);
  return {begin, end - begin};
}

/// c = a b + addend, on all threads: each multiplies a rectangle, as near to a square as can be, since both
/// operands' sections are packed for it.
template <class T, class C>
void multiply(const Operand<T>& a, const Operand<T>& b, TileTarget<C> c) {
  using F = factor_t<T>;
  const std::int64_t rows = a.rows(), columns = b.cols();
  const std::int64_t useful = rows * columns * a.cols() / products_for_thread;
  const std::int64_t threads = useful > 1 ? std::min<std::int64_t>(useful, available_threads()) : 1;
  if (threads == 1) return multiply_part(a, b, {0, rows}, {0, columns}, c);
  std::int64_t down = 1;
  for (std::int64_t parts = 1; parts <= threads; ++parts) {
    const auto border = [&](std::int64_t p) { return rows / p + columns / (threads / p); };
    if (threads % parts == 0 && border(parts) < border(down)) down = parts;
  }
  const std::int64_t across = threads / down;
  parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      multiply_part(a, b, part_of(rows, tile_height, down, part / across),
                    part_of(columns, panel_width<F>, across, part % across), c);
    }
  });
}

template <class T>
Operand<T> flipped(Operand<T> x) {
  return {x.matrix, !x.is_transposed};
}

}  // namespace detail

/// c = a b + addend, summed in acc_t<T> and rounded once. The addend may be c itself.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, Addend<C> addend, Rows<C> c) {
  if (library_product<T, C>) {
    if (addend && addend.data != c.data) {
      for (std::int64_t i = 0; i < c.rows; ++i) std::copy_n(&addend.at(i, 0), c.cols, c.row(i));
    }
    return library_product<T, C>(a, b, static_cast<bool>(addend), c);
  }
  const bool along_rows = !a.is_transposed && b.is_transposed;
  if (along_rows && c.rows <= few_rows) {
    const std::int64_t grain = detail::numbers_for_thread / std::max<std::int64_t>(a.cols(), 1) + 1;
    return parallel_for(c.cols, grain, [&](std::int64_t begin, std::int64_t end) {
      multiply_few_rows(a.cols(), a.matrix, b.matrix.slice(begin, end - begin), addend.from(0, begin),
                        Rows<C>{c.data + begin, c.rows, c.cols});
    });
  }
  if (along_rows && c.rows <= detail::rows_of_transposed_tiles && c.rows < c.cols) {
    return detail::multiply<T, C>(detail::flipped(b), detail::flipped(a),
                                  {c.data, 1, c.cols, c.rows, addend.transposed()});
  }
  detail::multiply<T, C>(a, b, {c.data, c.cols, 1, c.cols, addend});
}

/// c = a b, or c += a b if `accumulate`.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c) {
  gemm(a, b, itself_if(accumulate, c), c);
}

/// c = a^T b, or c += a^T b if `accumulate`, for a [rows, m], b [rows, n] and c [m, n]: a gradient of
/// weights, which sums over rows, of which there may be millions.
template <class T, class C>
void gemm_over_rows(Rows<const T> a, Rows<const T> b, bool accumulate, Rows<C> c) {
  using A = acc_t<T>;
  if (a.rows <= block_of_depth) return gemm(transposed(a), plain(b), accumulate, c);
  const std::int64_t size = c.rows * c.cols;
  const Scratch<A> sums(size);
  pairwise_sums(0, a.rows, block_of_depth, size, sums.data(),
                [=](std::int64_t begin, std::int64_t end, A* block) {
                  const std::int64_t rows = end - begin;
                  gemm(transposed(a.slice(begin, rows)), plain(b.slice(begin, rows)), false,
                       Rows<A>{block, c.rows, c.cols});
                });
  map_range(
      0, size, accumulate, Vec<C>{c.data, size}, [](A sum) { return sum; }, Vec<const A>{sums.data(), size});
}

}  // namespace cria::cpu

#include "cria/backend/cpu/gemm_onednn.hpp"
