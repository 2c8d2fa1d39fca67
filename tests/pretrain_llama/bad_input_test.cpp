#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pretrain_llama/cuda_part.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(bad_input)

namespace {

using namespace cria;
using test::Outcome, test::small_data, test::small_training, test::TemporaryDirectory;

/// The sentence of a program that ended with exit code 1, one line of error and no output.
std::string sentence(const Outcome& outcome) {
  BOOST_TEST(outcome.exit_code == 1);
  BOOST_TEST(outcome.output == "");
  BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1);
  BOOST_TEST(outcome.errors.starts_with("error: "), outcome.errors);
  return outcome.errors.substr(7, outcome.errors.size() - 8);
}

/// What `train` says with `more` options; it must leave out_dir alone.
std::string train_sentence(const std::vector<std::string>& more) {
  const TemporaryDirectory folder;
  const std::string said = sentence(test::run(small_training(small_data().data_dir(), folder / "out", more)));
  BOOST_TEST(!std::filesystem::exists(folder / "out"));
  return said;
}

void write(const std::filesystem::path& path, const std::string& contents) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << contents;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// All files below a folder, by path.
std::map<std::string, std::string> files_below(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_regular_file() ? contents(entry.path()) : "a folder";
  }
  return files;
}

/// A copy of the small data that a test may spoil.
class SpoiledData {
 public:
  SpoiledData() {
    std::filesystem::copy(small_data().data_dir(), data(), std::filesystem::copy_options::recursive);
  }
  std::filesystem::path data() const { return folder_ / "data"; }
  std::filesystem::path shard() const { return data() / "tok300/00001_training.bin"; }
  std::string sentence_of_train() const {
    const std::string said = sentence(test::run(small_training(data(), folder_ / "out")));
    BOOST_TEST(!std::filesystem::exists(folder_ / "out"));
    return said;
  }

 private:
  TemporaryDirectory folder_;
};

bool says(const std::string& said, const std::string& part) {
  if (said.find(part) != std::string::npos) return true;
  BOOST_TEST_MESSAGE("said: " << said);
  return false;
}

}  // namespace

BOOST_AUTO_TEST_CASE(unknown_options_are_refused_with_the_nearest_known_name) {
  BOOST_TEST(train_sentence({"--batchsize=4"}) ==
             "unknown option --batchsize of `train`; did you mean --batch_size? All options: pretrain_llama "
             "train --help");
  const TemporaryDirectory folder;
  write(folder / "wrong.toml", "n_layer = 3\n");
  BOOST_TEST(
      train_sentence({"--config=" + std::string(folder / "wrong.toml")}) ==
      std::string(folder / "wrong.toml") +
          ": unknown option --n_layer of `train`; did you mean --n_layers? All options: pretrain_llama "
          "train --help");
  write(folder / "broken.toml", "weight_decay = [[[\n");
  BOOST_TEST(says(train_sentence({"--config=" + std::string(folder / "broken.toml")}), "--weight_decay = ["));
  BOOST_TEST(train_sentence({"--config=/nowhere.toml"}) ==
             "/nowhere.toml: is not a file; --config names a TOML file");
  BOOST_TEST(sentence(test::run({PRETRAIN_LLAMA, "generate", "--temprature=1"})) ==
             "unknown option --temprature of `generate`; did you mean --temperature? All options: "
             "pretrain_llama generate --help");
  BOOST_TEST(sentence(test::run({PRETRAIN_LLAMA})) ==
             "a subcommand is needed: prepare, train, generate, serve, eval, report, plan or launch; see "
             "pretrain_llama --help");
}

