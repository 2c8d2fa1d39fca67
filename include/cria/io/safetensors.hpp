#pragma once
/// The safetensors format, read strictly and written: an 8-byte little-endian header length, a JSON header
/// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "value"}},
/// then the tensors' bytes, row-major and little-endian, without holes.
/// https://github.com/huggingface/safetensors

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/core/dtype.hpp"
#include "cria/core/error.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/tensor.hpp"
#include "cria/io/array.hpp"
#include "cria/io/file.hpp"
#include "cria/io/in_quotes.hpp"

namespace cria::io {

static_assert(std::endian::native == std::endian::little,
              "safetensors data is mapped as it is: little-endian");

/// One tensor in a file or on its way into one; the bytes belong to somebody else. In a file they may lie at
/// any address, whatever the dtype's alignment: copy them out with memcpy.
struct TensorView {
  std::string name;
  std::string dtype;  ///< The format's name: "F32", "F64", "BF16", "F16", "I32", ...
  Shape shape;
  std::span<const std::byte> bytes;
};

/// The format's name of an element type: "F32", "F64", "BF16", "F16", "I8", "I16", "I32", "I64", "U8".
template <class T>
inline constexpr std::string_view safetensors_dtype = "";
template <>
inline constexpr std::string_view safetensors_dtype<float> = "F32";
template <>
inline constexpr std::string_view safetensors_dtype<double> = "F64";
template <>
inline constexpr std::string_view safetensors_dtype<bfloat16> = "BF16";
template <>
inline constexpr std::string_view safetensors_dtype<float16> = "F16";
template <>
inline constexpr std::string_view safetensors_dtype<std::int8_t> = "I8";
template <>
inline constexpr std::string_view safetensors_dtype<std::int16_t> = "I16";
template <>
inline constexpr std::string_view safetensors_dtype<std::int32_t> = "I32";
template <>
inline constexpr std::string_view safetensors_dtype<std::int64_t> = "I64";
template <>
inline constexpr std::string_view safetensors_dtype<std::uint8_t> = "U8";

namespace detail {

inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;  // the format's own limit
inline constexpr std::string_view safetensors_metadata_key = "__metadata__";

/// Bytes per element; 0 for a name that the format does not have.
inline std::uint64_t safetensors_element_size(std::string_view dtype) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 16> sizes{{{"BOOL", 1},
                                                                                     {"U8", 1},
                                                                                     {"I8", 1},
                                                                                     {"F8_E4M3", 1},
                                                                                     {"F8_E5M2", 1},
                                                                                     {"F8_E8M0", 1},
                                                                                     {"U16", 2},
                                                                                     {"I16", 2},
                                                                                     {"F16", 2},
                                                                                     {"BF16", 2},
                                                                                     {"U32", 4},
                                                                                     {"I32", 4},
                                                                                     {"F32", 4},
                                                                                     {"U64", 8},
                                                                                     {"I64", 8},
                                                                                     {"F64", 8}}};
  const auto* found =
      std::find_if(sizes.begin(), sizes.end(), [&](const auto& size) { return size.first == dtype; });
  return found == sizes.end() ? 0 : found->second;
}

/// The dtype by cria's name; the format's own where no tensor has it.
inline std::string_view array_dtype(std::string_view dtype) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> names{
      {{"BOOL", "bool"},
       {"U16", "uint16"},
       {"U32", "uint32"},
       {"U64", "uint64"},
       {safetensors_dtype<float>, dtype_name<float>},
       {safetensors_dtype<double>, dtype_name<double>},
       {safetensors_dtype<bfloat16>, dtype_name<bfloat16>},
       {safetensors_dtype<float16>, dtype_name<float16>},
       {safetensors_dtype<std::int8_t>, dtype_name<std::int8_t>},
       {safetensors_dtype<std::int16_t>, dtype_name<std::int16_t>},
       {safetensors_dtype<std::int32_t>, dtype_name<std::int32_t>},
       {safetensors_dtype<std::int64_t>, dtype_name<std::int64_t>},
       {safetensors_dtype<std::uint8_t>, dtype_name<std::uint8_t>}}};
  const auto* found =
      std::find_if(names.begin(), names.end(), [&](const auto& name) { return name.first == dtype; });
  return found == names.end() ? dtype : found->second;
}

}  // namespace detail

