#include "cria/io/npy.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/random.hpp"
#include "support/damage.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(npy)

namespace {

using namespace cria::io;
using cria::bfloat16;
using cria::Cpu;
using cria::FileError;
using cria::float16;
using cria::Rng;
using cria::Shape;
using cria::Tensor;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

/// What tests/golden/make_array_goldens.py wrote with NumPy.
std::string golden(const std::string& name) {
  return CRIA_SOURCE_DIR "/tests/golden/" + name;
}

const std::vector<float> numbers{0, 1, 2, 100, -3, 4};

/// A file of version 1 with this header and this many bytes of data.
std::string file_of(const std::string& header, std::size_t data_size) {
  std::string size(2, '\0');
  size[0] = static_cast<char>(header.size() % 256);
  size[1] = static_cast<char>(header.size() / 256);
  return "\x93NUMPY\x01" + std::string(1, '\0') + size + header + std::string(data_size, '\1');
}

std::string header(const std::string& descr, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

/// What a reader says about a file of these bytes, without the path.
template <class Read>
std::string refusal_of(const std::string& contents, Read read) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x";
  OutputFile file(path);
  file.write(contents);
  file.close();
  const std::string message = error_message<FileError>([&] { read(path); });
  return message.starts_with(path + ": ") ? message.substr(path.size() + 2) : message;
}
std::string refusal(const std::string& contents) {
  return refusal_of(contents, [](const std::string& path) { read_npy<float>(path); });
}
std::string npz_refusal(const std::string& contents, const std::string& name = "i8") {
  return refusal_of(contents, [&](const std::string& path) { NpzFile(path).read<float>(name); });
}

const std::string nothing_thrown = "(nothing thrown)";
const std::string no_header = "its header is no dictionary of 'descr', 'fortran_order' and 'shape'";

template <class T>
void check_round_trip(const std::string& path, const Shape& shape) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < shape.size(); ++i) values.push_back(static_cast<T>(i % 2));
  write_npy(path, Tensor<T, Cpu>::from(shape, values));
  const auto read = read_npy<T>(path);
  BOOST_TEST(read.shape() == shape);
  BOOST_TEST((read.to_vector() == values));
}

/// `bytes` with a number at a place.
template <class T>
std::string with(std::string bytes, std::size_t at, T number) {
  std::memcpy(bytes.data() + at, &number, sizeof(T));
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_CASE(numpys_arrays_are_read) {
  const auto array = read_npy<float>(golden("array.npy"));
  BOOST_TEST(array.shape() == (Shape{2, 3}));
  BOOST_TEST((array.to_vector() == numbers));
  BOOST_TEST((read_npy<double>(golden("array.npy")).to_vector() == std::vector<double>{0, 1, 2, 100, -3, 4}));

  const NpzFile file(golden("arrays.npz"));
  for (const char* name :
       {"f2", "f4", "f8", "i1", "i2", "i4", "i8", ">f4", ">i2", ">i8", "version_2", "version_3"}) {
    const auto x = file.read<float>(name);
    BOOST_TEST(x.shape() == (Shape{2, 3}));
    BOOST_TEST((x.to_vector() == numbers), name);
  }
  for (const char* name : {"u1", "u2", "u4", "u8"}) {
    BOOST_TEST((file.read<std::int32_t>(name).to_vector() == std::vector<std::int32_t>{0, 1, 2, 100, 3, 4}),
               name);
  }
  BOOST_TEST((file.read<bool>("b1").to_vector() == std::vector<bool>{false, true, true, true, false, true}));
  BOOST_TEST(file.read<float>("scalar").shape() == Shape{});
  BOOST_TEST(file.read<float>("scalar").item() == 2.5f);
  BOOST_TEST(file.read<float>("empty").shape() == (Shape{0, 3}));
}

BOOST_AUTO_TEST_CASE(files_are_written_as_numpy_writes_them) {
  const TemporaryDirectory folder;
  write_npy(folder / "x.npy", Tensor<float, Cpu>::from({2, 3}, numbers));
  BOOST_TEST((read_file(folder / "x.npy") == read_file(golden("array.npy"))));
  BOOST_TEST(!std::filesystem::exists(folder / "x.npy.partial"));
}

BOOST_AUTO_TEST_CASE(every_type_and_rank_survives_a_round_trip) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.npy";
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{0}, Shape{2, 3}, Shape{1, 2, 1, 3, 1, 1}}) {
    check_round_trip<float>(path, shape);
    check_round_trip<double>(path, shape);
    check_round_trip<float16>(path, shape);
    check_round_trip<std::int8_t>(path, shape);
    check_round_trip<std::int16_t>(path, shape);
    check_round_trip<std::int32_t>(path, shape);
    check_round_trip<std::int64_t>(path, shape);
    check_round_trip<std::uint8_t>(path, shape);
    check_round_trip<bool>(path, shape);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
  const TemporaryDirectory folder;
  BOOST_TEST(error_message<FileError>([&] {
               write_npy(folder / "no/x.npy", Tensor<float, Cpu>::scalar(1));
             }) == (folder / "no/x.npy.partial").string() + ": cannot be written: No such file or directory");
}

