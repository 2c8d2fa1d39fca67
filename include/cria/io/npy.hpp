#pragma once
/// NumPy's files: .npy, one array, read and written; .npz, a ZIP archive of several by name, read.
/// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/core/dtype.hpp"
#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/tensor.hpp"
#include "cria/io/array.hpp"
#include "cria/io/file.hpp"
#include "cria/io/in_quotes.hpp"
#include "cria/io/inflate.hpp"

namespace cria::io {

namespace detail {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// NumPy's name of a dtype without the order of bytes, and cria's.
struct NpyDtype {
  std::string_view code, name;
};
inline constexpr std::array<NpyDtype, 12> npy_dtypes{{{"f2", "float16"},
                                                      {"f4", "float32"},
                                                      {"f8", "float64"},
                                                      {"i1", "int8"},
                                                      {"i2", "int16"},
                                                      {"i4", "int32"},
                                                      {"i8", "int64"},
                                                      {"u1", "uint8"},
                                                      {"u2", "uint16"},
                                                      {"u4", "uint32"},
                                                      {"u8", "uint64"},
                                                      {"b1", "bool"}}};

/// A file's header, a dictionary as Python prints it:
/// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class NpyHeader {
 public:
  /// Throws FileError, about `path`, for any other text.
  NpyHeader(std::string_view text, const std::string& path) : rest_(text), path_(path) {
    expect("{");
    while (!take("}")) {
      const std::string_view key = literal();
      expect(":");
      if (key == "descr" && !descr) {
        if (rest_.starts_with("[")) refuse("its elements are records; only arrays of numbers are read");
        descr = literal();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = take("True");
        if (!*fortran_order) expect("False");
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse();
      }
      if (take("}")) break;
      expect(",");
    }
    if (!rest_.empty() || !descr || !fortran_order || !shape) refuse();
  }

  std::optional<std::string_view> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  [[noreturn]] void refuse(const std::string& problem =
                               "its header is no dictionary of 'descr', "
                               "'fortran_order' and 'shape'") const {
    throw FileError(path_, problem);
  }
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size()));
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) refuse();
  }
  std::string_view literal() {
    const std::size_t end = rest_.starts_with("'") ? rest_.find('\'', 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse();
    const std::string_view text = rest_.substr(1, end - 1);
    take(rest_.substr(0, end + 1));
    return text;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> numbers;
    expect("(");
    while (!take(")")) {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
      if (error == std::errc::result_out_of_range) refuse("a dimension of its shape does not fit in 63 bits");
      if (error != std::errc()) refuse();
      take(rest_.substr(0, static_cast<std::size_t>(end - rest_.data())));
      numbers.push_back(number);
      if (take(")")) break;
      expect(",");
    }
    return numbers;
  }

  std::string_view rest_;
  const std::string& path_;
};

/// The array in a .npy file with these bytes. Throws FileError, about `path`, for what is no such file, and
/// for arrays that no tensor holds.
inline ArrayView parse_npy(std::span<const std::byte> file, const std::string& path) {
  const auto refuse = [&](const std::string& problem) { throw FileError(path, problem); };
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(npy_magic)) refuse("is no .npy file, which begins with \"\\x93NUMPY\"");
  const std::size_t version = text.size() > npy_magic.size() ? static_cast<unsigned char>(text[6]) : 0;
  if (version < 1 || version > 3)
    refuse("is version " + std::to_string(version) + " of the .npy format; 1, 2 and 3 are read");
  const std::size_t header_begin = version == 1 ? 10 : 12;  // behind 2 bytes or 4 of its length
  if (text.size() < header_begin) refuse("ends in its header");
  std::uint32_t header_size = 0;
  std::memcpy(&header_size, file.data() + 8, header_begin - 8);
  if (header_size > text.size() - header_begin) {
    refuse("its header claims " + std::to_string(header_size) + " bytes, but only " +
           std::to_string(text.size() - header_begin) + " follow");
  }
  const NpyHeader header(text.substr(header_begin, header_size), path);

  ArrayView array;
  const std::string_view code = header.descr->substr(std::min<std::size_t>(1, header.descr->size()));
  const auto* dtype = std::find_if(npy_dtypes.begin(), npy_dtypes.end(),
                                   [&](const NpyDtype& known) { return known.code == code; });
  if (dtype == npy_dtypes.end() ||
      std::string_view("<>=|").find(header.descr->front()) == std::string::npos) {
    refuse("its elements are " + in_quotes(*header.descr) +
           "; f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 and b1 are read");
  }
  array.dtype = dtype->name;
  array.order = header.descr->front() == '>' ? std::endian::big : std::endian::little;
  if (*header.fortran_order)
    refuse("is in Fortran's order, column by column; numpy.ascontiguousarray gives the order that is read");
  try {
    array.shape = Shape(*header.shape);
  } catch (const ShapeError& error) {
    refuse(error.what());
  }
  array.bytes = file.subspan(header_begin + header_size);
  return array;
}

}  // namespace detail

