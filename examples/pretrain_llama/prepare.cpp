#include "prepare.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <future>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/io/file.hpp"
#include "cria/io/tokens.hpp"
#include "embedded_corpus.hpp"
#include "folder_lock.hpp"
#include "progress.hpp"
#include "text_input.hpp"
#include "tokenizer.hpp"

namespace pretrain {

namespace {

using cria::ConfigError;
using cria::FileError;
using Path = std::filesystem::path;
using Tokens = std::vector<std::uint16_t>;

/// What is read at once: a file, or a run of embedded stories.
struct Part {
  Text text;
  std::vector<double> log_probabilities;  // of embedded stories, in nats
};

/// The input, part by part.
class RawCorpus {
 public:
  explicit RawCorpus(const PrepareOptions& options)
      : files_(text_files(options.input)),
        text_field_(options.text_field),
        stories_(options.stories),
        seed_(options.seed) {}

  bool is_embedded() const { return files_.empty(); }
  const std::vector<Path>& files() const { return files_; }

  std::int64_t part_count() const {
    return is_embedded() ? (stories_ + part_stories - 1) / part_stories : std::ssize(files_);
  }

  /// How much work a part is, for the progress bar.
  std::int64_t part_size(std::int64_t index) const {
    if (is_embedded()) return std::min(part_stories, stories_ - index * part_stories);
    return static_cast<std::int64_t>(std::filesystem::file_size(files_[static_cast<std::size_t>(index)]));
  }

  /// Number of all stories, `part` being the first one; only known for an input of one piece.
  std::int64_t story_count(const Part& part) const {
    return is_embedded() ? stories_ : std::ssize(part.text.stories);
  }

  Part read(std::int64_t index) const {
    Part part;
    if (!is_embedded()) {
      part.text = read_stories(files_[static_cast<std::size_t>(index)], text_field_);
      return part;
    }
    const std::int64_t end = std::min((index + 1) * part_stories, stories_);
    for (std::int64_t i = index * part_stories; i < end; ++i) {
      Story story = embedded_story(seed_, static_cast<std::uint64_t>(i));
      part.text.stories.push_back(std::move(story.text));
      part.log_probabilities.push_back(story.log_probability);
    }
    return part;
  }

  /// The stories that the tokenizer is trained on: whole parts from the start, until there is enough text.
  std::vector<std::string> tokenizer_stories() const {
    const std::size_t enough_bytes = is_embedded() ? std::size_t{16} << 20 : std::size_t{256} << 20;
    std::vector<std::string> stories;
    std::size_t bytes = 0;
    for (std::int64_t part = 0; part < part_count() && bytes < enough_bytes; ++part) {
      for (std::string& story : read(part).text.stories) {
        bytes += story.size();
        stories.push_back(std::move(story));
      }
    }
    return stories;
  }

 private:
  static constexpr std::int64_t part_stories = 1000;

  std::vector<Path> files_;
  std::string text_field_;
  std::int64_t stories_;
  std::uint64_t seed_;
};

/// What is counted of the validation and of the training data.
struct Split {
  std::int64_t stories = 0;
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;           // of text
  double nats = 0;                  // minus the log-probability of the stories, for the embedded corpus
  std::vector<std::string> shards;  // file names
};

struct Splits {
  Split validation;
  Split training;
  std::int64_t invalid_utf8 = 0;  // sequences that were replaced
  bool is_cut = false;            // inside a story
};

/// The shards while they are written: under temporary names until install() puts them in place, and gone if
/// that does not happen.
class ShardFolder {
 public:
  explicit ShardFolder(Path folder) : folder_(std::move(folder)) {
    std::error_code error;
    for (Path path = folder_; !path.empty() && !std::filesystem::exists(path, error);
         path = path.parent_path()) {
      created_.push_back(path);
    }
    std::filesystem::create_directories(folder_, error);
    if (error) throw FileError(folder_.string(), "the folder cannot be created: " + error.message());
  }
  ShardFolder(const ShardFolder&) = delete;
  ShardFolder& operator=(const ShardFolder&) = delete;
  ~ShardFolder() {
    file_.reset();
    std::error_code ignored;
    for (const std::string& name : names_) std::filesystem::remove(partial(name), ignored);
    for (const Path& path : created_) std::filesystem::remove(path, ignored);
  }