BOOST_AUTO_TEST_CASE(headers_that_other_writers_make_are_read) {
  BOOST_TEST(refusal(file_of(header("<f4", "(2,)"), 8)) == nothing_thrown);
  BOOST_TEST(refusal(file_of(header("=f4", "(2, 1)"), 8)) == nothing_thrown);
  BOOST_TEST(refusal(file_of(header("<i8", "()"), 8)) == nothing_thrown);
  BOOST_TEST(refusal(file_of("{'shape':(2,),'fortran_order':False,'descr':'|u1'}", 2)) == nothing_thrown);
}

BOOST_AUTO_TEST_CASE(files_that_are_no_npy_are_refused) {
  const std::string magic = "is no .npy file, which begins with \"\\x93NUMPY\"";
  BOOST_TEST(refusal("") == magic);
  BOOST_TEST(refusal("\x93NUMP") == magic);
  BOOST_TEST(refusal("PK\3\4 something else") == magic);
  BOOST_TEST(refusal("\x93NUMPY") == "is version 0 of the .npy format; 1, 2 and 3 are read");
  BOOST_TEST(refusal("\x93NUMPY\4" + std::string(20, '\0')) ==
             "is version 4 of the .npy format; 1, 2 and 3 are read");
  BOOST_TEST(refusal("\x93NUMPY\1" + std::string(2, '\0')) == "ends in its header");
  BOOST_TEST(refusal("\x93NUMPY\2" + std::string(4, '\0')) == "ends in its header");
  BOOST_TEST(refusal(file_of(header("<f4", "(2,)"), 8).substr(0, 20)) ==
             "its header claims 58 bytes, but only 10 follow");
  BOOST_TEST(refusal("\x93NUMPY\2" + std::string(1, '\0') + std::string(4, '\xff') + "{}") ==
             "its header claims 4294967295 bytes, but only 2 follow");
}

BOOST_AUTO_TEST_CASE(headers_that_are_no_dictionary_are_refused) {
  for (const std::string text :
       {"", "{", "{}", "[]", "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}", "{'descr': <f4}", "{'descr' '<f4'}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}"}) {
    BOOST_TEST(refusal(file_of(text, 8)) == no_header, text);
  }
  for (const char* shape : {"(2", "2", "[2]", "(2.0,)", "(x,)", "(2 3)", "(,)", "(2,,)", "(2L,)"})
    BOOST_TEST(refusal(file_of(header("<f4", shape), 8)) == no_header, shape);
  BOOST_TEST(refusal(file_of(header("<f4", "(2,)", "Maybe"), 8)) == no_header);
}