/// The array in a .npy file: versions 1 to 3, in C's order, of float16, float32, float64, integers or bool,
/// as to_tensor converts them. Throws FileError.
template <class T>
Tensor<T, Cpu> read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  return to_tensor<T>(detail::parse_npy(file.bytes(), path.string()), path.string());
}

/// Replaces the file at `path` by x as a .npy file, all or nothing. Throws FileError.
template <class T, class B>
void write_npy(const std::filesystem::path& path, const Tensor<T, B>& x) {
  static_assert(!std::is_same_v<T, bfloat16>, "NumPy has no bfloat16: write_npy(path, cast<float>(x))");
  const auto* dtype = std::find_if(
      detail::npy_dtypes.begin(), detail::npy_dtypes.end(),
      [](const auto& known) { return known.name == (std::is_same_v<T, bool> ? "bool" : dtype_name<T>); });
  std::string shape;
  for (const std::int64_t dim : x.shape()) shape += (shape.empty() ? "" : ", ") + std::to_string(dim);
  if (x.rank() == 1) shape += ",";
  std::string header = "{'descr': '" + std::string(sizeof(T) == 1 ? "|" : "<") + std::string(dtype->code) +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr std::size_t begin = 10, alignment = 64;  // the data begins at a multiple of it
  header.resize((begin + header.size()) / alignment * alignment + alignment - begin, ' ');
  header.back() = '\n';
  const auto size = static_cast<std::uint16_t>(header.size());
  std::vector<std::byte> values(static_cast<std::size_t>(x.size()) * sizeof(T));
  B::copy_to_host(values.data(), x.vec().data, values.size());
  replace_file(path, [&](OutputFile& file) {
    file.write(detail::npy_magic);
    file.write(std::string_view("\1\0", 2));
    file.write(std::as_bytes(std::span(&size, 1)));
    file.write(header);
    file.write(std::span<const std::byte>(values));
  });
}

/// A .npz file, as numpy.savez and numpy.savez_compressed write it, mapped into memory. An archive of more
/// than 4 GB or 65,534 files has another directory, which is not read.
class NpzFile {
 public:
  /// Throws FileError for what is no ZIP archive of arrays.
  explicit NpzFile(const std::filesystem::path& path) : path_(path.string()), file_(path) {
    const std::size_t end = find_end_record();
    const std::size_t count = number<std::uint16_t>(end + 10);
    const std::size_t directory_size = number<std::uint32_t>(end + 12);
    std::size_t at = number<std::uint32_t>(end + 16);
    if (count == std::numeric_limits<std::uint16_t>::max() ||
        at == std::numeric_limits<std::uint32_t>::max()) {
      refuse("is an archive of more than 4 GB or 65,534 files, which is not read");
    }
    if (at > end || directory_size > end - at) refuse("its directory lies beyond its end");
    for (std::size_t i = 0; i < count; ++i) at = read_entry(at, end);
  }

