#pragma once
/// Stories from text files: plain text, TinyStories JSON shards and JSONL.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pretrain {

/// What one file holds. The stories are valid UTF-8, without white space around them, and not empty.
struct Text {
  std::vector<std::string> stories;
  std::int64_t invalid_utf8 = 0;  ///< invalid sequences that were replaced by U+FFFD
};

/// The files that `input` names, sorted, each once: a file stands for itself, a folder for all *.txt, *.json
/// and *.jsonl files in it and in the folders below. Throws cria::FileError for a path that does not exist
/// and for a folder without such files.
std::vector<std::filesystem::path> text_files(const std::vector<std::string>& input);

/// Reads the stories of one file. By the end of its name it is
///   .json   an array of objects with a text field (TinyStories' shards), or one such object,
///   .jsonl  one such object a line,
///   else    plain text: stories are separated by lines that hold only <|endoftext|>, or by blank lines if
///           there is none of those.
/// Throws cria::FileError if the file cannot be read, is not what its name says, or holds no stories.
/// The text field is the one called `text_field`; if that is empty, "story" or "text".
Text read_stories(const std::filesystem::path& path, const std::string& text_field = "");

/// `text` with every invalid UTF-8 sequence replaced by U+FFFD, as the Unicode standard recommends (one for
/// each maximal part of a sequence); their number is added to `replaced`. NUL, valid in UTF-8 but never part
/// of text, is replaced too.
std::string repair_utf8(std::string_view text, std::int64_t& replaced);

}  // namespace pretrain
