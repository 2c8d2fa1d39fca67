// The model in golden/checkpoints/animals and what transformers says of it: make_eval_goldens.py.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cria/io/io.hpp"
#include "cria/nn/llama.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(eval)

namespace {

using namespace cria;
using test::TemporaryDirectory;

const std::string& checkpoint() {
  static const std::string path = test::golden_path("checkpoints/animals");
  return path;
}

const nlohmann::json& golden() {
  static const nlohmann::json json = test::golden_json("eval.json");
  return json;
}

/// BOS and the tokens of the golden text.
std::vector<std::int32_t> golden_ids() {
  std::vector<std::int32_t> ids = golden()["tokens"];
  ids.insert(ids.begin(), 1);
  return ids;
}

std::string as_text(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += std::to_string(id) + (text.size() % 7 == 0 ? "\n" : " ");
  return text;
}

/// A file with these contents.
std::string written(const TemporaryDirectory& folder, const std::string& name, const std::string& contents) {
  const std::string path = folder / name;
  std::ofstream(path, std::ios::binary) << contents;
  return path;
}

/// The lines of a golden layout, as a file.
std::string questions(const TemporaryDirectory& folder, const std::string& layout) {
  std::string lines;
  for (const auto& each : golden()["choices"][layout]) lines += each["line"].dump() + "\n";
  return written(folder, layout + ".jsonl", lines);
}

test::Outcome run_eval(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{PRETRAIN_LLAMA, "eval", "--checkpoint=" + checkpoint(), "--threads=2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run(arguments);
}

/// What the program prints with `more` options; it must print nothing on stderr.
std::string printed(const std::vector<std::string>& more) {
  const auto outcome = run_eval(more);
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.errors == "");
  return outcome.output;
}

/// The number in the line that begins with `name`.
double number(const std::string& output, const std::string& name) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
  }
  BOOST_FAIL("no line \"" << name << "\" in:\n" << output);
  return 0;
}

/// The sentence of a program that refuses.
std::string sentence(const std::vector<std::string>& more) {
  const auto outcome = run_eval(more);
  BOOST_TEST(outcome.exit_code == 1);
  BOOST_TEST(outcome.output == "");
  BOOST_TEST(outcome.errors.starts_with("error: "), outcome.errors);
  BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1, outcome.errors);
  return outcome.errors.substr(7, outcome.errors.size() - 8);
}

}  // namespace

