#include "cria/io/idx.hpp"

#include <zlib.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cria/core/random.hpp"
#include "support/damage.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(idx)

namespace {

using namespace cria::io;
using cria::FileError;
using cria::Rng;
using cria::Shape;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

/// A file of a type and dimensions below 256.
std::string file_of(unsigned code, const std::vector<unsigned>& dims, const std::string& data) {
  std::string file{0, 0, static_cast<char>(code), static_cast<char>(dims.size())};
  for (const unsigned dim : dims) file += std::string(3, '\0') + static_cast<char>(dim);
  return file + data;
}

std::string gzipped(const std::string& contents) {
  const TemporaryDirectory folder;
  const gzFile file = ::gzopen((folder / "x").c_str(), "wb");
  BOOST_REQUIRE(::gzwrite(file, contents.data(), static_cast<unsigned>(contents.size())) > 0);
  BOOST_REQUIRE(::gzclose(file) == Z_OK);
  return read_file(folder / "x");
}

struct Result {
  std::string refusal;  // without the path
  Shape shape{0};
  std::vector<float> values;
};

Result read(const std::string& contents) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x";
  OutputFile file(path);
  file.write(contents);
  file.close();
  Result result;
  result.refusal = error_message<FileError>([&] {
    const auto x = read_idx<float>(path);
    result.shape = x.shape();
    result.values = x.to_vector();
  });
  if (result.refusal.starts_with(path + ": ")) result.refusal = result.refusal.substr(path.size() + 2);
  return result;
}

const std::string nothing_thrown = "(nothing thrown)";

}  // namespace

BOOST_AUTO_TEST_CASE(every_type_is_read) {
  using namespace std::string_literals;
  const auto check = [](unsigned code, const std::string& data, const std::vector<float>& values) {
    const Result result = read(file_of(code, {2}, data));
    BOOST_TEST(result.refusal == nothing_thrown);
    BOOST_TEST((result.values == values));
  };
  check(0x08, "\x01\xff"s, {1, 255});
  check(0x09, "\x01\xff"s, {1, -1});
  check(0x0B, "\x01\x02\xff\xfe"s, {258, -2});
  check(0x0C, "\x00\x01\x00\x02\xff\xff\xff\xfe"s, {65538, -2});
  check(0x0D, "\x3f\xc0\x00\x00\xc0\x00\x00\x00"s, {1.5f, -2});
  check(0x0E, "\x3f\xf8\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00"s, {1.5f, -2});
}

BOOST_AUTO_TEST_CASE(images_keep_their_shape) {
  const std::string file = file_of(0x08, {2, 1, 3}, "\1\2\3\4\5\6");
  for (const std::string& contents : {file, gzipped(file)}) {
    const Result result = read(contents);
    BOOST_TEST(result.refusal == nothing_thrown);
    BOOST_TEST(result.shape == (Shape{2, 1, 3}));
    BOOST_TEST((result.values == std::vector<float>{1, 2, 3, 4, 5, 6}));
  }
  BOOST_TEST(read(file_of(0x08, {}, "\7")).shape == Shape{});
  BOOST_TEST(read(file_of(0x08, {0, 28}, "")).shape == (Shape{0, 28}));
  const std::string large = file_of(0x08, {250, 250, 250}, std::string(250 * 250 * 250, '\3'));
  BOOST_TEST(read(gzipped(large)).values.back() == 3);
}

BOOST_AUTO_TEST_CASE(files_that_are_no_idx_are_refused) {
  const std::string magic =
      "is no IDX file, which begins with two bytes of 0, a type and a number of dimensions";
  BOOST_TEST(read("").refusal == magic);
  BOOST_TEST(read(std::string("\0\0\x08", 3)).refusal == magic);
  BOOST_TEST(read("a,b\n1,2\n").refusal == magic);
  for (const unsigned code : {0u, 7u, 10u, 15u, 255u}) {
    BOOST_TEST(
        read(file_of(code, {1}, "\1")).refusal ==
        "its type has the code " + std::to_string(code) +
            "; 8 (uint8), 9 (int8), 11 (int16), 12 (int32), 13 (float32) and 14 (float64) are allowed");
  }
  const std::string valid = file_of(0x08, {2, 3}, "123456");
  BOOST_TEST(read(valid.substr(0, 11)).refusal == "ends in its dimensions");
  BOOST_TEST(read(valid.substr(0, 17)).refusal == "has 5 bytes of data, but [2, 3] of uint8 needs 6");
  BOOST_TEST(read(valid + "7").refusal == "has 7 bytes of data, but [2, 3] of uint8 needs 6");
  BOOST_TEST(read(file_of(0x08, {1, 1, 1, 1, 1, 1, 1}, "1")).refusal ==
             "Shape: at most 6 dimensions are allowed");
  BOOST_TEST(read(std::string("\0\0\x08\xff", 4)).refusal == "ends in its dimensions");
  const std::string huge = std::string("\0\0\x08\x02", 4) + std::string(8, '\xff');
  BOOST_TEST(read(huge).refusal == "Shape: [4294967295, 4294967295] has more than 2^59 elements");
  BOOST_TEST(error_message<FileError>([] { read_idx<float>("no/such"); }) ==
             "no/such: cannot be opened: No such file or directory");
}

BOOST_AUTO_TEST_CASE(damaged_compression_is_refused) {
  const std::string valid = gzipped(file_of(0x08, {2, 3}, "123456"));
  BOOST_TEST(read(valid.substr(0, valid.size() - 1)).refusal == "its compressed data ends too soon");
  BOOST_TEST(read(valid.substr(0, 5)).refusal == "its compressed data ends too soon");
  BOOST_TEST(read(valid + "x").refusal == "has 1 bytes behind the end of its compressed data");
  std::string flipped = valid;
  flipped[valid.size() - 6] = static_cast<char>(flipped[valid.size() - 6] ^ 1);  // in the checksum
  BOOST_TEST(read(flipped).refusal == "its compressed data is damaged");
  BOOST_TEST(read(gzipped("no array")).refusal.starts_with("is no IDX file"));
}

BOOST_AUTO_TEST_CASE(elements_that_do_not_fit_are_refused) {
  const TemporaryDirectory folder;
  write_file(folder / "x", file_of(0x09, {2}, "\x01\xff"));
  BOOST_TEST(error_message<FileError>([&] { read_idx<std::uint8_t>(folder / "x"); }) ==
             (folder / "x").string() + ": element 1 is -1, which a tensor of uint8 does not hold");
  BOOST_TEST((read_idx<std::int32_t>(folder / "x").to_vector() == std::vector<std::int32_t>{1, -1}));
}

BOOST_AUTO_TEST_CASE(damaged_files_are_read_or_refused_but_never_crash) {
  Rng rng(18);
  const std::string valid = file_of(0x0C, {2, 3, 1}, std::string(24, '\5'));
  for (const std::string& contents : {valid, gzipped(valid)}) {
    int refused = 0;
    for (int i = 0; i < 1000; ++i)
      refused += read(cria::test::damaged(contents, rng)).refusal != nothing_thrown;
    BOOST_TEST(refused > 300);
    BOOST_TEST(refused < 1000);
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
