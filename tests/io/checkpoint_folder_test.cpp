#include "cria/io/checkpoint_folder.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cria/core/random.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(checkpoint_folder)

namespace {

namespace fs = std::filesystem;
using namespace cria::io;
using cria::FileError;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

void write_plainly(const fs::path& path, std::string_view contents) {
  fs::remove(path);  // a new file is quicker than emptying one: nothing waits for the disk
  OutputFile file(path);
  file.write(contents);
  file.close();
}

// The files of checkpoint number `counter`: the number, and data that depends on it.
void fill_with(const fs::path& folder, int counter) {
  write_plainly(folder / "counter", std::to_string(counter));
  write_plainly(folder / "data",
                std::string(static_cast<std::size_t>(1000 + counter % 7), static_cast<char>(counter)));
}

void replace_with(const fs::path& folder, int counter) {
  replace_folder(folder, [&](const fs::path& partial) { fill_with(partial, counter); });
}

int counter_in(const fs::path& folder) {
  return std::stoi(read_file(folder / "counter"));
}

// The names in a folder, sorted, separated by spaces.
std::string listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

/// A forked process that runs `action` with the end of a pipe to write to, then ends.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<void(int)>& action) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
    process_ = ::fork();
    if (process_ < 0) throw std::runtime_error("fork failed");
    if (process_ == 0) {
      ::close(ends[0]);
      action(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() { ::close(output_); }

  void kill() const { ::kill(process_, SIGKILL); }

  /// Waits for the first line and returns it.
  std::string first_line() const {
    std::string line;
    for (char character; ::read(output_, &character, 1) == 1 && character != '\n';) line += character;
    return line;
  }

  /// Waits for the end and returns all that was written and not yet read.
  std::string output() const {
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = ::read(output_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    ::waitpid(process_, nullptr, 0);
    return text;
  }

 private:
  pid_t process_ = -1;
  int output_ = -1;
};

void send(int pipe, const std::string& text) {
  if (::write(pipe, text.data(), text.size()) != static_cast<ssize_t>(text.size())) ::_exit(1);
}

/// A folder "ckpt" in which the states that a crash leaves are made by hand.
struct CrashState {
  TemporaryDirectory root;
  fs::path folder = root / "ckpt";

  // Puts a complete checkpoint at ckpt<suffix>.
  void add(const char* suffix, int counter) {
    const fs::path made = root / "made";
    replace_with(made, counter);
    fs::rename(made, folder.string() + suffix);
  }

  // What the loader finds, and what is there after a failed and after a good replacement.
  void check(int newest) const {
    if (newest > 0) {
      const fs::path found = find_complete_folder(folder);
      verify_folder(found);
      BOOST_TEST(counter_in(found) == newest);
    }
    BOOST_CHECK_THROW(replace_folder(folder, [](const fs::path&) { throw std::runtime_error("disk full"); }),
                      std::runtime_error);
    if (newest > 0) {
      BOOST_TEST(counter_in(find_complete_folder(folder)) == newest);
      verify_folder(find_complete_folder(folder));
    }
    replace_with(folder, 9);
    BOOST_TEST(find_complete_folder(folder) == folder);
    verify_folder(folder);
    BOOST_TEST(counter_in(folder) == 9);
    BOOST_TEST(listing(root.path()) == "ckpt");
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_folder_holds_the_files_and_a_manifest_and_nothing_is_left_beside_it) {
  const TemporaryDirectory root;
  const fs::path folder = root / "out/ckpt";
  replace_folder(folder, [](const fs::path& partial) {
    write_plainly(partial / "a", "123456789");
    write_plainly(partial / "empty", "");
  });
  BOOST_TEST(listing(root / "out") == "ckpt");
  BOOST_TEST(listing(folder) == "a empty manifest.json");
  const auto manifest = nlohmann::json::parse(read_file(folder / "manifest.json"));
  const auto expected = nlohmann::json::parse(
      R"({"format_version": 1, "files": {"a": {"size": 9, "crc32": "cbf43926"}, "empty": {"size": 0, "crc32": "00000000"}},
          "checksum": "4d6f9192"})");
  BOOST_TEST(manifest == expected);
  verify_folder(folder);

  replace_folder(folder, [](const fs::path& partial) { write_plainly(partial / "b", "new"); });
  BOOST_TEST(listing(folder) == "b manifest.json");
  verify_folder(folder);
}

BOOST_AUTO_TEST_CASE(a_path_may_end_in_a_slash_or_be_a_bare_name) {
  const TemporaryDirectory root;
  replace_with(root / "ckpt/", 1);
  replace_with(root / "ckpt/", 2);
  BOOST_TEST(listing(root.path()) == "ckpt");
  BOOST_TEST(counter_in(find_complete_folder(root / "ckpt/")) == 2);
  const fs::path before = fs::current_path();
  fs::current_path(root.path());
  replace_with("ckpt", 3);
  fs::current_path(before);
  BOOST_TEST(counter_in(root / "ckpt") == 3);
}

BOOST_AUTO_TEST_CASE(a_failure_while_filling_leaves_the_old_folder_and_goes_on) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  const auto fail = [](const fs::path& partial) {
    write_plainly(partial / "half", "written");
    throw std::runtime_error("the disk is full");
  };
  BOOST_TEST(error_message<std::runtime_error>([&] { replace_folder(folder, fail); }) == "the disk is full");
  BOOST_TEST(listing(root.path()) == "");
  replace_with(folder, 1);
  BOOST_TEST(error_message<std::runtime_error>([&] { replace_folder(folder, fail); }) == "the disk is full");
  BOOST_TEST(listing(root.path()) == "ckpt");
  verify_folder(folder);
  BOOST_TEST(counter_in(folder) == 1);
}

BOOST_AUTO_TEST_CASE(what_is_not_a_checkpoint_folder_is_not_replaced) {
  const TemporaryDirectory root;
  fs::create_directory(root / "notes");
  write_plainly(root / "notes/diary", "dear");
  BOOST_TEST(error_message<FileError>([&] { replace_with(root / "notes", 1); }) ==
             (root / "notes").string() +
                 ": holds files but no manifest.json: it is not a checkpoint folder and is not replaced");
  BOOST_TEST(read_file(root / "notes/diary") == "dear");
  BOOST_TEST(error_message<FileError>([&] { replace_with(root / "notes/diary", 1); }) ==
             (root / "notes/diary").string() + ": is a file, not a checkpoint folder");
  fs::create_directory(root / "empty");
  replace_with(root / "empty", 1);
  verify_folder(root / "empty");
}

BOOST_AUTO_TEST_CASE(a_folder_is_removed_with_what_crashes_have_left_of_it) {
  const TemporaryDirectory directory;
  const fs::path folder = directory / "ckpt";
  BOOST_TEST(!holds_folder(folder));
  remove_folder(folder);  // nothing is there
  for (const char* name : {"ckpt.new", "ckpt.previous", "ckpt"}) {
    replace_with(folder, 1);
    if (name != std::string("ckpt")) fs::rename(folder, directory / name);
    BOOST_TEST(holds_folder(folder));
    fs::create_directory(directory / "ckpt.partial");
    write_plainly(directory / "ckpt.partial/data", "x");
    remove_folder(folder / "");
    BOOST_TEST(listing(directory.path()) == "");
    BOOST_TEST(!holds_folder(folder));
  }
  fs::create_directory(folder);
  write_plainly(folder / "novel.txt", "mine");
  BOOST_TEST(error_message<FileError>([&] { remove_folder(folder); }) ==
             folder.string() +
                 ": holds files but no manifest.json: it is not a checkpoint folder and is not replaced");
  BOOST_TEST(listing(folder) == "novel.txt");
}

BOOST_AUTO_TEST_CASE(folders_inside_are_refused_and_an_impossible_place_is_named) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  BOOST_TEST(error_message<FileError>([&] {
               replace_folder(folder,
                              [](const fs::path& partial) { fs::create_directory(partial / "inner"); });
             }) == folder.string() + ".partial/inner: a checkpoint folder holds only regular files");
  BOOST_TEST(listing(root.path()) == "");
  write_plainly(root / "file", "");
  BOOST_TEST(error_message<FileError>([&] { replace_with(root / "file/ckpt", 1); }) ==
             (root / "file/ckpt.partial").string() + ": cannot be created: Not a directory");
}

BOOST_AUTO_TEST_CASE(crash_while_the_first_folder_is_written) {
  CrashState state;
  fs::create_directory(state.root / "ckpt.partial");
  write_plainly(state.root / "ckpt.partial/counter", "1");
  BOOST_TEST(error_message<FileError>([&] { find_complete_folder(state.folder); }) ==
             state.folder.string() + ": there is no complete checkpoint (a folder with a manifest.json)");
  state.check(0);
}

BOOST_AUTO_TEST_CASE(crash_after_the_first_folder_is_complete) {
  CrashState state;
  state.add(".new", 1);
  state.check(1);
}

BOOST_AUTO_TEST_CASE(crash_in_step_1_while_files_are_written) {
  CrashState state;
  state.add("", 1);
  fs::create_directory(state.root / "ckpt.partial");
  write_plainly(state.root / "ckpt.partial/counter", "2");
  write_plainly(state.root / "ckpt.partial/stale", "must not come into the next one");
  state.check(1);
  BOOST_TEST(listing(state.folder) == "counter data manifest.json");
}

BOOST_AUTO_TEST_CASE(crash_before_step_2_when_the_manifest_is_written) {
  CrashState state;
  state.add("", 1);
  state.add(".partial", 2);
  state.check(1);
}

BOOST_AUTO_TEST_CASE(crash_after_step_2) {
  CrashState state;
  state.add("", 1);
  state.add(".new", 2);
  state.check(2);
}

BOOST_AUTO_TEST_CASE(crash_after_step_3) {
  CrashState state;
  state.add(".previous", 1);
  state.add(".new", 2);
  state.check(2);
}

BOOST_AUTO_TEST_CASE(crash_after_step_4) {
  CrashState state;
  state.add(".previous", 1);
  state.add("", 2);
  state.check(2);
}

BOOST_AUTO_TEST_CASE(crash_in_step_5_while_the_previous_folder_is_removed) {
  CrashState state;
  state.add(".previous", 1);
  fs::remove(state.root / "ckpt.previous/manifest.json");
  state.add("", 2);
  state.check(2);
}

BOOST_AUTO_TEST_CASE(crash_in_the_next_replacement_while_an_old_previous_folder_is_there) {
  CrashState state;
  state.add(".previous", 1);
  state.add("", 2);
  state.add(".new", 3);
  state.check(3);
}

BOOST_AUTO_TEST_CASE(the_previous_folder_is_found_when_it_is_the_only_complete_one) {
  CrashState state;
  state.add(".previous", 1);
  fs::create_directory(state.root / "ckpt.new");
  write_plainly(state.root / "ckpt.new/manifest.json", "{");
  state.check(1);
}

BOOST_AUTO_TEST_CASE(a_child_killed_at_any_moment_leaves_the_newest_folder_complete) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  cria::Rng rng(30);
  int counter = 0;
  for (int kill = 0; kill < 30; ++kill) {
    const ChildProcess child([&](int pipe) {
      for (int next = counter + 1;; ++next) {
        replace_with(folder, next);
        send(pipe, std::to_string(next) + "\n");
      }
    });
    const std::string first = child.first_line();
    const timespec pause{0, static_cast<long>(rng.below(20'000'000))};
    ::nanosleep(&pause, nullptr);
    child.kill();
    const std::string output = first + "\n" + child.output();
    const int acknowledged = std::stoi(output.substr(output.rfind('\n', output.size() - 2) + 1));
    const fs::path found = find_complete_folder(folder);
    verify_folder(found);
    const int reached = counter_in(found);
    BOOST_TEST(reached >= acknowledged);
    BOOST_TEST(reached <= acknowledged + 1);
    counter = reached;
  }
  BOOST_TEST(counter >= 30);
}