BOOST_AUTO_TEST_CASE(arrays_that_no_tensor_holds_are_refused) {
  BOOST_TEST(refusal(file_of(header("<f4", "(2, 1)", "True"), 8)) ==
             "is in Fortran's order, column by column; numpy.ascontiguousarray gives the order that is read");
  for (const std::string descr : {"<c8", "<U5", "|O", "|S3", "<f16", "<M8[ns]", "", "f4", "?f4", "<"}) {
    BOOST_TEST(refusal(file_of(header(descr, "(1,)"), 8)) ==
               "its elements are \"" + descr +
                   "\"; f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 and b1 are read");
  }
  BOOST_TEST(refusal(file_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8)) ==
             "its elements are records; only arrays of numbers are read");
  BOOST_TEST(refusal(file_of(header("<f4", "(1, 1, 1, 1, 1, 1, 1)"), 4)) ==
             "Shape: at most 6 dimensions are allowed");
  BOOST_TEST(refusal(file_of(header("<f4", "(-1,)"), 4)) == "Shape: dimension -1 is negative");
  BOOST_TEST(refusal(file_of(header("<f4", "(4294967296, 4294967296)"), 0)) ==
             "Shape: [4294967296, 4294967296] has more than 2^59 elements");
  BOOST_TEST(refusal(file_of(header("<f4", "(0, 4294967296, 4294967296)"), 0)) ==
             "Shape: [0, 4294967296, 4294967296] has more than 2^59 elements");
  BOOST_TEST(refusal(file_of(header("<f4", "(99999999999999999999,)"), 0)) ==
             "a dimension of its shape does not fit in 63 bits");
  BOOST_TEST(refusal(file_of(header("<f8", "(500000000000,)"), 8)) ==
             "has 8 bytes of data, but [500000000000] of float64 needs 4000000000000");
  BOOST_TEST(refusal(file_of(header("<f4", "(2,)"), 7)) == "has 7 bytes of data, but [2] of float32 needs 8");
  BOOST_TEST(refusal(file_of(header("<f4", "(2,)"), 9)) == "has 9 bytes of data, but [2] of float32 needs 8");
  BOOST_TEST(refusal_of(file_of(header("<f4", "(2,)"), 8), [](const std::string& path) {
               read_npy<std::int32_t>(path);
             }) == "its elements are float32; a tensor of int32 takes integers");
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_refused) {
  const std::string end = ": cannot be opened: No such file or directory";
  BOOST_TEST(error_message<FileError>([] { read_npy<float>("no/such.npy"); }) == "no/such.npy" + end);
  BOOST_TEST(error_message<FileError>([] { NpzFile file("no/such.npz"); }) == "no/such.npz" + end);
}

BOOST_AUTO_TEST_CASE(an_archive_is_read_by_names) {
  const NpzFile file(golden("arrays_stored.npz"));
  BOOST_TEST((file.names() == std::vector<std::string>{"f4", "i8"}));
  BOOST_TEST((file.read<float>("f4").to_vector() == numbers));
  BOOST_TEST((file.read<std::int32_t>("i8").to_vector() == std::vector<std::int32_t>{0, 1, 2, 100, -3, 4}));
  BOOST_TEST(error_message<FileError>([&] { file.read<float>("f8"); }) ==
             golden("arrays_stored.npz") + ": has no array \"f8\"; it has \"f4\", \"i8\"");
  BOOST_TEST(error_message<FileError>([&] { file.read<std::uint8_t>("i8"); }) ==
             golden("arrays_stored.npz") +
                 ": array \"i8\": element 4 is -3, which a tensor of uint8 does not hold");
  const auto names = NpzFile(golden("arrays.npz")).names();
  BOOST_TEST(std::count(names.begin(), names.end(), "readme.txt") == 0);
}

