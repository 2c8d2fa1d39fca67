#include "text_input.hpp"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"

namespace pretrain {

namespace {

using cria::FileError;

constexpr std::string_view separator = "<|endoftext|>";

std::string_view stripped(std::string_view text) {
  constexpr std::string_view blank = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(blank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

void add_story(Text& result, std::string_view story) {
  std::string repaired = repair_utf8(stripped(story), result.invalid_utf8);
  if (!repaired.empty()) result.stories.push_back(std::move(repaired));
}

/// Calls use(line) for each line, without its newline.
template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    use(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
}

Text plain_stories(std::string_view text) {
  bool has_separator = false;
  for_each_line(text,
                [&](std::string_view line) { has_separator = has_separator || stripped(line) == separator; });
  Text result;
  const char* story = text.data();
  for_each_line(text, [&](std::string_view line) {
    if (stripped(line) != (has_separator ? separator : std::string_view())) return;
    add_story(result, {story, static_cast<std::size_t>(line.data() - story)});
    story = line.data() + line.size();
  });
  add_story(result, {story, static_cast<std::size_t>(text.data() + text.size() - story)});
  return result;
}

/// The objects of one file.
struct JsonFile {
  const std::filesystem::path& path;
  const std::string& text_field;  // empty: "story" or "text"

  /// `where` says which object of the file this is.
  void add_story(Text& result, const nlohmann::json& object, const std::string& where) const {
    const std::vector<std::string> fields =
        text_field.empty() ? std::vector<std::string>{"story", "text"} : std::vector<std::string>{text_field};
    for (const std::string& field : fields) {
      if (!object.is_object() || !object.contains(field) || !object[field].is_string()) continue;
      return pretrain::add_story(result, object[field].get_ref<const std::string&>());
    }
    std::string problem = where + " must be an object with a string \"" + fields[0] + "\"";
    if (fields.size() > 1) problem += " or \"" + fields[1] + "\"";
    std::string strings;
    if (object.is_object()) {
      for (const auto& [name, value] : object.items()) {
        if (value.is_string()) strings += (strings.empty() ? "" : ", ") + nlohmann::json(name).dump();
      }
    }
    if (!strings.empty())
      problem += "; the strings that it has are " + strings + ", one of which --text_field may name";
    throw FileError(path.string(), problem);
  }
};

nlohmann::json parse_json(std::string_view text, const std::filesystem::path& path,
                          const std::string& where) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw FileError(path.string(), where + " is not valid JSON at byte " + std::to_string(error.byte));
  }
}

Text json_stories(std::string_view text, const JsonFile& file) {
  Text result;
  const nlohmann::json json = parse_json(repair_utf8(text, result.invalid_utf8), file.path, "the file");
  if (!json.is_array()) {
    file.add_story(result, json, "the file");
    return result;
  }
  for (std::size_t i = 0; i < json.size(); ++i) {
    file.add_story(result, json[i], "element " + std::to_string(i));
  }
  return result;
}

Text jsonl_stories(std::string_view text, const JsonFile& file) {
  Text result;
  std::int64_t number = 0;
  for_each_line(text, [&](std::string_view line) {
    const std::string where = "line " + std::to_string(++number);
    if (stripped(line).empty()) return;
    file.add_story(result, parse_json(repair_utf8(line, result.invalid_utf8), file.path, where), where);
  });
  return result;
}

/// Length of the UTF-8 sequence at the start of `text`, or minus the length of the invalid part there.
std::ptrdiff_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first == 0) return -1;
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return -1;
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size() || byte(i) < low || byte(i) > high) return -static_cast<std::ptrdiff_t>(i);
    low = 0x80;
    high = 0xBF;
  }
  return static_cast<std::ptrdiff_t>(length);
}

}  // namespace

std::string repair_utf8(std::string_view text, std::int64_t& replaced) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::ptrdiff_t length = sequence_length(text);
    const auto size = static_cast<std::size_t>(length > 0 ? length : -length);
    if (length > 0) {
      result.append(text.substr(0, size));
    } else {
      result.append("\xEF\xBF\xBD");
      ++replaced;
    }
    text.remove_prefix(size);
  }
  return result;
}

std::vector<std::filesystem::path> text_files(const std::vector<std::string>& input) {
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path path : input) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      if (!std::filesystem::exists(path, error))
        throw FileError(path.string(), "there is no such file or folder");
      files.push_back(path);
      continue;
    }
    const std::size_t before = files.size();
    std::filesystem::recursive_directory_iterator folder(path, error);
    for (; !error && folder != std::filesystem::end(folder); folder.increment(error)) {
      const std::string extension = folder->path().extension().string();
      const bool is_text = extension == ".txt" || extension == ".json" || extension == ".jsonl";
      if (is_text && folder->is_regular_file()) files.push_back(folder->path());
    }
    if (error) throw FileError(path.string(), "the folder cannot be read: " + error.message());
    if (files.size() == before)
      throw FileError(path.string(), "the folder holds no .txt, .json or .jsonl files");
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

Text read_stories(const std::filesystem::path& path, const std::string& text_field) {
  const cria::io::MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark is not text
  const std::string extension = path.extension().string();
  const JsonFile json{path, text_field};
  Text result = extension == ".json"    ? json_stories(text, json)
                : extension == ".jsonl" ? jsonl_stories(text, json)
                                        : plain_stories(text);
  if (result.stories.empty()) throw FileError(path.string(), "holds no text");
  return result;
}

}  // namespace pretrain