BOOST_AUTO_TEST_CASE(losses_are_those_of_transformers_whatever_the_windows) {
  const TemporaryDirectory folder;
  const std::string ids = written(folder, "ids", as_text(golden_ids()));
  for (const auto& want : golden()["losses"]) {
    const std::string output =
        printed({"--ids=" + ids, "--context=" + want["context"].dump(), "--stride=" + want["stride"].dump()});
    const double loss = number(output, "loss");
    BOOST_TEST(std::abs(loss - want["loss"].get<double>()) < 1e-5, want.dump() << ": " << output);
    BOOST_TEST(std::abs(number(output, "perplexity") / std::exp(loss) - 1) < 1e-5);
    BOOST_TEST(number(output, "predicted tokens") == static_cast<double>(golden()["tokens"].size()));
    BOOST_TEST(output.find("bits per byte") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(without_options_windows_are_as_long_as_the_context_and_overlap_by_half) {
  const TemporaryDirectory folder;
  const std::string text = golden()["text"];
  const std::string output = printed({"--input=" + written(folder, "text.txt", text)});
  const double loss = golden()["losses"][0]["loss"];  // windows of 32, 16 apart
  BOOST_TEST(std::abs(number(output, "loss") - loss) < 1e-5);
  const double tokens = static_cast<double>(golden()["tokens"].size());
  BOOST_TEST(number(output, "predicted tokens") == tokens);
  BOOST_TEST(number(output, "bytes") == static_cast<double>(text.size()));
  const double bits = loss * tokens / std::log(2.0) / static_cast<double>(text.size());
  BOOST_TEST(std::abs(number(output, "bits per byte") - bits) < 1e-5);
}

BOOST_AUTO_TEST_CASE(tokens_may_lie_in_files_of_numpy_and_of_prepare) {
  const TemporaryDirectory folder;
  const auto ids = golden_ids();
  const std::string output = printed({"--ids=" + written(folder, "ids.txt", as_text(ids))});
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  cria::io::write_npy(folder / "ids.npy", Tensor<std::int64_t, Cpu>::from({std::ssize(wide)}, wide));
  BOOST_TEST(printed({"--ids=" + std::string(folder / "ids.npy")}) == output);
  const std::vector<std::uint16_t> narrow(ids.begin(), ids.end());
  written(folder, "ids.bin", {reinterpret_cast<const char*>(narrow.data()), 2 * narrow.size()});
  BOOST_TEST(printed({"--ids=" + std::string(folder / "ids.bin")}) == output);
}

BOOST_AUTO_TEST_CASE(questions_are_answered_as_by_transformers) {
  for (const std::string layout : {"hellaswag", "arc", "ai2_arc"}) {
    const TemporaryDirectory folder;
    const std::string answers = folder / "answers.jsonl";
    const std::string output = printed({"--choices=" + questions(folder, layout), "--output=" + answers});
    std::ifstream lines(answers);
    double right = 0, right_normalised = 0;
    for (const auto& want : golden()["choices"][layout]) {
      std::string line;
      BOOST_TEST_REQUIRE(!std::getline(lines, line).fail());
      const auto got = nlohmann::json::parse(line);
      BOOST_TEST(got["choice"] == want["choice"], layout << ": " << want.dump());
      BOOST_TEST(got["normalised_choice"] == want["normalised_choice"], layout << ": " << want.dump());
      for (std::size_t i = 0; i < want["log_likelihoods"].size(); ++i) {
        const double difference =
            got["log_likelihoods"][i].get<double>() - want["log_likelihoods"][i].get<double>();
        BOOST_TEST(std::abs(difference) < 1e-4);
      }
      right += got["choice"] == got["right"] ? 1 : 0;
      right_normalised += got["normalised_choice"] == got["right"] ? 1 : 0;
    }
    const auto count = static_cast<double>(golden()["choices"][layout].size());
    BOOST_TEST(number(output, "questions") == count);
    BOOST_TEST(std::abs(number(output, "accuracy") - right / count) < 1e-5);
    BOOST_TEST(std::abs(number(output, "length-normalised accuracy") - right_normalised / count) < 1e-5);
    BOOST_TEST(right > count / 2);  // the model knows most animals
  }
}

BOOST_AUTO_TEST_CASE(threads_change_no_digit) {
  const TemporaryDirectory folder;
  const std::string text = written(folder, "text.txt", golden()["text"]);
  BOOST_TEST(printed({"--input=" + text, "--threads=1"}) == printed({"--input=" + text, "--threads=2"}));
}

BOOST_AUTO_TEST_CASE(models_of_16_bits_are_evaluated) {
  const TemporaryDirectory folder;
  const std::string text = written(folder, "text.txt", golden()["text"]);
  auto description = cria::io::read_llama_config(checkpoint() + "/config.json");
  const cria::nn::LlamaForCausalLM<float> wide(description.config);
  cria::io::load_state(checkpoint() + "/model.safetensors", cria::nn::state_dict(wide));
  const auto loss_as = [&](const std::string& dtype, const auto& narrow) {
    const std::filesystem::path model = folder / dtype;
    std::filesystem::create_directory(model);
    description.dtype = dtype;
    cria::io::write_llama_config(model / "config.json", description);
    cria::io::save_state(model / "model.safetensors", cria::nn::state_dict(narrow));
    std::filesystem::copy(checkpoint() + "/tokenizer.model", model);
    return number(printed({"--input=" + text, "--checkpoint=" + model.string()}), "loss");
  };
  const double want = golden()["losses"][0]["loss"];
  BOOST_TEST(std::abs(loss_as("bfloat16", cria::nn::LlamaForCausalLM<bfloat16>(wide)) - want) < 2e-2);
  BOOST_TEST(std::abs(loss_as("float16", cria::nn::LlamaForCausalLM<float16>(wide)) - want) < 2e-3);
}

BOOST_AUTO_TEST_CASE(invalid_utf8_is_read_and_counted) {
  const TemporaryDirectory folder;
  const std::string output = printed({"--input=" + written(folder, "text.txt", "Tom is a \xFF\xFE cat.")});
  BOOST_TEST(number(output, "invalid UTF-8 sequences, read as U+FFFD:") == 2);
  BOOST_TEST(number(output, "bytes") == 16);
  BOOST_TEST(std::isfinite(number(output, "loss")));
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_evaluated_are_refused) {
  const TemporaryDirectory folder;
  const auto file = [&](const std::string& name, const std::string& contents) {
    return written(folder, name, contents);
  };
  const auto says = [](const std::string& said, const std::string& end) {
    BOOST_TEST(said.ends_with(end), said);
  };
  says(sentence({"--input=" + file("empty", "")}), "empty: is empty");
  says(sentence({"--input=/nowhere"}), "No such file or directory");
  says(sentence({"--ids=" + file("one", "7")}),
       "one: has 1 tokens; at least 2 are needed, as the first is not predicted");
  says(sentence({"--ids=" + file("ids", "1 2 320 4")}),
       "ids: token 320 at position 2 is not in the vocabulary; ids must be in [0, 320)");
  says(sentence({"--ids=" + file("ids", "1 2 -3")}),
       "ids: token -3 at position 2 is not in the vocabulary; ids must be in [0, 320)");
  says(sentence({"--ids=" + file("ids", "1 2 3.5")}),
       "ids: holds something else than numbers of tokens at byte 4; numbers with white space between them, "
       "or a "
       "file .bin or .npy, are read");
  says(sentence({"--choices=" + file("none", "\n\n")}), "none: holds no questions");
  const auto choices = [&](const std::string& line) {
    return sentence({"--choices=" + file("q", "\n" + line + "\n")});
  };
  says(choices("{"), "q: line 2 is no JSON object");
  says(choices("{}"),
       "q: line 2 is no question: it has neither \"endings\", as HellaSwag's, nor \"question\", as ARC's");
  says(choices(R"({"ctx": "a", "endings": ["b", "c"], "label": 2})"),
       "q: line 2 has no right answer: its label is 2, and the endings are 0 to 1");
  says(choices(R"({"ctx": "a", "endings": ["b", "c"], "label": ""})"),
       "q: line 2 has no right answer: its label is empty, and the endings are 0 to 1");
  says(choices(R"({"ctx": "a", "endings": ["b", ""], "label": 0})"),
       "q: line 2 has no list \"endings\" of at least two texts");
  says(choices(R"({"ctx": 5, "endings": ["b", "c"], "label": 0})"), "q: line 2 has no text \"ctx\"");
  says(
      choices(R"({"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": "C"})"),
      "q: line 2 has no right answer: none of its choices has the label C");
  says(choices(R"({"question": {"stem": "a", "choices": 1}, "answerKey": "C"})"),
       "q: line 2 has no list \"choices\"");
  std::string longer;
  for (int i = 0; i < 40; ++i) longer += " 1";
  says(choices(R"({"ctx": "a", "endings": ["b", "c)" + longer + R"("], "label": 0})"),
       " tokens; the context has 32");
}

BOOST_AUTO_TEST_CASE(options_that_do_not_fit_are_refused) {
  const TemporaryDirectory folder;
  const std::string input = "--input=" + written(folder, "text.txt", "Tom is a cat.");
  const std::string one =
      "eval needs one of --input=FILE (text), --ids=FILE (tokens) and --choices=FILE (questions)";
  BOOST_TEST(sentence({}) == one);
  BOOST_TEST(sentence({input, "--ids=x"}) == one);
  BOOST_TEST(sentence({input, "--output=x"}) ==
             "--output is for the choice of every question; it needs --choices");
  BOOST_TEST(sentence({input, "--stride=32"}) ==
             "--stride is 32; it must be below the context of 32 tokens, as a window's first token is not "
             "predicted");
  BOOST_TEST(sentence({input, "--context=33"}) ==
             "--context is 33; it must be at least 2, and at most the model's context of 32 tokens");
  BOOST_TEST(
      sentence({input, "--device=tpu"}).starts_with("--device is tpu; this program was compiled for: "));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