  /// Ends the current shard and begins one that sorts behind it.
  std::string begin_shard(const std::string& split) {
    close();
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "%05zu", names_.size());
    names_.push_back(std::string(number.data()) + "_" + split + ".bin");
    file_.emplace(partial(names_.back()));
    tokens_ = 0;
    return names_.back();
  }

  /// Forgets all shards.
  void clear() {
    close();
    for (const std::string& name : names_) std::filesystem::remove(partial(name));
    names_.clear();
  }

  /// Number of tokens in the current shard.
  std::int64_t tokens() const { return tokens_; }

  void add(std::span<const std::uint16_t> tokens) {
    file_->write(std::as_bytes(tokens));
    tokens_ += std::ssize(tokens);
  }

  /// Ends the last shard by appending it to the one before.
  void join_last_shard() {
    close();
    const Path last = partial(names_.back());
    names_.pop_back();
    file_.emplace(partial(names_.back()), cria::io::OutputFile::Mode::append);
    file_->write(cria::io::MappedFile(last).bytes());
    std::filesystem::remove(last);
  }

  /// Replaces the shards in the folder by the new ones.
  void install() {
    close();
    for (const std::string& name : names_) cria::io::rename_durably(partial(name), folder_ / name);
    created_.clear();
    std::vector<Path> stale;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const Path& path = entry.path();
      const bool is_new = std::find(names_.begin(), names_.end(), path.filename().string()) != names_.end();
      if ((path.extension() == ".bin" && !is_new) || path.extension() == ".partial") stale.push_back(path);
    }
    for (const Path& path : stale) std::filesystem::remove(path);
    names_.clear();
  }

 private:
  Path partial(const std::string& name) const { return folder_ / (name + ".partial"); }

  void close() {
    if (!file_) return;
    file_->sync();
    file_->close();
    file_.reset();
  }

  Path folder_;
  std::vector<Path> created_;  // folders that were not there before, the deepest first
  std::vector<std::string> names_;
  std::optional<cria::io::OutputFile> file_;
  std::int64_t tokens_ = 0;
};

/// Each story as BOS and its ids; the work is shared among all processors.
std::vector<Tokens> encode(const Tokenizer& tokenizer, std::span<const std::string> stories) {
  std::vector<Tokens> result(stories.size());
  const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<void>> running;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    running.push_back(std::async(std::launch::async, [&, thread] {
      for (std::size_t i = thread; i < stories.size(); i += threads) {
        const std::vector<std::int32_t> ids = tokenizer.encode(stories[i]);
        result[i].reserve(ids.size() + 1);
        result[i].push_back(static_cast<std::uint16_t>(tokenizer.bos()));
        for (const std::int32_t id : ids) result[i].push_back(static_cast<std::uint16_t>(id));
      }
    }));
  }
  for (auto& thread : running) thread.get();
  return result;
}

/// Where validation ends and where training shards do.
class SplitRules {
 public:
  SplitRules(const RawCorpus& corpus, std::int64_t window)
      : is_embedded_(corpus.is_embedded()), splits_files_(corpus.files().size() > 1), window_(window) {}

  /// Tokens of a shard with one window.
  std::int64_t least_training_tokens() const { return 2 * window_; }
  /// Tokens of a shard with 20 windows.
  std::int64_t least_validation_tokens() const { return 21 * window_; }

  /// Several files are never cut, others between any two stories.
  bool may_cut_before(std::size_t story_of_part) const { return !splits_files_ || story_of_part == 0; }