/// A safetensors file, mapped into memory and checked as a whole before anything of it is used.
class SafetensorsFile {
 public:
  /// Throws FileError, with one sentence, for everything that the format does not allow.
  explicit SafetensorsFile(const std::filesystem::path& path) : path_(path.string()), file_(path) {
    const std::span<const std::byte> bytes = file_.bytes();
    if (bytes.size() < 8) {
      refuse("is " + std::to_string(bytes.size()) + " bytes long; a safetensors file has at least 8");
    }
    std::uint64_t header_size = 0;
    std::memcpy(&header_size, bytes.data(), 8);
    if (header_size > detail::safetensors_header_limit) {
      refuse("its header claims " + std::to_string(header_size) + " bytes; at most " +
             std::to_string(detail::safetensors_header_limit) + " are allowed");
    }
    if (header_size > bytes.size() - 8) {
      refuse("its header claims " + std::to_string(header_size) + " bytes, but only " +
             std::to_string(bytes.size() - 8) + " follow");
    }
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, header_size);
    data_ = bytes.subspan(8 + header_size);
    read_header(parse(header));
    check_layout();
  }

  /// The tensors in the order of their bytes.
  const std::vector<TensorView>& tensors() const { return tensors_; }

  /// The tensor of that name, or nullptr.
  const TensorView* find(std::string_view name) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const TensorView& tensor) { return tensor.name == name; });
    return found == tensors_.end() ? nullptr : &*found;
  }

  /// The tensor of that name as one of T; elements become T as to_tensor says. Throws FileError if there is
  /// none, and for elements that T does not take.
  template <class T>
  Tensor<T, Cpu> read(std::string_view name) const {
    const TensorView* const found = find(name);
    if (!found) refuse("has no tensor " + detail::in_quotes(name));
    return to_tensor<T>({detail::array_dtype(found->dtype), found->shape, found->bytes},
                        path_ + ": tensor " + detail::in_quotes(name));
  }

  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  using Json = nlohmann::json;

  [[noreturn]] void refuse(const std::string& problem) const { throw FileError(path_, problem); }
  [[noreturn]] void refuse(const std::string& name, const std::string& problem) const {
    throw FileError(path_, "tensor " + detail::in_quotes(name) + ": " + problem);
  }

  Json parse(std::string_view header) const {
    if (header.empty() || header.front() != '{') refuse("its header does not start with '{'");
    // The parser would take a zero byte for the end of the text and a repeated key for a correction.
    if (header.find('\0') != std::string_view::npos) refuse("its header is not valid UTF-8 JSON");
    std::vector<std::set<std::string>> keys;
    const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
      using Event = Json::parse_event_t;
      if ((event == Event::object_start || event == Event::array_start) && depth > 2) {
        refuse("its header is nested deeper than a tensor's shape");
      }
      if (event == Event::object_start) keys.emplace_back();
      if (event == Event::object_end) keys.pop_back();
      if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
        refuse("its header has the key " + parsed.dump() + " twice");
      }
      return true;
    };
    try {
      return Json::parse(header.begin(), header.end(), check);
    } catch (const Json::exception&) {
      refuse("its header is not valid UTF-8 JSON");
    }
  }

  void read_header(const Json& header) {
    for (const auto& [name, entry] : header.items()) {
      if (name == detail::safetensors_metadata_key) {
        read_metadata(entry);
      } else {
        tensors_.push_back(read_entry(name, entry));
      }
    }
  }

  void read_metadata(const Json& metadata) {
    if (!metadata.is_object()) refuse("__metadata__ is not an object of strings");
    for (const auto& [key, value] : metadata.items()) {
      if (!value.is_string())
        refuse("__metadata__: the value of " + detail::in_quotes(key) + " is not a string");
      metadata_[key] = value.get<std::string>();
    }
  }

  TensorView read_entry(const std::string& name, const Json& entry) const {
    if (!entry.is_object()) refuse(name, "its entry is not an object");
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!entry.contains(field)) refuse(name, "the field " + detail::in_quotes(field) + " is missing");
    }
    for (const auto& [field, value] : entry.items()) {
      if (field != "dtype" && field != "shape" && field != "data_offsets") {
        refuse(name, "the field " + detail::in_quotes(field) + " is unknown");
      }
    }
    TensorView tensor;
    tensor.name = name;
    if (!entry["dtype"].is_string()) refuse(name, "its dtype is not a string");
    tensor.dtype = entry["dtype"].get<std::string>();
    const std::uint64_t element_size = detail::safetensors_element_size(tensor.dtype);
    if (element_size == 0) refuse(name, "the dtype " + detail::in_quotes(tensor.dtype) + " is unknown");

    const std::vector<std::uint64_t> dims = read_integers(name, entry["shape"], "shape");
    const std::uint64_t size = byte_size(name, dims, element_size);
    try {
      tensor.shape = Shape(std::vector<std::int64_t>(dims.begin(), dims.end()));
    } catch (const ShapeError& error) {
      refuse(name, error.what());
    }

    const std::vector<std::uint64_t> offsets = read_integers(name, entry["data_offsets"], "data_offsets");
    if (offsets.size() != 2) refuse(name, "its data_offsets are not two numbers");
    const auto [begin, end] = std::pair(offsets[0], offsets[1]);
    const std::string range = "its data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "]";
    if (begin > end) refuse(name, range + " are reversed");
    if (end > data_.size()) {
      refuse(name, range + " lie beyond the file's " + std::to_string(data_.size()) + " bytes of data");
    }
    if (end - begin != size) {
      refuse(name, range + " hold " + std::to_string(end - begin) + " bytes, but " + to_string(tensor.shape) +
                       " of " + tensor.dtype + " needs " + std::to_string(size));
    }
    tensor.bytes = data_.subspan(begin, size);
    return tensor;
  }

  std::vector<std::uint64_t> read_integers(const std::string& name, const Json& list,
                                           const std::string& field) const {
    const auto is_natural = [](const Json& value) { return value.is_number_unsigned(); };
    if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_natural)) {
      refuse(name, "its " + field + " is not a list of non-negative integers");
    }
    return list.get<std::vector<std::uint64_t>>();
  }

  std::uint64_t byte_size(const std::string& name, const std::vector<std::uint64_t>& dims,
                          std::uint64_t element_size) const {
    if (dims.size() > static_cast<std::size_t>(Shape::max_rank)) {
      refuse(name, "it has " + std::to_string(dims.size()) + " dimensions; at most " +
                       std::to_string(Shape::max_rank) + " are allowed");
    }
    // A zero among the dimensions must not hide that the product of the others overflows: Shape multiplies
    // some of them.
    std::int64_t bound = static_cast<std::int64_t>(element_size);
    std::uint64_t size = element_size;
    for (const std::uint64_t dim : dims) {
      if (__builtin_mul_overflow(bound, std::max<std::uint64_t>(dim, 1), &bound)) {
        refuse(name, "the product of its dimensions does not fit in 63 bits");
      }
      size *= dim;
    }
    return size;
  }

  void check_layout() {
    const auto first_byte = [](const TensorView& tensor) {
      return std::pair(tensor.bytes.data(), tensor.bytes.size());
    };
    std::sort(tensors_.begin(), tensors_.end(),
              [&](const TensorView& a, const TensorView& b) { return first_byte(a) < first_byte(b); });
    std::size_t next = 0;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const auto begin = static_cast<std::size_t>(tensors_[i].bytes.data() - data_.data());
      if (begin < next) {
        refuse("tensors " + detail::in_quotes(tensors_[i - 1].name) + " and " +
               detail::in_quotes(tensors_[i].name) + " overlap");
      }
      if (begin > next) {
        refuse("bytes " + std::to_string(next) + " to " + std::to_string(begin) +
               " of the data, before tensor " + detail::in_quotes(tensors_[i].name) +
               ", belong to no tensor");
      }
      next = begin + tensors_[i].bytes.size();
    }
    if (next < data_.size()) {
      refuse("the last " + std::to_string(data_.size() - next) + " bytes of the data belong to no tensor");
    }
  }

  std::string path_;
  MappedFile file_;
  std::span<const std::byte> data_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

