#include "cria/io/file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>

#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(file)

namespace {

using namespace cria::io;
using cria::FileError;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// More than the buffer holds, and not a multiple of it.
std::string long_text() {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + ' ';
  return text;
}

/// For its lifetime no file can grow beyond `size` bytes: the test's full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size) : previous_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{size, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_{};
  void (*previous_handler_)(int);
};

}  // namespace

BOOST_AUTO_TEST_CASE(output_file_writes_pieces_of_any_size_in_order) {
  const TemporaryDirectory folder;
  const std::string text = long_text();
  OutputFile file(folder / "a");
  file.write("start ");
  file.write(text);
  file.write(bytes_of(""));
  for (const char& character : text) file.write(std::string_view(&character, 1));
  file.write(" end");
  file.close();
  BOOST_TEST((read_file(folder / "a") == "start " + text + text + " end"));
}

BOOST_AUTO_TEST_CASE(output_file_truncates_or_appends) {
  const TemporaryDirectory folder;
  for (const char* text : {"first, longer", "second"}) {
    OutputFile file(folder / "a");
    file.write(text);
    file.close();
  }
  BOOST_TEST(read_file(folder / "a") == "second");
  OutputFile file(folder / "a", OutputFile::Mode::append);
  file.write(", third");
  file.close();
  BOOST_TEST(read_file(folder / "a") == "second, third");
}

BOOST_AUTO_TEST_CASE(output_file_hands_bytes_over_at_flush_and_sync_and_in_the_destructor) {
  const TemporaryDirectory folder;
  {
    OutputFile file(folder / "a");
    file.write("one");
    BOOST_TEST(read_file(folder / "a") == "");
    file.flush();
    BOOST_TEST(read_file(folder / "a") == "one");
    file.write(" two");
    file.sync();
    BOOST_TEST(read_file(folder / "a") == "one two");
    file.write(" three");
  }
  BOOST_TEST(read_file(folder / "a") == "one two three");
}

BOOST_AUTO_TEST_CASE(output_file_that_cannot_be_opened_says_why) {
  const TemporaryDirectory folder;
  const std::string path = folder / "missing/a";
  BOOST_TEST(error_message<FileError>([&] { OutputFile file(path); }) ==
             path + ": cannot be written: No such file or directory");
  BOOST_TEST(error_message<FileError>([&] { OutputFile file(folder.path()); }) ==
             folder.path().string() + ": cannot be written: Is a directory");
}

BOOST_AUTO_TEST_CASE(output_file_on_a_full_device_says_so_at_every_way_out) {
  if (!std::filesystem::exists("/dev/full")) {
    BOOST_TEST_MESSAGE("skipped: this system has no /dev/full");
    return;
  }
  const std::string sentence = "/dev/full: cannot be written: No space left on device";
  OutputFile file("/dev/full");
  BOOST_TEST(error_message<FileError>([&] { file.write(long_text()); }) == sentence);
  file.write("x");
  BOOST_TEST(error_message<FileError>([&] { file.flush(); }) == sentence);
  file.write("x");
  BOOST_TEST(error_message<FileError>([&] { file.sync(); }) == sentence);
  file.write("x");
  BOOST_TEST(error_message<FileError>([&] { file.close(); }) == sentence);
  OutputFile abandoned("/dev/full");
  abandoned.write("its destructor is silent");
}

BOOST_AUTO_TEST_CASE(output_file_beyond_the_size_limit_says_so) {
  const TemporaryDirectory folder;
  const FileSizeLimit limit(1000);
  OutputFile file(folder / "a");
  BOOST_TEST(error_message<FileError>([&] { file.write(long_text()); }) ==
             (folder / "a").string() + ": cannot be written: File too large");
}

BOOST_AUTO_TEST_CASE(mapped_file_shows_the_bytes_and_keeps_them_when_moved) {
  const TemporaryDirectory folder;
  write_file(folder / "a", "some bytes");
  write_file(folder / "b", "others");
  MappedFile first(folder / "a");
  const std::byte* const address = first.bytes().data();
  MappedFile second = std::move(first);
  BOOST_TEST(text_of(second.bytes()) == "some bytes");
  BOOST_TEST(second.bytes().data() == address);
  BOOST_TEST(first.bytes().empty());  // NOLINT(bugprone-use-after-move): moved from means empty
  second = MappedFile(folder / "b");
  BOOST_TEST(text_of(second.bytes()) == "others");
  static_assert(!std::is_copy_constructible_v<MappedFile> && !std::is_copy_assignable_v<MappedFile>);
}

BOOST_AUTO_TEST_CASE(mapped_file_may_be_empty) {
  const TemporaryDirectory folder;
  write_file(folder / "a", "");
  BOOST_TEST(MappedFile(folder / "a").bytes().empty());
}