BOOST_AUTO_TEST_CASE(damaged_archives_are_refused) {
  const std::string stored = read_file(golden("arrays_stored.npz"));
  const std::size_t first = stored.find("PK\1\2"), second = stored.find("PK\1\2", first + 1);
  const std::size_t end = stored.find("PK\5\6");
  BOOST_TEST(npz_refusal(stored) == nothing_thrown);
  BOOST_TEST(npz_refusal(stored + "a comment") == nothing_thrown);

  const std::string no_end = "is no .npz file, or a part of one: a ZIP archive's end is missing";
  BOOST_TEST(npz_refusal("") == no_end);
  BOOST_TEST(npz_refusal(read_file(golden("array.npy"))) == no_end);
  BOOST_TEST(npz_refusal(stored.substr(0, stored.size() - 1)) == no_end);
  BOOST_TEST(npz_refusal(with(stored, end + 16, std::uint32_t{0xFFFFFFFE})) ==
             "its directory lies beyond its end");
  BOOST_TEST(npz_refusal(with(stored, end + 12, std::uint32_t{1000})) == "its directory lies beyond its end");
  BOOST_TEST(npz_refusal(with(stored, end + 16, std::uint32_t{0xFFFFFFFF})) ==
             "is an archive of more than 4 GB or 65,534 files, which is not read");
  BOOST_TEST(npz_refusal(with(stored, end + 10, std::uint16_t{3})) == "its directory is damaged");
  BOOST_TEST(npz_refusal(with(stored, first, 'X')) == "its directory is damaged");
  BOOST_TEST(npz_refusal(with(stored, second + 28, std::uint16_t{0xFFFF})) == "its directory is damaged");
  BOOST_TEST(npz_refusal(with(stored, second + 46, std::uint16_t{0x3466})) == "array \"f4\" is there twice");
  BOOST_TEST(npz_refusal(with(stored, second + 8, std::uint16_t{1})) == "array \"i8\" is encrypted");
  BOOST_TEST(npz_refusal(with(stored, second + 10, std::uint16_t{12})) ==
             "array \"i8\" is compressed by method 12; 0 (stored) and 8 (deflated) are read");
  BOOST_TEST(npz_refusal(with(stored, second + 42, std::uint32_t{1})) ==
             "array \"i8\" is not where the directory says");
  BOOST_TEST(npz_refusal(with(stored, second + 42, std::uint32_t{0xFFFFFFF0})) ==
             "array \"i8\" is not where the directory says");
  BOOST_TEST(npz_refusal(with(stored, second + 20, std::uint32_t{0x10000})) ==
             "array \"i8\" lies beyond the end of the file");
  BOOST_TEST(npz_refusal(with(stored, second + 24, std::uint32_t{1})) ==
             "array \"i8\": has 176 bytes; the directory says 1");
  BOOST_TEST(npz_refusal(with(stored, second + 16, std::uint32_t{1})) ==
             "array \"i8\": its checksum is wrong: the file is damaged");
}

BOOST_AUTO_TEST_CASE(damaged_compressed_arrays_are_refused) {
  const std::string file = read_file(golden("arrays.npz"));
  std::size_t entry = file.find("PK\1\2");
  while (file.compare(entry + 46, 6, "i8.npy") != 0) entry = file.find("PK\1\2", entry + 1);
  const auto field = [&](std::size_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, file.data() + entry + offset, sizeof(value));
    return value;
  };
  BOOST_TEST(npz_refusal(file) == nothing_thrown);
  const std::size_t data = file.find("i8.npy") + 6;
  BOOST_TEST(npz_refusal(with(file, data, '\7')) == "array \"i8\": its compressed data is damaged");
  BOOST_TEST(npz_refusal(with(file, entry + 20, field(20) - 1)) ==
             "array \"i8\": its compressed data ends too soon");
  BOOST_TEST(npz_refusal(with(file, entry + 20, field(20) + 2)) ==
             "array \"i8\": has 2 bytes behind the end of its compressed data");
  BOOST_TEST(npz_refusal(with(file, entry + 24, field(24) - 1)) ==
             "array \"i8\": its compressed data holds more than the 175 bytes that were promised");
  BOOST_TEST(npz_refusal(with(file, entry + 24, std::uint32_t{0xFFFFFFF0})) ==
             "array \"i8\": has 176 bytes; the directory says 4294967280");
}

BOOST_AUTO_TEST_CASE(damaged_files_are_read_or_refused_but_never_crash) {
  const TemporaryDirectory folder;
  Rng rng(17);
  for (const char* name : {"array.npy", "arrays.npz", "arrays_stored.npz"}) {
    const std::string valid = read_file(golden(name));
    int refused = 0;
    for (int i = 0; i < 1000; ++i) {
      std::filesystem::remove(folder / "x");
      OutputFile file(folder / "x");
      file.write(cria::test::damaged(valid, rng));
      file.close();
      try {
        if (valid.starts_with("\x93")) {
          static_cast<void>(read_npy<double>(folder / "x"));
        } else {
          const NpzFile archive(folder / "x");
          for (const std::string& array : archive.names()) static_cast<void>(archive.read<float>(array));
        }
      } catch (const FileError&) {
        ++refused;
      }
    }
    BOOST_TEST(refused > 300, name);
    BOOST_TEST(refused < 1000, name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