BOOST_AUTO_TEST_CASE(a_missing_device_is_named) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);  // hides what there is
  const std::string said = train_sentence({"--device=cuda"});
  if (pretrain::cuda_part()) {
    BOOST_TEST((said.starts_with("cuda: this machine has no NVIDIA driver; ") ||
                said.starts_with("cuda: the driver finds no device; ")),
               said);
  } else {
    BOOST_TEST(said == "--device is cuda; this program was compiled for: cpu");
  }
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused) {
  BOOST_TEST(train_sentence({"--dtype=int8"}) == "--dtype is int8; allowed: float32, bfloat16, float16");
  BOOST_TEST(train_sentence({"--device=tpu"}) ==
             std::string("--device is tpu; this program was compiled for: ") + pretrain::devices());
  BOOST_TEST(train_sentence({"--dim=15"}) == "--dim is 15; it must be a multiple of --n_heads = 2");
  BOOST_TEST(train_sentence({"--n_group=3"}) == "--n_heads is 2; it must be a multiple of --n_group = 3");
  BOOST_TEST(train_sentence({"--n_kv_heads=2", "--n_group=2"}) ==
             "--n_group=2 and --n_kv_heads=2 disagree; their product must be --n_heads=2");
  BOOST_TEST(train_sentence({"--vocab_size=70000"}) ==
             "--vocab_size is 70000; tokens are stored in 16 bits, so it must be at most 65536");
  BOOST_TEST(train_sentence({"--beta1=1.5"}) == "--beta1 is 1.5; it must be in [0.0, 1.0)");
  BOOST_TEST(train_sentence({"--ema=1"}) == "--ema is 1.0; it must be in [0.0, 1.0)");
  BOOST_TEST(train_sentence({"--optimizer=adam"}) ==
             "--optimizer is adam; allowed: adamw, muon, lion, sgd, adafactor");
  BOOST_TEST(train_sentence({"--schedule=step"}) ==
             "--schedule is step; allowed: cosine, linear, constant, wsd");
  BOOST_TEST(train_sentence({"--schedule=wsd", "--cooldown_iters=60"}) ==
             "--cooldown_iters is 60; with --warmup_iters = 5 it must be at most --lr_decay_iters = 60");
  BOOST_TEST(train_sentence({"--batch_size=0"}) == "--batch_size is 0; it must be at least 1");
  const std::string many = train_sentence({"--batch_size=many"});
  BOOST_TEST(says(many, "--batch_size = "));
  BOOST_TEST(says(many, "many; allowed: a number, or for a switch true or false"));
  BOOST_TEST(train_sentence({"--batch_size=99999999999"}) ==
             "--batch_size is 99999999999; it must be at most 1000000");
  BOOST_TEST(train_sentence({"--batch_size=1000", "--gradient_accumulation_steps=1001"}) ==
             "--batch_size is 1000; times --gradient_accumulation_steps = 1001 it must be at most 1000000 "
             "sequences an iteration");
  BOOST_TEST(says(train_sentence({"--eval_only"}), "--eval_only"));
  BOOST_TEST(train_sentence({"--dim=6"}) ==
             "--dim is 6; divided by --n_heads = 2 it must be even, because rotary embeddings turn pairs");
  BOOST_TEST(train_sentence({"--n_heads=3", "--dim=18", "--n_group=2"}) ==
             "--n_heads is 3; it must be a multiple of --n_group = 2");
  BOOST_TEST(train_sentence({"--max_nonfinite_iters=-1"}) ==
             "--max_nonfinite_iters is -1; it must be at least 0");
  BOOST_TEST(train_sentence({"--on_divergence=ignore"}) ==
             "--on_divergence is ignore; allowed: stop, skip, rollback");
  BOOST_TEST(says(train_sentence({"--threads=1024", "--pin=true"}),
                  "--pin is true; it needs a core for each of --threads = 1024, and the program may use "));
  BOOST_TEST(train_sentence({"--init_from=gpt2"}) == "--init_from is gpt2; allowed: scratch, resume");
  BOOST_TEST(train_sentence({"--learning_rate=nan"}) ==
             "--learning_rate is nan; it must be a number from 0 on");
}

BOOST_AUTO_TEST_CASE(data_that_does_not_fit_is_refused) {
  BOOST_TEST(
      says(train_sentence({"--max_seq_len=5000"}), "one window of 5000 positions needs at least 10000"));
  BOOST_TEST(says(train_sentence({"--vocab_size=301"}), "has 300 pieces; --vocab_size=301 must be the same"));
  BOOST_TEST(
      train_sentence({"--data_dir=/nowhere"}) ==
      "/nowhere: is not a folder; `pretrain_llama prepare --data_dir=/nowhere --vocab_size=300` makes one "
      "of the text files that --input names");
}