  /// The names of the arrays, in the order of the archive.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.push_back(entry.name);
    return names;
  }

  /// The array of that name, as read_npy. Throws FileError if there is none, and if it is damaged.
  template <class T>
  Tensor<T, Cpu> read(std::string_view name) const {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& candidate) { return candidate.name == name; });
    if (entry == entries_.end()) refuse("has no array " + detail::in_quotes(name) + list_of_names());
    const std::string what = path_ + ": array " + detail::in_quotes(name);
    std::vector<std::byte> inflated;
    std::span<const std::byte> bytes = entry->bytes;
    if (entry->deflated) {
      inflated = inflate(bytes, Deflated::raw, what, entry->size);
      bytes = inflated;
    }
    if (bytes.size() != entry->size) {
      throw FileError(what, "has " + std::to_string(bytes.size()) + " bytes; the directory says " +
                                std::to_string(entry->size));
    }
    if (crc32(bytes) != entry->checksum) throw FileError(what, "its checksum is wrong: the file is damaged");
    return to_tensor<T>(detail::parse_npy(bytes, what), what);
  }

 private:
  struct Entry {
    std::string name;
    bool deflated;
    std::uint32_t checksum;
    std::size_t size;  // inflated
    std::span<const std::byte> bytes;
  };

  static constexpr std::size_t end_record_size = 22, directory_entry_size = 46, head_size = 30;

  [[noreturn]] void refuse(const std::string& problem) const { throw FileError(path_, problem); }

  std::string_view text() const {
    return {reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size()};
  }

  /// The number at a place that is inside the file.
  template <class U>
  U number(std::size_t at) const {
    U value;
    std::memcpy(&value, file_.bytes().data() + at, sizeof(U));
    return value;
  }

  /// Where the record is that ends the archive: only a comment may follow it.
  std::size_t find_end_record() const {
    const std::size_t end = text().rfind("PK\5\6");
    if (end == std::string_view::npos || text().size() - end < end_record_size)
      refuse("is no .npz file, or a part of one: a ZIP archive's end is missing");
    return end;
  }

  /// Reads the directory's entry at a place, and gives that of the next.
  std::size_t read_entry(std::size_t at, std::size_t end) {
    if (end - at < directory_entry_size || !text().substr(at).starts_with("PK\1\2"))
      refuse("its directory is damaged");
    const std::size_t name_size = number<std::uint16_t>(at + 28);
    const std::size_t next = at + directory_entry_size + name_size + number<std::uint16_t>(at + 30) +
                             number<std::uint16_t>(at + 32);
    if (next > end) refuse("its directory is damaged");
    const std::string_view name = text().substr(at + directory_entry_size, name_size);
    if (!name.ends_with(".npy")) return next;

    Entry entry;
    entry.name = name.substr(0, name.size() - 4);
    const std::string what = "array " + detail::in_quotes(entry.name) + " ";
    for (const Entry& other : entries_) {
      if (other.name == entry.name) refuse(what + "is there twice");
    }
    if (number<std::uint16_t>(at + 8) & 1u) refuse(what + "is encrypted");
    const auto method = number<std::uint16_t>(at + 10);
    if (method != 0 && method != 8) {
      refuse(what + "is compressed by method " + std::to_string(method) +
             "; 0 (stored) and 8 (deflated) are read");
    }
    entry.deflated = method == 8;
    entry.checksum = number<std::uint32_t>(at + 16);
    const std::size_t stored_size = number<std::uint32_t>(at + 20);
    entry.size = number<std::uint32_t>(at + 24);
    const std::size_t head = number<std::uint32_t>(at + 42);
    if (head > end || end - head < head_size || !text().substr(head).starts_with("PK\3\4"))
      refuse(what + "is not where the directory says");
    const std::size_t begin =
        head + head_size + number<std::uint16_t>(head + 26) + number<std::uint16_t>(head + 28);
    if (begin > end || stored_size > end - begin) refuse(what + "lies beyond the end of the file");
    entry.bytes = file_.bytes().subspan(begin, stored_size);
    entries_.push_back(entry);
    return next;
  }

  std::string list_of_names() const {
    std::string list;
    for (const Entry& entry : entries_)
      list += (list.empty() ? "; it has " : ", ") + detail::in_quotes(entry.name);
    return list;
  }

  std::string path_;
  MappedFile file_;
  std::vector<Entry> entries_;
};

}  // namespace cria::io
