#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>
#include <numeric>

#include "checkpoint.hpp"
#include "generate.hpp"
#include "prepare.hpp"
#include "train.hpp"

namespace pretrain {

namespace {

/// The least number of letters to insert, delete or replace that makes `b` of `a` (Levenshtein).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

/// Refuses an argument that `command` does not know, naming the option that is spelled most alike. `where`
/// begins the sentence.
[[noreturn]] void refuse_unknown(const CLI::App& command, const std::string& argument,
                                 const std::string& where = "") {
  const std::string name = argument.substr(0, argument.find('='));
  std::string nearest;
  for (const CLI::Option* option : command.get_options()) {
    const std::string known = option->get_name();
    if (nearest.empty() || edit_distance(name, known) < edit_distance(name, nearest)) nearest = known;
  }
  throw cria::ConfigError(where + "unknown option " + name + " of `" + command.get_name() +
                          "`; did you mean " + nearest + "? All options: pretrain_llama " +
                          command.get_name() + " --help");
}

/// The options of `command` in a TOML file, as arguments.
std::vector<std::string> config_arguments(const std::string& path, const CLI::App& command) {
  if (!std::filesystem::is_regular_file(path))
    throw cria::FileError(path, "is not a file; --config names a TOML file");
  std::vector<std::string> arguments;
  for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_file(path)) {
    if (item.name == "++" || item.name == "--") continue;  // begin and end of a section
    if (!command.get_option_no_throw("--" + item.name)) {
      refuse_unknown(command, "--" + item.name, path + ": ");
    }
    for (const std::string& value : item.inputs) arguments.push_back("--" + item.name + "=" + value);
  }
  return arguments;
}

/// The options that the run of a checkpoint had, as arguments.
std::vector<std::string> stored_arguments(const std::string& out_dir) {
  const FoundCheckpoint found = find_checkpoint(std::filesystem::path(out_dir) / "ckpt");
  const auto& state = found.state;
  if (!state.contains("options") || !state["options"].is_object()) {
    throw cria::FileError((found.folder / "state.json").string(), "holds no options of a run");
  }
  std::vector<std::string> arguments;
  for (const auto& [name, value] : state["options"].items()) {
    if (name == "init_from" || name == "out_dir" || name == "eval_only" || name == "overwrite") continue;
    arguments.push_back("--" + name + "=");
    arguments.back() += value.is_string() ? value.get<std::string>() : value.dump();
  }
  return arguments;
}

/// All subcommands with their options.
class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.name("pretrain_llama");
    add_prepare();
    add_train();
    add_generate();
    for (CLI::App* command : {prepare_, train_, generate_}) {
      command->add_option("--config", "TOML file with options; those on the command line win")
          ->type_name("FILE");
      command->allow_extras();
      for (CLI::Option* option : command->get_options()) {
        if (option->get_expected_max() == 1) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      }
    }
  }

  int run(const std::vector<std::string>& arguments) {
    try {
      parse(with_defaults(arguments));
      if (train_->parsed()) {
        if (train_->count("--n_kv_heads") > 0 && train_->count("--n_group") > 0 &&
            train_options_.n_kv_heads > 0 &&
            train_options_.n_group * train_options_.n_kv_heads != train_options_.n_heads) {
          throw cria::ConfigError("--n_group=" + std::to_string(train_options_.n_group) +
                                  " and --n_kv_heads=" + std::to_string(train_options_.n_kv_heads) +
                                  " disagree; their product must be " +
                                  "--n_heads=" + std::to_string(train_options_.n_heads));
        }
        train(train_options_);
      }
      if (prepare_->parsed()) prepare(prepare_options_);
      if (generate_->parsed()) generate(generate_options_);
      return 0;
    } catch (const CLI::CallForHelp&) {
      const auto parsed = app_.get_subcommands();
      std::cout << (parsed.empty() ? &app_ : parsed.front())->help();
      return 0;
    } catch (const std::bad_alloc&) {
      std::fprintf(stderr, "error: the machine has too little memory left for this\n");
      return 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "error: %s\n", error.what());
      return 1;
    }
  }

 private:
  void add_prepare() {
    prepare_ = app_.add_subcommand("prepare", "make a vocabulary and token shards from text");
    PrepareOptions& o = prepare_options_;
    prepare_->add_option("--input", o.input,
                         "text files, folders, TinyStories JSON shards, JSONL; none: the embedded corpus");
    add(prepare_, "vocab_size", o.vocab_size,
        "tokens in the vocabulary, at most 65536; 0: 4096, of the embedded corpus 1024");
    add(prepare_, "text_field", o.text_field,
        "field of a JSON object that holds its text; none: story or text");
    add(prepare_, "data_dir", o.data_dir, "folder for the data");
    add(prepare_, "overwrite", o.overwrite, "let new data take the place of that which data_dir holds");
    add(prepare_, "stories", o.stories, "stories of the embedded corpus");
    add(prepare_, "seed", o.seed, "of the embedded corpus");
    add(prepare_, "max_seq_len", o.max_seq_len, "tokens in a training sequence: no shard is shorter");
  }

  void add_train() {
    train_ = app_.add_subcommand("train", "train a Llama on prepared data");
    for_each_option(train_options_, [&](const char* name, auto& value, const char* meaning) {
      add(train_, name, value, meaning);
    });
  }

  void add_generate() {
    generate_ = app_.add_subcommand("generate", "write text with a trained model");
    GenerateOptions& o = generate_options_;
    add(generate_, "checkpoint", o.checkpoint, "folder of the model");
    add(generate_, "prompt", o.prompt, "how the text begins");
    add(generate_, "max_new_tokens", o.max_new_tokens, "tokens to write at most");
    add(generate_, "temperature", o.temperature, "0: the likeliest token; 1: as the model says");
    add(generate_, "top_k", o.top_k, "draw from so many likeliest tokens; 0: from all");
    add(generate_, "top_p", o.top_p, "draw from the likeliest tokens with so much probability together");
    add(generate_, "seed", o.seed, "of the draws");
    add(generate_, "num_samples", o.num_samples, "texts to write, with a line --- between them");
    add(generate_, "device", o.device, devices());
  }

  template <class V>
  static void add(CLI::App* command, const char* name, V& value, const char* meaning) {
    CLI::Option* option =
        command->add_option("--" + std::string(name), value, meaning)->capture_default_str();
    if constexpr (!std::is_same_v<V, std::string>) {  // CLI11 would read an empty text as 0
      option->check([](const std::string& text) { return std::string(text.empty() ? "has no value" : ""); });
    }
  }

  /// The arguments with those that a --config file and, to resume, the checkpoint give put before them; the
  /// last of several wins.
  std::vector<std::string> with_defaults(std::vector<std::string> arguments) const {
    if (arguments.empty()) return arguments;
    const std::string config = last_value(arguments, "config", "");
    for (const CLI::App* command : {prepare_, train_, generate_}) {
      if (config.empty() || command->get_name() != arguments.front()) continue;
      insert(arguments, config_arguments(config, *command));
    }
    if (arguments.front() == "train" && last_value(arguments, "init_from", "") == "resume") {
      insert(arguments, stored_arguments(last_value(arguments, "out_dir", train_options_.out_dir)));
    }
    return arguments;
  }

  static void insert(std::vector<std::string>& arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.begin() + 1, more.begin(), more.end());
  }

  /// The value of the last `--name=value` or `--name value`.
  static std::string last_value(const std::vector<std::string>& arguments, const std::string& name,
                                std::string value) {
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      if (arguments[i].starts_with("--" + name + "=")) value = arguments[i].substr(name.size() + 3);
      if (arguments[i] == "--" + name && i + 1 < arguments.size()) value = arguments[i + 1];
    }
    return value;
  }

  void parse(std::vector<std::string> arguments) {
    // CLI11 takes the argument after `--name=` for its value; an empty one of its own says what is meant.
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (!arguments[i].starts_with("--") || arguments[i].find('=') != arguments[i].size() - 1) continue;
      arguments[i].pop_back();
      arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, "");
    }
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
      app_.parse(arguments);
    } catch (const CLI::RequiredError&) {
      throw cria::ConfigError(
          "a subcommand is needed: prepare, train or generate; see pretrain_llama --help");
    } catch (const CLI::ExtrasError& error) {
      throw cria::ConfigError(std::string(error.what()) + "; allowed subcommands: prepare, train, generate");
    } catch (const CLI::CallForHelp&) {
      throw;
    } catch (const CLI::ConversionError& error) {
      throw cria::ConfigError(std::string(error.what()) +
                              "; allowed: a number, or for a switch true or false");
    } catch (const CLI::ParseError& error) {
      throw cria::ConfigError(error.what());
    }
    for (const CLI::App* command : app_.get_subcommands()) {
      if (const auto extras = command->remaining(); !extras.empty()) refuse_unknown(*command, extras.front());
    }
  }

  CLI::App app_{"Pretrains a small Llama: prepare text, train, generate."};
  CLI::App *prepare_ = nullptr, *train_ = nullptr, *generate_ = nullptr;
  PrepareOptions prepare_options_;
  TrainOptions train_options_;
  GenerateOptions generate_options_;
};

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
  return CommandLine().run(arguments);
}

}  // namespace pretrain