BOOST_AUTO_TEST_CASE(damaged_shards_are_refused) {
  {
    const SpoiledData spoiled;
    write(spoiled.shard(), contents(spoiled.shard()) + "x");
    BOOST_TEST(says(spoiled.sentence_of_train(), "a shard of 16-bit token ids has an even number"));
  }
  {
    const SpoiledData spoiled;
    std::string bytes = contents(spoiled.shard());
    bytes[20] = 44;  // token 10 becomes 300
    bytes[21] = 1;
    write(spoiled.shard(), bytes);
    BOOST_TEST(
        spoiled.sentence_of_train() ==
        spoiled.shard().string() +
            ": token id 300 at position 10 is not in the vocabulary; ids must be below vocab_size = 300");
  }
  {
    const SpoiledData spoiled;
    for (const char* name : {"00001_training.bin", "00002_training.bin"}) {
      std::filesystem::remove(spoiled.data() / "tok300" / name);
    }
    BOOST_TEST(says(spoiled.sentence_of_train(), "is the only token shard"));
  }
  {
    const SpoiledData spoiled;
    std::filesystem::remove_all(spoiled.data());
    std::filesystem::create_directory(spoiled.data());
    BOOST_TEST(spoiled.sentence_of_train() == (spoiled.data() / "tokenizer.model").string() +
                                                  ": cannot be opened: No such file or directory");
  }
  {
    const SpoiledData spoiled;
    const std::string model = contents(spoiled.data() / "tokenizer.model");
    write(spoiled.data() / "tokenizer.model", model.substr(0, model.size() / 2));
    BOOST_TEST(spoiled.sentence_of_train() == (spoiled.data() / "tokenizer.model").string() +
                                                  ": is not a SentencePiece model, or is damaged");
  }
  {
    const SpoiledData spoiled;
    const std::string corpus = contents(spoiled.data() / "corpus.json");
    auto json = nlohmann::json::parse(corpus);
    json["tokenizer_crc32"] = 7;
    write(spoiled.data() / "corpus.json", json.dump());
    BOOST_TEST(spoiled.sentence_of_train() ==
               (spoiled.data() / "corpus.json").string() +
                   ": describes data of another tokenizer.model, as an interrupted `prepare` leaves it; "
                   "prepare the data again, with --overwrite=true");
  }
  {
    const SpoiledData spoiled;
    std::filesystem::remove_all(spoiled.data() / "tok300");
    std::filesystem::create_directory(spoiled.data() / "tok300");
    BOOST_TEST(says(spoiled.sentence_of_train(), "holds no token shards"));
  }
}

BOOST_AUTO_TEST_CASE(texts_that_cannot_be_prepared_are_refused_and_nothing_is_written) {
  const TemporaryDirectory folder;
  const auto prepare = [&](const std::string& text, const std::string& vocab_size) {
    write(folder / "text.txt", text);
    const auto outcome = test::run({PRETRAIN_LLAMA, "prepare", "--input=" + std::string(folder / "text.txt"),
                                    "--vocab_size=" + vocab_size,
                                    "--data_dir=" + std::string(folder / "data"), "--max_seq_len=16"});
    BOOST_TEST(outcome.exit_code == 1);
    BOOST_TEST(!std::filesystem::exists(folder / "data"));
    BOOST_TEST(outcome.errors.starts_with("error: "), outcome.errors);
    BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1);
    return outcome.errors;
  };
  BOOST_TEST(says(prepare("", "300"), "text.txt: holds no text"));
  BOOST_TEST(says(prepare(" \n\n", "300"), "text.txt: holds no text"));
  BOOST_TEST(says(prepare(test::small_text(1, 50), "20"), "so it must be at least "));
  BOOST_TEST(says(prepare(test::small_text(1, 2), "279"), "max_seq_len is 16, for which this text of "));
  BOOST_TEST(says(prepare(test::small_text(1, 50), "4000"), "the largest possible is"));
  BOOST_TEST(says(prepare(test::small_text(1, 50), "70000"), "65536"));
}

BOOST_AUTO_TEST_CASE(a_text_of_forty_lines_can_be_trained_on_as_the_sentences_say) {
  const TemporaryDirectory folder;
  std::string text;
  for (int line = 0; line < 40; ++line)
    text += "Line " + std::to_string(line) + " is as short as the others.\n";
  write(folder / "text.txt", text);
  const auto prepare = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{PRETRAIN_LLAMA, "prepare",
                                       "--input=" + std::string(folder / "text.txt"),
                                       "--data_dir=" + std::string(folder / "data")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::run(arguments);
  };
  // Each sentence names the option that the next try gives.
  const auto option_in = [](const std::string& errors, const std::string& name) {
    const std::size_t begin = errors.find("--" + name + "=");
    BOOST_TEST_REQUIRE(begin != std::string::npos, errors);
    return errors.substr(begin, errors.find_first_not_of("0123456789", begin + name.size() + 3) - begin);
  };
  const std::string vocab_size = option_in(prepare({}).errors, "vocab_size");
  const std::string max_seq_len = option_in(prepare({vocab_size}).errors, "max_seq_len");
  const auto prepared = prepare({vocab_size, max_seq_len});
  BOOST_TEST(prepared.exit_code == 0, prepared.errors);
  const auto training = [&](const std::string& out, const std::string& window) {
    return test::run(small_training(folder / "data", folder / out, {vocab_size, window, "--max_iters=1"}));
  };
  BOOST_TEST(training("out", max_seq_len).exit_code == 0);
  BOOST_TEST(
      training("again", option_in(training("long", "--max_seq_len=256").errors.substr(6), "max_seq_len"))
          .exit_code == 0);
}

