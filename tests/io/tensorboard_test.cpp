#include "cria/io/tensorboard.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "support/error_message.hpp"
#include "support/golden.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(tensorboard)

namespace {

using cria::io::read_file;
using cria::io::TensorBoardLog;
using cria::test::TemporaryDirectory;

/// CRC-32C by long division, one bit after another.
std::uint32_t divided(const std::string& bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool last = (remainder & 1) != (static_cast<unsigned>(byte) >> bit & 1);
      remainder = (remainder >> 1) ^ (last ? 0x82f63b78 : 0);
    }
  }
  return ~remainder;
}

template <class T>
T number_at(const std::string& bytes, std::size_t place) {
  T value;
  std::memcpy(&value, bytes.substr(place, sizeof(T)).data(), sizeof(T));
  return value;
}

/// The data of an event file's records, whose checksums are right.
std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> all;
  const auto check = [&](const std::string& bytes, std::size_t place) {
    const std::uint32_t crc = divided(bytes);
    BOOST_TEST(number_at<std::uint32_t>(file, place) == (crc >> 15 | crc << 17) + 0xa282ead8);
  };
  for (std::size_t place = 0; place < file.size();) {
    const auto length = number_at<std::uint64_t>(file, place);
    BOOST_TEST_REQUIRE(place + 16 + length <= file.size());
    all.push_back(file.substr(place + 12, length));
    check(file.substr(place, 8), place + 8);
    check(all.back(), place + 12 + length);
    place += 16 + length;
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(checksums_are_castagnolis) {
  // RFC 3720, B.4: 32 bytes of zeros, of ones, and counting up.
  std::vector<std::byte> bytes(32);
  BOOST_TEST(cria::io::crc32c(bytes) == 0x8a9136aau);
  for (auto& byte : bytes) byte = std::byte{255};
  BOOST_TEST(cria::io::crc32c(bytes) == 0x62a8ab43u);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  BOOST_TEST(cria::io::crc32c(bytes) == 0x46dd794eu);
  BOOST_TEST(cria::io::crc32c({}) == 0u);
}

BOOST_AUTO_TEST_CASE(events_are_those_of_tensorboard_but_for_the_time) {
  const TemporaryDirectory folder;
  const double before = static_cast<double>(std::time(nullptr));
  std::string text;
  for (int i = 0; i < 20; ++i) text += "Once upon a time, ";
  TensorBoardLog log(folder / "run");
  log.scalars(0, {{"loss", 0.1}, {"zero", 0.0}});
  log.scalars(128, {{"loss", std::nan("")}});
  log.text(300, "sample", text + "there was a café.\n");
  log.restart(5'000'000'000);
  auto got = records(read_file(log.path()));
  const auto want = records(read_file(cria::test::golden_path("tensorboard.tfevents")));
  BOOST_TEST_REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto time = number_at<double>(got[i], 1);
    BOOST_TEST(time >= before);
    BOOST_TEST(time < before + 60);
    got[i].replace(1, 8, want[i].substr(1, 8));
    BOOST_TEST((got[i] == want[i]), "record " << i);
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_goes_on_begins_a_file_that_takes_back_what_it_writes_again) {
  const TemporaryDirectory folder;
  const TensorBoardLog first(folder / ""), second(folder / "", 7);
  BOOST_TEST(first.path() < second.path());  // as TensorBoard reads them
  const auto name = second.path().filename().string();
  BOOST_TEST(name.starts_with("events.out.tfevents."));
  const auto log = records(read_file(second.path()));
  BOOST_TEST_REQUIRE(log.size() == 2u);
  // After the time: step 7, and session_log {status: START}.
  BOOST_TEST(log[1].substr(9) == "\x10\x07\x3a\x02\x08\x01");
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_written_to_is_refused) {
  const TemporaryDirectory folder;
  cria::io::write_file(folder / "file", "");
  BOOST_TEST(cria::test::error_message<cria::FileError>([&] {
               TensorBoardLog(folder / "file");
             }).find("cannot be used as a folder to write to") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
