#pragma once
/// A folder of files that is replaced as a whole: after a crash, a kill or a full disk at any moment, at
/// least one complete folder is there, and a damaged file in it is noticed.
///
/// The steps of replace_folder, each on the disk before the next begins:
///   1. write <folder>.partial, its manifest.json last     complete: <folder>
///   2. rename <folder>.partial to <folder>.new            complete: <folder>, <folder>.new
///   3. rename <folder> to <folder>.previous               complete: <folder>.previous, <folder>.new
///   4. rename <folder>.new to <folder>                    complete: <folder>.previous, <folder>
///   5. remove <folder>.previous                           complete: <folder>
///
/// manifest.json: {"format_version": 1, "files": {"name": {"size": 123, "crc32": "89abcdef"}}, "checksum":
/// "01234567"}, where checksum is the CRC-32 of the "files" object as compact JSON with sorted keys.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <system_error>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"

namespace cria::io {

namespace detail {

inline constexpr int manifest_version = 1;

/// `folder` with `suffix` at the end of its name; "out/ckpt/" is taken as "out/ckpt".
inline std::filesystem::path sibling(const std::filesystem::path& folder, const char* suffix) {
  std::filesystem::path result = folder.has_filename() ? folder : folder.parent_path();
  result += suffix;
  return result;
}

inline std::string manifest_checksum(const nlohmann::json& files) {
  const std::string text = files.dump();
  return hexadecimal(crc32(std::as_bytes(std::span(text))));
}

/// {"size", "crc32"} of a file, in one pass.
inline nlohmann::json manifest_entry(const std::filesystem::path& path) {
  std::uint64_t size = 0;
  std::uint32_t checksum = 0;
  for_each_chunk(path, [&](std::span<const std::byte> chunk) {
    size += chunk.size();
    checksum = crc32(chunk, checksum);
  });
  return {{"size", size}, {"crc32", hexadecimal(checksum)}};
}

/// Syncs every file of the folder and lists them in its manifest.json.
inline void write_manifest(const std::filesystem::path& folder) {
  nlohmann::json files = nlohmann::json::object();
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (!file.is_regular_file())
      throw FileError(file.path().string(), "a checkpoint folder holds only regular files");
    sync_file(file.path());
    files[file.path().filename().string()] = manifest_entry(file.path());
  }
  const nlohmann::json manifest = {
      {"format_version", manifest_version}, {"checksum", manifest_checksum(files)}, {"files", files}};
  write_file(folder / "manifest.json", manifest.dump(2) + "\n");
}

/// The manifest's "files". Throws FileError if it is missing or damaged.
inline nlohmann::json read_manifest(const std::filesystem::path& folder) {
  using Json = nlohmann::json;
  const std::filesystem::path path = folder / "manifest.json";
  const Json manifest = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  const auto is_entry = [](const Json& entry) {
    return entry.is_object() && entry.size() == 2 && entry.contains("size") &&
           entry["size"].is_number_unsigned() && entry.contains("crc32") && entry["crc32"].is_string();
  };
  if (!manifest.is_object() || manifest.size() != 3 || !manifest.contains("format_version") ||
      !manifest.contains("checksum") || !manifest.contains("files") || !manifest["files"].is_object() ||
      !std::all_of(manifest["files"].begin(), manifest["files"].end(), is_entry)) {
    throw FileError(path.string(), "is not a checkpoint's manifest, or is damaged");
  }
  if (manifest["format_version"] != manifest_version) {
    throw FileError(path.string(), "has format_version " + manifest["format_version"].dump() +
                                       "; this program reads version " + std::to_string(manifest_version));
  }
  if (manifest["checksum"] != manifest_checksum(manifest["files"])) {
    throw FileError(path.string(), "its checksum differs from its contents; the file is damaged");
  }
  return manifest["files"];
}

/// Whether something is at `path`.
inline bool is_present(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

inline bool is_complete(const std::filesystem::path& folder) {
  try {
    read_manifest(folder);
    return true;
  } catch (const FileError&) {
    return false;
  }
}

/// Steps 3 to 5: puts the complete <folder>.new in the place of <folder>.
inline void install_new_folder(const std::filesystem::path& folder) {
  const std::filesystem::path previous = sibling(folder, ".previous");
  remove_tree(previous);
  if (is_present(folder)) rename_durably(folder, previous);
  rename_durably(sibling(folder, ".new"), folder);
  remove_tree(previous);
}

/// Removes what a crash has left of a replacement, or finishes it where the new folder was already complete.
inline void recover(const std::filesystem::path& folder) {
  const std::filesystem::path complete = sibling(folder, ".new");
  remove_tree(sibling(folder, ".partial"));
  if (!is_present(complete)) return;
  if (is_complete(complete)) {
    install_new_folder(folder);
  } else {
    remove_tree(complete);
  }
}

/// Throws FileError when `folder` is something that replace_folder has not made and that must not be lost.
inline void check_replaceable(const std::filesystem::path& folder) {
  if (!is_present(folder)) return;
  if (!std::filesystem::is_directory(folder))
    throw FileError(folder.string(), "is a file, not a checkpoint folder");
  if (!std::filesystem::is_empty(folder) && !is_present(folder / "manifest.json")) {
    throw FileError(folder.string(),
                    "holds files but no manifest.json: it is not a checkpoint folder and is not replaced");
  }
}

}  // namespace detail

/// The replacement of `folder` by another one, which is made in partial() and holds files, no folders. Without
/// commit() the old folder stays, and nothing of the new one.
class FolderReplacement {
 public:
  /// Finishes or removes what an interrupted replacement has left, and makes an empty partial(). Throws FileError;
  /// also if `folder` has files but no manifest.
  explicit FolderReplacement(const std::filesystem::path& folder)
      : folder_(detail::sibling(folder, "")), partial_(partial_of(folder)) {
    detail::recover(folder_);
    detail::check_replaceable(folder_);
    std::error_code error;
    std::filesystem::create_directories(partial_, error);
    if (error) detail::fail(partial_, "cannot be created", error.value());
  }
  FolderReplacement(const FolderReplacement&) = delete;
  FolderReplacement& operator=(const FolderReplacement&) = delete;
  ~FolderReplacement() {
    std::error_code ignored;
    if (!is_committed_) std::filesystem::remove_all(partial_, ignored);
  }