BOOST_AUTO_TEST_CASE(invalid_utf8_is_replaced_and_counted) {
  const TemporaryDirectory folder;
  write(folder / "text.txt", test::small_text(1, 60) + "bad \xff\xfe bytes\n");
  const auto outcome =
      test::run({PRETRAIN_LLAMA, "prepare", "--input=" + std::string(folder / "text.txt"), "--vocab_size=300",
                 "--data_dir=" + std::string(folder / "data"), "--max_seq_len=16"});
  BOOST_TEST(outcome.exit_code == 0, outcome.errors);
  BOOST_TEST(says(outcome.output, "Invalid UTF-8 in the text: 2 sequences"));
}

BOOST_AUTO_TEST_CASE(a_damaged_checkpoint_is_refused_whichever_file_it_is) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), out, {"--max_iters=6"})).exit_code ==
                     0);
  std::filesystem::remove_all(out + "/best");
  const auto resume = [&] {
    return test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, "--max_iters=7"});
  };
  // Neither goes on from the checkpoint as it is, and neither changes anything.
  const auto check_refused = [&](const std::string& name) {
    const auto before = files_below(out);
    BOOST_TEST(says(sentence(resume()), name));
    BOOST_TEST(
        says(sentence(test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + out + "/ckpt"})), name));
    BOOST_TEST((files_below(out) == before));
  };
  Rng rng(3);
  for (const char* name :
       {"model.safetensors", "optimizer.safetensors", "config.json", "state.json", "tokenizer.model"}) {
    const std::filesystem::path path = out + "/ckpt/" + name;
    const std::string good = contents(path);
    for (int flip = 0; flip < 3; ++flip) {
      std::string bad = good;
      const auto bit = rng.below(8 * bad.size());
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      write(path, bad);
      check_refused(name);
    }
    write(path, good.substr(0, good.size() / 2));
    check_refused(name);
    std::filesystem::remove(path);
    check_refused(name);
    write(path, good);
  }
  const auto manifest = out + "/ckpt/manifest.json";
  const std::string good = contents(manifest);
  for (int flip = 0; flip < 20; ++flip) {
    std::string bad = good;
    const auto bit = rng.below(8 * bad.size());
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    write(manifest, bad);
    check_refused("manifest");
  }
  write(manifest, good.substr(0, good.size() / 2));
  check_refused("manifest");
  write(manifest, good);
  BOOST_TEST(resume().exit_code == 0);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_another_run_is_refused) {
  const TemporaryDirectory folder;
  const std::string out = folder / "out";
  BOOST_TEST_REQUIRE(test::run(small_training(small_data().data_dir(), out, {"--max_iters=6"})).exit_code ==
                     0);
  const auto resume = [&](const std::string& option) {
    return sentence(test::run({PRETRAIN_LLAMA, "train", "--init_from=resume", "--out_dir=" + out, option}));
  };
  BOOST_TEST(says(resume("--dim=32"), "has shape [300, 16]; [300, 32] is needed"));
  BOOST_TEST(says(resume("--n_layers=2"), "has no tensor 'model.layers.1."));
  BOOST_TEST(says(resume("--dtype=bfloat16"),
                  "the checkpoint is float32; it cannot be resumed with --dtype=bfloat16"));
  BOOST_TEST(says(resume("--seed=5"), "it cannot be resumed with --seed=5"));
  const SpoiledData spoiled;
  std::string bytes = contents(spoiled.shard());
  std::swap(bytes[20], bytes[40]);
  write(spoiled.shard(), bytes);
  BOOST_TEST(says(resume("--data_dir=" + spoiled.data().string()), "the training_data has changed"));
}

BOOST_AUTO_TEST_CASE(folders_that_cannot_be_used_are_refused) {
  BOOST_TEST(says(train_sentence({"--init_from=resume"}), "there is no complete checkpoint"));
  const TemporaryDirectory folder;
  write(folder / "file", "x");
  BOOST_TEST(says(sentence(test::run(small_training(small_data().data_dir(), folder / "file/out"))),
                  "cannot be used as a folder to write to"));
}

BOOST_AUTO_TEST_CASE(generate_refuses_what_it_cannot_use) {
  const auto generate = [](const std::string& option) {
    return sentence(test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=/nowhere", option}));
  };
  BOOST_TEST(generate("--temperature=-1") == "--temperature must be a number from 0 on");
  BOOST_TEST(generate("--top_p=0") == "--top_p must be above 0 and at most 1");
  BOOST_TEST(generate("--top_k=-1") == "--top_k must be at least 0; 0 means all tokens");
  BOOST_TEST(says(generate("--seed=1"), "/nowhere: is not a folder"));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