BOOST_AUTO_TEST_CASE(a_full_disk_leaves_the_old_folder_and_is_named) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  replace_with(folder, 1);
  const ChildProcess child([&](int pipe) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{50'000, 50'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    send(pipe, error_message<FileError>([&] {
           replace_folder(folder, [](const fs::path& partial) {
             fill_with(partial, 2);
             write_plainly(partial / "model.safetensors", std::string(100'000, 'x'));
           });
         }));
  });
  BOOST_TEST(child.output() ==
             folder.string() + ".partial/model.safetensors: cannot be written: File too large");
  BOOST_TEST(listing(root.path()) == "ckpt");
  verify_folder(folder);
  BOOST_TEST(counter_in(folder) == 1);
}

BOOST_AUTO_TEST_CASE(damaged_files_are_found_and_named) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  replace_folder(folder,
                 [](const fs::path& partial) { write_plainly(partial / "data", "twenty bytes of data"); });
  const std::string data = folder / "data";
  const auto message = [&] { return error_message<FileError>([&] { verify_folder(folder); }); };
  write_plainly(folder / "extra", "is ignored");
  BOOST_TEST(message() == "(nothing thrown)");
  write_plainly(data, "twenty byt");
  BOOST_TEST(message() == data + ": is 10 bytes long, the manifest says 20");
  write_plainly(data, "twenty bytes of daua");
  BOOST_TEST(message() == data + ": its checksum differs from the manifest's; the file is damaged");
  fs::remove(data);
  BOOST_TEST(message() == data + ": is missing; the manifest lists it");
  fs::remove(folder / "manifest.json");
  BOOST_TEST(message() == folder.string() + "/manifest.json: cannot be opened: No such file or directory");
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_in_the_manifest_is_found) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  replace_with(folder, 1);
  const std::string manifest = read_file(folder / "manifest.json");
  for (std::size_t byte = 0; byte < manifest.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = manifest;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      write_plainly(folder / "manifest.json", damaged);
      BOOST_CHECK_THROW(verify_folder(folder), FileError);
      BOOST_CHECK_THROW(find_complete_folder(folder), FileError);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_a_manifest_is_said) {
  const TemporaryDirectory root;
  const fs::path folder = root / "ckpt";
  replace_with(folder, 1);
  const std::string path = folder / "manifest.json";
  const auto manifest = nlohmann::json::parse(read_file(path));
  const auto message = [&](const std::string& contents) {
    write_plainly(path, contents);
    const std::string found = error_message<FileError>([&] { find_complete_folder(folder); });
    BOOST_TEST(error_message<FileError>([&] { verify_folder(folder); }) == found);
    return found;
  };
  BOOST_TEST(message(manifest.dump()) == "(nothing thrown)");
  const std::string other = path + ": is not a checkpoint's manifest, or is damaged";
  for (const char* contents : {"", "{", "[]", "{}", R"({"format_version":1,"files":{},"sum":""})"}) {
    BOOST_TEST(message(contents) == other);
  }
  auto changed = manifest;
  changed["files"]["data"] = 5;
  BOOST_TEST(message(changed.dump()) == other);
  changed = manifest;
  changed["files"]["data"]["size"] = -5;
  BOOST_TEST(message(changed.dump()) == other);
  changed = manifest;
  changed["format_version"] = 2;
  BOOST_TEST(message(changed.dump()) == path + ": has format_version 2; this program reads version 1");
  changed = manifest;
  changed["files"]["data"]["size"] = 5;
  BOOST_TEST(message(changed.dump()) ==
             path + ": its checksum differs from its contents; the file is damaged");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
