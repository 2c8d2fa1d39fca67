#pragma once
/// From text to training data: a tokenizer and token shards.

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

namespace pretrain {

struct PrepareOptions {
  std::vector<std::string> input;  ///< text files and folders; none: the embedded corpus
  std::int64_t vocab_size = 0;     ///< pieces of the tokenizer, at most 65536; 0: 4096, embedded corpus: 1024
  std::string text_field;          ///< of a JSON object, that holds its text; none: "story" or "text"
  std::string data_dir = "data";   ///< where the data goes
  bool overwrite = false;          ///< whether it may take the place of other data there
  std::int64_t stories = 100000;   ///< stories of the embedded corpus
  std::uint64_t seed = 1337;       ///< of the embedded corpus
  std::int64_t max_seq_len = 256;  ///< positions of a training window: no shard is shorter than one
};

/// Trains a tokenizer on the text, encodes each story as BOS and its ids, prints a summary to `out` and
/// writes into data_dir
///   tok{vocab_size}/*.bin  uint16 shards; the first in sorted order is validation, the others are training
///   tokenizer.model        the SentencePiece model
///   corpus.json            counts of both splits and, for the embedded corpus, their entropy; written last
/// Validation is the first file of several, the first 1 % of the stories of a single one or of the embedded
/// corpus, and goes on until it has 20 windows. Where that leaves less than a window for training, as a text
/// of one long story does, validation is the end of the text, cut off inside a story, and `out` says so. Each
/// file is replaced as a whole, after all the work is done; token shards of an earlier run are removed. Data
/// is replaced only if `overwrite` is set, and while one process prepares a folder another one is refused.
/// Throws cria::ConfigError and cria::FileError; then nothing has changed in data_dir.
void prepare(const PrepareOptions& options, std::ostream& out = std::cout);

}  // namespace pretrain