  /// `all_stories` counts those of both splits; only needed if stories are split.
  bool validation_is_complete(const Split& validation, std::int64_t all_stories) const {
    if (validation.tokens < least_validation_tokens()) return false;
    if (splits_files_) return true;
    // Of the embedded corpus, which can always be made larger, enough for a loss with two safe decimals.
    const bool is_comfortable =
        !is_embedded_ || validation.tokens >= 40000 || validation.stories * 10 >= all_stories;
    return is_comfortable && validation.stories * 100 >= all_stories;
  }

  /// One shard a file (small files are joined until there is a window in them), or about 20 MB of the
  /// embedded corpus.
  bool training_shard_is_complete(std::int64_t tokens) const {
    if (splits_files_) return tokens >= least_training_tokens();
    return is_embedded_ && tokens >= std::max<std::int64_t>(10'000'000, least_training_tokens());
  }

 private:
  bool is_embedded_;
  bool splits_files_;
  std::int64_t window_;
};

void check(const PrepareOptions& options) {
  const auto check_positive = [](const char* name, std::int64_t value) {
    if (value < 1)
      throw ConfigError(std::string(name) + " is " + std::to_string(value) + "; it must be at least 1");
  };
  check_positive("stories", options.stories);
  check_positive("max_seq_len", options.max_seq_len);
}

/// Throws ConfigError if a folder holds data, of `prepare` or of another trainer of the llama2.c family.
void check_holds_no_data(const Path& data_dir) {
  for (const char* name : {"corpus.json", "tokenizer.model"}) {
    if (!std::filesystem::exists(data_dir / name)) continue;
    throw ConfigError("--data_dir is " + data_dir.string() +
                      ", which holds prepared data; train on it, let the new data take its place by "
                      "--overwrite=true, or choose another folder");
  }
}

double ratio(double a, std::int64_t b) {
  return b == 0 ? 0 : a / static_cast<double>(b);
}
double nats_per_token(const Split& split) {
  return ratio(split.nats, split.tokens);
}
double bits_per_byte(const Split& split) {
  return ratio(split.nats / std::numbers::ln2, split.bytes);
}

nlohmann::ordered_json description(const Split& split, bool has_entropy) {
  nlohmann::ordered_json result = {{"stories", split.stories},
                                   {"tokens", split.tokens},
                                   {"bytes", split.bytes},
                                   {"bytes_per_token", ratio(static_cast<double>(split.bytes), split.tokens)},
                                   {"shards", split.shards}};
  if (has_entropy) {
    result["nats_per_story"] = ratio(split.nats, split.stories);
    result["nats_per_token"] = nats_per_token(split);
    result["bits_per_byte"] = bits_per_byte(split);
  }
  return result;
}

nlohmann::ordered_json description(const PrepareOptions& options, const RawCorpus& corpus,
                                   const Splits& splits, const Tokenizer& tokenizer) {
  nlohmann::ordered_json result = {{"format_version", 1}};
  if (corpus.is_embedded()) {
    result["source"] = "embedded";
    result["seed"] = options.seed;
  } else {
    for (const Path& file : corpus.files()) result["source"].push_back(file.string());
    result["invalid_utf8"] = splits.invalid_utf8;
  }
  const std::string& model = tokenizer.model_bytes();
  result["vocab_size"] = tokenizer.size();
  result["tokenizer_crc32"] = cria::io::crc32(std::as_bytes(std::span(model)));
  result["training"] = description(splits.training, corpus.is_embedded());
  result["validation"] = description(splits.validation, corpus.is_embedded());
  return result;
}

void print_summary(std::ostream& out, const Splits& splits, bool has_entropy) {
  const auto row = [&](const char* label, auto value_of) {
    out << std::left << std::setw(24) << label << std::right << std::setw(14) << value_of(splits.training)
        << std::setw(14) << value_of(splits.validation) << '\n';
  };
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << std::fixed << std::setprecision(4);
  out << std::setw(38) << "training" << std::setw(14) << "validation" << '\n';
  row("stories", [](const Split& split) { return split.stories; });
  row("tokens", [](const Split& split) { return split.tokens; });
  row("bytes of text", [](const Split& split) { return split.bytes; });
  row("bytes per token",
      [](const Split& split) { return ratio(static_cast<double>(split.bytes), split.tokens); });
  row("token shards", [](const Split& split) { return split.shards.size(); });
  if (has_entropy) {
    row("entropy, nats per token", nats_per_token);
    row("entropy, bits per byte", bits_per_byte);
    out << "No model can beat this entropy: it is the surprise left to one that knows the corpus's "
           "grammar.\n";
  }
  if (splits.invalid_utf8 > 0) {
    out << "Invalid UTF-8 in the text: " << splits.invalid_utf8 << " sequences were replaced by U+FFFD.\n";
  }
  out.flags(flags);
  out.precision(precision);
}