  const std::filesystem::path& partial() const { return partial_; }
  /// That of the replacement of `folder`, for other processes that write into it.
  static std::filesystem::path partial_of(const std::filesystem::path& folder) {
    return detail::sibling(folder, ".partial");
  }

  /// Lists the files in a manifest, and puts the new folder in the place of the old one. Throws FileError.
  void commit() {
    detail::write_manifest(partial_);
    rename_durably(partial_, detail::sibling(folder_, ".new"));
    is_committed_ = true;
    detail::install_new_folder(folder_);
  }

 private:
  std::filesystem::path folder_, partial_;
  bool is_committed_ = false;
};

/// Replaces `folder` by one that holds what `fill` writes into the folder that it is given (files, no
/// folders), and a manifest. If `fill` throws, its exception goes on and the old folder is intact. Throws what
/// FolderReplacement does.
inline void replace_folder(const std::filesystem::path& folder,
                           const std::function<void(const std::filesystem::path&)>& fill) {
  FolderReplacement replacement(folder);
  fill(replacement.partial());
  replacement.commit();
}

/// Whether replace_folder has put something there: `folder`, or what an interrupted call has left beside it.
inline bool holds_folder(const std::filesystem::path& folder) {
  return std::ranges::any_of(std::array{".new", "", ".previous"}, [&](const char* suffix) {
    return detail::is_present(detail::sibling(folder, suffix) / "manifest.json");
  });
}

/// Removes `folder` and what interrupted calls of replace_folder have left beside it. Throws FileError; also
/// for a folder with files but without manifest, which replace_folder has not made.
inline void remove_folder(const std::filesystem::path& folder) {
  detail::check_replaceable(detail::sibling(folder, ""));
  for (const char* suffix : {".partial", ".new", ".previous", ""}) {
    detail::remove_tree(detail::sibling(folder, suffix));
  }
}

/// The newest complete one of <folder>.new, <folder> and <folder>.previous, in this order; complete means
/// that its manifest is there and undamaged. Throws FileError if there is none.
inline std::filesystem::path find_complete_folder(const std::filesystem::path& folder) {
  std::exception_ptr damage;
  for (const char* suffix : {".new", "", ".previous"}) {
    const std::filesystem::path candidate = detail::sibling(folder, suffix);
    if (!detail::is_present(candidate / "manifest.json")) continue;
    try {
      detail::read_manifest(candidate);
      return candidate;
    } catch (const FileError&) {
      if (!damage) damage = std::current_exception();
    }
  }
  if (damage) std::rethrow_exception(damage);
  throw FileError(folder.string(), "there is no complete checkpoint (a folder with a manifest.json)");
}

/// Compares the folder with its manifest: every file listed is there, as long as it was and with the same
/// checksum. Other files are ignored. Throws FileError that names the file.
inline void verify_folder(const std::filesystem::path& folder) {
  const nlohmann::json manifest = detail::read_manifest(folder);
  for (const auto& [name, expected] : manifest.items()) {
    const std::filesystem::path path = folder / name;
    if (!detail::is_present(path)) throw FileError(path.string(), "is missing; the manifest lists it");
    const nlohmann::json found = detail::manifest_entry(path);
    if (found["size"] != expected["size"]) {
      throw FileError(path.string(), "is " + found["size"].dump() + " bytes long, the manifest says " +
                                         expected["size"].dump());
    }
    if (found["crc32"] != expected["crc32"]) {
      throw FileError(path.string(), "its checksum differs from the manifest's; the file is damaged");
    }
  }
}

}  // namespace cria::io