BOOST_AUTO_TEST_CASE(mapped_file_refuses_what_is_not_a_readable_file) {
  const TemporaryDirectory folder;
  const auto message = [](const std::filesystem::path& path) {
    return error_message<FileError>([&] { MappedFile file(path); });
  };
  BOOST_TEST(message(folder / "a") ==
             (folder / "a").string() + ": cannot be opened: No such file or directory");
  BOOST_TEST(message(folder.path()) == folder.path().string() + ": is a folder, not a file");
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  BOOST_TEST(message(folder / "pipe") == (folder / "pipe").string() + ": is not a regular file");
  if (::geteuid() == 0) {
    BOOST_TEST_MESSAGE("skipped in part: root may read every file");
    return;
  }
  write_file(folder / "b", "secret");
  std::filesystem::permissions(folder / "b", std::filesystem::perms::none);
  BOOST_TEST(message(folder / "b") == (folder / "b").string() + ": cannot be opened: Permission denied");
}

BOOST_AUTO_TEST_CASE(read_file_gives_all_bytes_and_says_what_it_cannot_read) {
  const TemporaryDirectory folder;
  const std::string text = std::string("zero\0newline\n", 13) + std::string(3'000'000, 'x');
  write_file(folder / "a", text);
  BOOST_TEST((read_file(folder / "a") == text));
  BOOST_TEST(error_message<FileError>([&] { read_file(folder / "b"); }) ==
             (folder / "b").string() + ": cannot be opened: No such file or directory");
  BOOST_TEST(error_message<FileError>([&] { read_file(folder.path()); }) ==
             folder.path().string() + ": cannot be read: Is a directory");
}

BOOST_AUTO_TEST_CASE(write_file_replaces_the_contents_and_leaves_nothing_else) {
  const TemporaryDirectory folder;
  write_file(folder / "a", "old contents");
  write_file(folder / "a", "new");
  BOOST_TEST(read_file(folder / "a") == "new");
  BOOST_TEST(!std::filesystem::exists(folder / "a.partial"));
}

BOOST_AUTO_TEST_CASE(write_file_follows_links_and_leaves_devices_alone) {
  const TemporaryDirectory folder;
  write_file(folder / "a", "old contents");
  std::filesystem::create_symlink("a", folder / "link");
  write_file(folder / "link", "new");
  BOOST_TEST(std::filesystem::is_symlink(folder / "link"));
  BOOST_TEST(read_file(folder / "a") == "new");
  std::filesystem::create_symlink("/dev/null", folder / "device");
  BOOST_TEST(error_message<FileError>([&] { write_file(folder / "device", "x"); }) ==
             "/dev/null: is a device or a pipe; only a file can be replaced");
}

BOOST_AUTO_TEST_CASE(write_file_keeps_the_old_file_when_it_fails) {
  const TemporaryDirectory folder;
  write_file(folder / "a", "old");
  {
    const FileSizeLimit limit(1000);
    BOOST_TEST(error_message<FileError>([&] { write_file(folder / "a", long_text()); }) ==
               (folder / "a.partial").string() + ": cannot be written: File too large");
  }
  BOOST_TEST(read_file(folder / "a") == "old");
  BOOST_TEST(!std::filesystem::exists(folder / "a.partial"));

  std::filesystem::create_directories(folder / "b/c");
  BOOST_TEST(error_message<FileError>([&] { write_file(folder / "b", "x"); }) ==
             (folder / "b.partial").string() + ": cannot be renamed to " + (folder / "b").string() +
                 ": Is a directory");
  BOOST_TEST(!std::filesystem::exists(folder / "b.partial"));
}

BOOST_AUTO_TEST_CASE(write_file_takes_a_bare_name) {
  const TemporaryDirectory folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file("a", "here");
  std::filesystem::current_path(before);
  BOOST_TEST(read_file(folder / "a") == "here");
}

BOOST_AUTO_TEST_CASE(sync_of_something_missing_is_an_error) {
  const TemporaryDirectory folder;
  const std::string sentence = (folder / "a").string() + ": cannot be opened: No such file or directory";
  BOOST_TEST(error_message<FileError>([&] { sync_directory(folder / "a"); }) == sentence);
  BOOST_TEST(error_message<FileError>([&] { sync_file(folder / "a"); }) == sentence);
  write_file(folder / "b", "");
  BOOST_TEST(error_message<FileError>([&] { sync_directory(folder / "b"); }) ==
             (folder / "b").string() + ": cannot be opened: Not a directory");
}

BOOST_AUTO_TEST_CASE(crc32_is_the_published_one_and_continues) {
  BOOST_TEST(crc32(bytes_of("123456789")) == 0xCBF43926u);  // the check value of CRC-32/ISO-HDLC
  BOOST_TEST(crc32({}) == 0u);
  BOOST_TEST(crc32(bytes_of("56789"), crc32(bytes_of("1234"))) == 0xCBF43926u);
  BOOST_TEST(crc32({}, 7u) == 7u);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