Tokenizer train_tokenizer(const RawCorpus& corpus, std::int64_t vocab_size, std::ostream& out) {
  const std::vector<std::string> stories = corpus.tokenizer_stories();
  out << "Training a vocabulary of " << vocab_size << " pieces on " << stories.size() << " stories."
      << std::endl;
  const Progress progress("Training the vocabulary", 0);
  return Tokenizer(Tokenizer::train(stories, vocab_size));
}

/// Encodes the corpus and writes its shards.
Splits write_shards(const RawCorpus& corpus, const SplitRules& rules, const Tokenizer& tokenizer,
                    ShardFolder& shards) {
  constexpr std::size_t chunk_stories = 1000;
  Splits splits;
  Split* split = &splits.validation;
  split->shards.push_back(shards.begin_shard("validation"));
  std::int64_t all_stories = 0;
  std::int64_t work_done = 0;
  std::int64_t all_work = 0;
  for (std::int64_t index = 0; index < corpus.part_count(); ++index) all_work += corpus.part_size(index);
  Progress progress("Encoding", all_work);
  for (std::int64_t index = 0; index < corpus.part_count(); ++index) {
    const Part part = corpus.read(index);
    const std::span<const std::string> stories = part.text.stories;
    splits.invalid_utf8 += part.text.invalid_utf8;
    if (index == 0) all_stories = corpus.story_count(part);
    for (std::size_t begin = 0; begin < stories.size(); begin += chunk_stories) {
      const auto chunk = stories.subspan(begin, std::min(chunk_stories, stories.size() - begin));
      const std::vector<Tokens> encoded = encode(tokenizer, chunk);
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        const bool may_cut = rules.may_cut_before(begin + i);
        if (may_cut && split == &splits.validation && rules.validation_is_complete(*split, all_stories)) {
          split = &splits.training;
          split->shards.push_back(shards.begin_shard("training"));
        } else if (may_cut && split == &splits.training &&
                   rules.training_shard_is_complete(shards.tokens())) {
          split->shards.push_back(shards.begin_shard("training"));
        }
        shards.add(encoded[i]);
        split->stories += 1;
        split->tokens += std::ssize(encoded[i]);
        split->bytes += std::ssize(chunk[i]);
        if (corpus.is_embedded()) split->nats -= part.log_probabilities[begin + i];
      }
      progress.update(work_done + corpus.part_size(index) * static_cast<std::int64_t>(begin + chunk.size()) /
                                      std::ssize(stories));
    }
    work_done += corpus.part_size(index);
  }
  if (splits.training.shards.size() > 1 && shards.tokens() < rules.least_training_tokens()) {
    shards.join_last_shard();
    splits.training.shards.pop_back();
  }
  return splits;
}