namespace detail {
/// Throws ConfigError unless shape and dtype make `size` bytes.
inline void check_byte_size(const TensorView& tensor, std::size_t size) {
  const std::uint64_t element_size = safetensors_element_size(tensor.dtype);
  const std::uint64_t needed = element_size * static_cast<std::uint64_t>(tensor.shape.size());
  if (element_size == 0 || size == needed) return;  // an unknown dtype is refused by its name
  throw ConfigError("safetensors: tensor " + in_quotes(tensor.name) + ": it has " + std::to_string(size) +
                    " bytes, but " + to_string(tensor.shape) + " of " + tensor.dtype + " needs " +
                    std::to_string(needed));
}
}  // namespace detail

/// Writes the tensors, in this order, to exactly this path and waits until they are on the disk;
/// `bytes_of(i)` gives the bytes of the i-th, which are asked for one after the other, so that they need not
/// be in memory together. The data begins at a multiple of 8 bytes. Throws ConfigError for names or sizes
/// that the format does not allow, FileError when the disk does not take the bytes. {"format": "pt"} is what
/// Hugging Face's loaders ask for.
template <class F>
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors, F bytes_of,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}}) {
  const auto refuse = [](const TensorView& tensor, const std::string& problem) {
    throw ConfigError("safetensors: tensor " + detail::in_quotes(tensor.name) + ": " + problem);
  };
  nlohmann::ordered_json header;
  header[std::string(detail::safetensors_metadata_key)] = metadata;
  std::uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    if (tensor.name == detail::safetensors_metadata_key) refuse(tensor, "the name is reserved");
    if (header.contains(tensor.name)) refuse(tensor, "the name is given twice");
    const std::uint64_t element_size = detail::safetensors_element_size(tensor.dtype);
    if (element_size == 0) refuse(tensor, "the dtype " + detail::in_quotes(tensor.dtype) + " is unknown");
    const std::uint64_t size = element_size * static_cast<std::uint64_t>(tensor.shape.size());
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", std::vector<std::int64_t>(tensor.shape.begin(), tensor.shape.end())},
                           {"data_offsets", {offset, offset + size}}};
    offset += size;
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw ConfigError("safetensors: a tensor's name or the metadata is not valid UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_size = text.size();

  OutputFile file(path);
  file.write(std::as_bytes(std::span(&header_size, 1)));
  file.write(text);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& bytes = bytes_of(i);
    detail::check_byte_size(tensors[i], bytes.size());
    file.write(std::span<const std::byte>(bytes));
  }
  file.sync();
  file.close();
}

/// The same for tensors whose bytes are at hand.
inline void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                              const std::map<std::string, std::string>& metadata = {{"format", "pt"}}) {
  for (const TensorView& tensor : tensors) detail::check_byte_size(tensor, tensor.bytes.size());
  write_safetensors(
      path, tensors, [&](std::size_t i) { return tensors[i].bytes; }, metadata);
}

}  // namespace cria::io
