#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <new>
#include <numeric>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "depth.hpp"
#include "eval.hpp"
#include "generate.hpp"
#include "launch.hpp"
#include "plan.hpp"
#include "prepare.hpp"
#include "processes.hpp"
#include "report.hpp"
#include "serve.hpp"
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

/// Gives `values`, which stand in a file, to an option of `command` that has got none yet. `where` begins the
/// sentence for an option that there is not.
void give(CLI::App& command, const std::string& name, const std::vector<std::string>& values,
          const std::string& where) {
  CLI::Option* option = command.get_option_no_throw("--" + name);
  if (!option) refuse_unknown(command, "--" + name, where);
  if (option->count() > 0 || values.empty()) return;
  for (const std::string& value : values) option->add_result(value);
  option->run_callback();
}

/// Gives the options in a TOML file.
void give_config(CLI::App& command, const std::string& path) {
  if (!std::filesystem::is_regular_file(path))
    throw cria::FileError(path, "is not a file; --config names a TOML file");
  for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_file(path)) {
    if (item.name == "++" || item.name == "--") continue;  // begin and end of a section
    give(command, item.name, item.inputs, path + ": ");
  }
}

/// Gives the options that the run of a checkpoint had.
void give_stored(CLI::App& command, const std::string& out_dir) {
  const FoundCheckpoint found = find_checkpoint(std::filesystem::path(out_dir) / "ckpt");
  const auto& state = found.state;
  if (!state.contains("options") || !state["options"].is_object()) {
    throw cria::FileError((found.folder / "state.json").string(), "holds no options of a run");
  }
  for (const auto& [name, value] : state["options"].items()) {
    if (name == "init_from" || name == "out_dir" || name == "eval_only" || name == "overwrite") continue;
    give(command, name, {value.is_string() ? value.get<std::string>() : value.dump()}, "");
  }
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
    add_serve();
    add_eval();
    add_report();
    add_plan();
    add_launch();
    for (const Command& command : commands_) {
      command.app->add_option("--config", "TOML file with options; those on the command line win")
          ->type_name("FILE");
      command.app->allow_extras();
      for (CLI::Option* option : command.app->get_options()) {
        if (option->get_expected_max() == 1) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      }
    }
  }

  int run(const std::vector<std::string>& arguments) {
    try {
      parse(take_launched(arguments));
      for (const Command& command : commands_) {
        if (command.app->parsed()) command.run();
      }
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
  struct Command {
    CLI::App* app;
    std::function<void()> run;
  };

  void add_prepare() {
    CLI::App* command = add_command("prepare", "make a vocabulary and token shards from text",
                                    [this] { prepare(prepare_options_); });
    PrepareOptions& o = prepare_options_;
    command->add_option("--input", o.input,
                        "text files, folders, TinyStories JSON shards, JSONL; none: the embedded corpus");
    add(command, "vocab_size", o.vocab_size,
        "tokens in the vocabulary, at most 65536; 0: 4096, of the embedded corpus 1024");
    add(command, "text_field", o.text_field,
        "field of a JSON object that holds its text; none: story or text");
    add(command, "data_dir", o.data_dir, "folder for the data");
    add(command, "overwrite", o.overwrite, "let new data take the place of that which data_dir holds");
    add(command, "stories", o.stories, "stories of the embedded corpus");
    add(command, "seed", o.seed, "of the embedded corpus");
    add(command, "max_seq_len", o.max_seq_len, "tokens in a training sequence: no shard is shorter");
  }

  void add_train() {
    train_ = app_.add_subcommand("train", "train a Llama on prepared data");
    commands_.push_back({train_, [this] {
                           check_heads();
                           train(train_options_);
                         }});
    for_each_option(train_options_, [&](const char* name, auto& value, const char* meaning) {
      add(train_, name, value, meaning);
    });
  }

  void add_generate() {
    CLI::App* command =
        add_command("generate", "write text with a trained model", [this] { generate(generate_options_); });
    GenerateOptions& o = generate_options_;
    add(command, "checkpoint", o.checkpoint, "folder of the model");
    add(command, "prompt", o.prompt, "how the text begins");
    add(command, "prompt_file", o.prompt_file, "file with the beginning of the text; -: standard input");
    add(command, "max_new_tokens", o.text.max_new_tokens, "tokens to write at most");
    add_sampling(command, o.text.sampling);
    add_several(command, "stop", o.text.stop, "text with which a sample ends, not printed; may be repeated");
    add(command, "at_context_end", o.at_context_end,
        "a text that fills the model's context goes on from its second half (roll) or ends (stop)");
    add(command, "num_samples", o.num_samples, "texts to write, with a line --- between them");
    add_machine(command, o);
  }

  void add_serve() {
    CLI::App* command = add_command("serve", "write text for HTTP requests, and on a page to try a model in",
                                    [this] { serve(serve_options_); });
    ServeOptions& o = serve_options_;
    add(command, "checkpoint", o.checkpoint, "folder of the model");
    add(command, "host", o.host, "address to listen on; by default only this machine reaches it");
    add(command, "port", o.port, "port to listen on; 0: any that is free");
    add(command, "max_batch", o.max_batch, "texts to write at a time; other requests wait");
    add(command, "max_tokens", o.max_tokens, "tokens that a request may ask for; 0: as the context has");
    add(command, "max_prompt", o.max_prompt, "tokens that a prompt may have; 0: one less than the context");
    add(command, "max_body", o.max_body, "KiB that a request may have");
    add_machine(command, o);
  }

  /// The options of what a model is computed on.
  static void add_machine(CLI::App* command, auto& o) {
    add(command, "device", o.device, devices());
    add(command, "threads", o.threads, "threads to compute on; 0: one per processor core");
  }

  /// The options of how tokens are chosen.
  static void add_sampling(CLI::App* command, SamplingOptions& o) {
    add(command, "temperature", o.temperature, "0: the likeliest token; 1: as the model says");
    add(command, "top_k", o.top_k, "draw from so many likeliest tokens; 0: from all");
    add(command, "top_p", o.top_p, "draw from the likeliest tokens with so much probability together");
    add(command, "min_p", o.min_p,
        "draw from tokens with at least so much of the likeliest one's probability");
    add(command, "typical", o.typical,
        "draw from the tokens that tell about as much as expected, with so much probability together");
    add(command, "repetition_penalty", o.repetition_penalty,
        "divide positive scores of tokens that the text has by this, multiply negative ones");
    add_several(command, "logit_bias", o.logit_bias, "ID:BIAS,... is added to the scores of tokens")
        ->delimiter(',');
    add(command, "seed", o.seed, "of the draws");
  }

  void add_eval() {
    CLI::App* command = add_command("eval", "say how well a model predicts a text or answers questions",
                                    [this] { eval(eval_options_); });
    EvalOptions& o = eval_options_;
    add(command, "checkpoint", o.checkpoint, "folder of the model");
    add(command, "input", o.input, "file of text: prints loss, perplexity and bits per byte");
    add(command, "ids", o.ids, "file of tokens instead: numbers with white space between them, .bin or .npy");
    add(command, "choices", o.choices, "file of questions instead, in HellaSwag's or ARC's JSON lines");
    add(command, "output", o.output, "file for the choice of every question, in JSON lines");
    add(command, "context", o.context, "tokens in a window; 0: as many as the model takes");
    add(command, "stride", o.stride,
        "tokens from one window to the next, which count in it; 0: half of the context");
    add_machine(command, o);
  }

  void add_report() {
    CLI::App* command =
        add_command("report", "draw the curves of runs: one HTML file", [this] { report(report_options_); });
    command->add_option("runs", report_options_.runs, "folders that `train` wrote, laid over each other");
    add(command, "output", report_options_.output, "file to write");
  }

  void add_plan() {
    CLI::App* command =
        add_command("plan", "say what training on many GPUs takes: memory, time, cost, layout",
                    [this] { plan(plan_options_); });
    for_each_option(plan_options_, [&](const char* name, auto& value, const char* meaning) {
      add(command, name, value, meaning);
    });
  }

  void add_launch() {
    CLI::App* command =
        add_command("launch", "train in several processes, and go on after a fault: launch -n 4 -- train ...",
                    [this] { launch(launch_options_); });
    LaunchOptions& o = launch_options_;
    command->add_option("-n,--processes", o.processes, "processes, a power of two")->capture_default_str();
    add(command, "hosts", o.hosts, "machines, with commas between them; none: this one");
    add(command, "hostfile", o.hostfile, "file with a machine at the beginning of each line");
    add(command, "max_restarts", o.max_restarts, "times to start again after a fault of a process or host");
  }

  /// Takes what stands behind -- of `launch`. What is wrong with that is said before it starts anything.
  std::vector<std::string> take_launched(std::vector<std::string> arguments) {
    const auto end = std::find(arguments.begin(), arguments.end(), "--");
    if (arguments.empty() || arguments.front() != "launch" || end == arguments.end()) return arguments;
    launch_options_.command.assign(end + 1, arguments.end());
    CommandLine launched;
    launched.parse(launch_options_.command);
    launch_options_.out_dir = launched.train_options_.out_dir;
    arguments.erase(end, arguments.end());
    return arguments;
  }

  /// A command that runs in one process.
  CLI::App* add_command(const char* name, const char* meaning, const std::function<void()>& run) {
    CLI::App* command = app_.add_subcommand(name, meaning);
    commands_.push_back({command, [name, run] {
                           check_one_process(name);
                           run();
                         }});
    return command;
  }

  void check_heads() const {
    const TrainOptions& o = train_options_;
    if (train_->count("--n_kv_heads") == 0 || train_->count("--n_group") == 0 || o.n_kv_heads <= 0 ||
        o.n_group * o.n_kv_heads == o.n_heads) {
      return;
    }
    throw cria::ConfigError("--n_group=" + std::to_string(o.n_group) +
                            " and --n_kv_heads=" + std::to_string(o.n_kv_heads) +
                            " disagree; their product must be --n_heads=" + std::to_string(o.n_heads));
  }

  /// "prepare, train or generate", with `last` before the last one.
  std::string command_names(const std::string& last) const {
    std::string names;
    for (const Command& command : commands_) {
      if (!names.empty()) names += &command == &commands_.back() ? last : ", ";
      names += command.app->get_name();
    }
    return names;
  }

  template <class V>
  static void add(CLI::App* command, const char* name, V& value, const char* meaning) {
    CLI::Option* option =
        command->add_option("--" + std::string(name), value, meaning)->capture_default_str();
    if constexpr (!std::is_same_v<V, std::string>) {  // CLI11 would read an empty text as 0
      option->check([](const std::string& text) { return std::string(text.empty() ? "has no value" : ""); });
    }
  }

  /// An option that may be given several times, with a value each.
  static CLI::Option* add_several(CLI::App* command, const char* name, std::vector<std::string>& values,
                                  const char* meaning) {
    return command->add_option("--" + std::string(name), values, meaning)->allow_extra_args(false);
  }

  /// Takes what the command line gives; then from a --config file, and to resume from the checkpoint, what
  /// was not given before.
  void parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> reversed;  // as CLI11 wants them
    for (auto argument = arguments.rbegin(); argument != arguments.rend(); ++argument) {
      // CLI11 takes the argument after `--name=` for its value; an empty one of its own says what is meant.
      const bool has_no_value = argument->starts_with("--") && argument->find('=') == argument->size() - 1;
      if (has_no_value) reversed.push_back("");
      reversed.push_back(has_no_value ? argument->substr(0, argument->size() - 1) : *argument);
    }
    try {
      app_.parse(reversed);
      for (CLI::App* command : app_.get_subcommands()) {
        if (const auto extras = command->remaining(); !extras.empty())
          refuse_unknown(*command, extras.front());
        const auto config = command->get_option("--config")->results();
        if (!config.empty() && !config.back().empty()) give_config(*command, config.back());
        if (command == train_ && train_options_.init_from == "resume") {
          give_stored(*command, train_options_.out_dir);
        } else if (command == train_ && train_options_.depth != 0) {
          set_by_depth(train_options_,
                       [&](const std::string& name) { return command->count("--" + name) > 0; });
        }
      }
    } catch (const CLI::RequiredError&) {
      throw cria::ConfigError("a subcommand is needed: " + command_names(" or ") +
                              "; see pretrain_llama --help");
    } catch (const CLI::ExtrasError& error) {
      throw cria::ConfigError(std::string(error.what()) + "; allowed subcommands: " + command_names(", "));
    } catch (const CLI::CallForHelp&) {
      throw;
    } catch (const CLI::ConversionError& error) {
      throw cria::ConfigError(std::string(error.what()) +
                              "; allowed: a number, or for a switch true or false");
    } catch (const CLI::ParseError& error) {
      throw cria::ConfigError(error.what());
    }
  }

  CLI::App app_{"Pretrains a small Llama: prepare text, train, generate, serve, evaluate."};
  std::vector<Command> commands_;  // in the order of --help
  CLI::App* train_ = nullptr;
  PrepareOptions prepare_options_;
  TrainOptions train_options_;
  GenerateOptions generate_options_;
  ServeOptions serve_options_;
  EvalOptions eval_options_;
  ReportOptions report_options_;
  PlanOptions plan_options_;
  LaunchOptions launch_options_;
};

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
  return CommandLine().run(arguments);
}

}  // namespace pretrain