/// Encodes the corpus as one run of tokens, the end of which becomes validation, wherever the cut falls.
Splits write_cut_shards(const RawCorpus& corpus, const SplitRules& rules, const Tokenizer& tokenizer,
                        ShardFolder& shards) {
  const Progress progress("Encoding", 0);
  Splits splits;
  splits.is_cut = true;
  Tokens all;
  std::int64_t bytes = 0;
  for (std::int64_t index = 0; index < corpus.part_count(); ++index) {
    const Part part = corpus.read(index);
    splits.invalid_utf8 += part.text.invalid_utf8;
    for (const std::string& story : part.text.stories) bytes += std::ssize(story);
    for (const Tokens& story : encode(tokenizer, part.text.stories))
      all.insert(all.end(), story.begin(), story.end());
  }
  const std::int64_t size = std::ssize(all);
  const std::int64_t wanted = std::max(rules.least_validation_tokens(), size / 100);
  const std::span tokens(all);
  const auto cut = static_cast<std::size_t>(std::max<std::int64_t>(size - wanted, 0));
  const auto write = [&](Split& split, const char* name, std::span<const std::uint16_t> part) {
    split.shards.push_back(shards.begin_shard(name));
    shards.add(part);
    split.tokens = std::ssize(part);
    split.stories = std::count(part.begin(), part.end(), static_cast<std::uint16_t>(tokenizer.bos()));
  };
  write(splits.validation, "validation", tokens.subspan(cut));
  write(splits.training, "training", tokens.first(cut));
  std::vector<std::int32_t> ids;
  for (const std::uint16_t token : tokens.subspan(cut)) {
    if (token != tokenizer.bos()) ids.push_back(token);
  }
  splits.validation.bytes = std::ssize(tokenizer.decode(ids));
  splits.training.bytes = bytes - splits.validation.bytes;
  return splits;
}

void check_sizes(const SplitRules& rules, const Splits& splits, std::int64_t window, bool is_embedded) {
  if (splits.training.tokens >= rules.least_training_tokens() &&
      splits.validation.tokens >= rules.least_validation_tokens())
    return;
  const std::int64_t all = splits.training.tokens + splits.validation.tokens;
  const std::int64_t needed = (rules.least_training_tokens() + rules.least_validation_tokens()) / window;
  throw ConfigError("max_seq_len is " + std::to_string(window) + ", for which this text of " +
                    std::to_string(all) + " tokens is too small: training needs " +
                    std::to_string(rules.least_training_tokens()) + " tokens and validation " +
                    std::to_string(rules.least_validation_tokens()) + " (20 windows), so give more " +
                    (is_embedded ? "--stories" : "text") +
                    (all >= needed && !is_embedded
                         ? " or --max_seq_len=" + std::to_string(all / needed) + ", to `train`, too"
                         : ""));
}

}  // namespace

void prepare(const PrepareOptions& options, std::ostream& out) {
  check(options);
  const RawCorpus corpus(options);
  const SplitRules rules(corpus, options.max_seq_len);
  const Path data_dir = options.data_dir;
  // The grammar's words make no more than some 3,300 pieces.
  const std::int64_t by_default = corpus.is_embedded() ? 1024 : 4096;
  const std::int64_t vocab_size = options.vocab_size == 0 ? by_default : options.vocab_size;
  const FolderLock lock(data_dir);
  if (!options.overwrite) check_holds_no_data(data_dir);
  ShardFolder shards(data_dir / ("tok" + std::to_string(vocab_size)));

  const Tokenizer tokenizer = train_tokenizer(corpus, vocab_size, out);
  Splits splits = write_shards(corpus, rules, tokenizer, shards);
  if (!corpus.is_embedded() && splits.training.tokens < rules.least_training_tokens()) {
    shards.clear();
    splits = write_cut_shards(corpus, rules, tokenizer, shards);
  }
  check_sizes(rules, splits, options.max_seq_len, corpus.is_embedded());

  // In this order: until corpus.json, which knows its tokenizer, is written, `train` refuses a mixture.
  cria::io::write_file(data_dir / "tokenizer.model", tokenizer.model_bytes());
  shards.install();
  cria::io::write_file(data_dir / "corpus.json",
                       description(options, corpus, splits, tokenizer).dump(2) + "\n");
  print_summary(out, splits, corpus.is_embedded());
  if (splits.is_cut) {
    out << "Whole " << (corpus.files().size() > 1 ? "files" : "stories")
        << " leave too little for training or validation: validation is the end of the text, cut off inside "
           "a story.\n";
  }
  out << "The data lies in " << data_dir.string() << "." << std::endl;
}

}  // namespace pretrain
