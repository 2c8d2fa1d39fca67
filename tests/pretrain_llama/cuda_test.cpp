// The program with the CUDA backend: on a GPU where nvcc compiled it, else under emulation.

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>

#include "cria/io/file.hpp"
#include "support/golden.hpp"
#include "support/small_run.hpp"

namespace {

using namespace cria;
using test::small_data, test::small_training, test::TemporaryDirectory;

/// Runs the small training on `device`, `more` options besides.
test::Outcome train(const std::string& device, const std::string& out_dir,
                    const std::vector<std::string>& more) {
  auto arguments = small_training(small_data().data_dir(), out_dir, more);
  if (device == "cuda") arguments[0] = PRETRAIN_LLAMA_CUDA;
  arguments.push_back("--device=" + device);
  return test::run(arguments);
}

/// The losses in metrics.jsonl: of iterations, then of evaluations.
std::vector<double> losses(const std::string& out_dir) {
  std::vector<double> found;
  for (const char* key : {"loss", "val_loss"}) {
    for (const auto& line : test::metrics(out_dir, key)) found.push_back(line[key]);
  }
  return found;
}

void check_close(const std::string& what, const std::vector<double>& got, const std::vector<double>& want,
                 double tolerance) {
  BOOST_TEST_REQUIRE(got.size() == want.size(), what);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(got[i] - want[i]));
  }
  BOOST_TEST(worst <= tolerance, what << ": losses differ by " << worst);
}

/// Whether the program finds a device; if not, ctest takes what this prints for skipped.
boost::test_tools::assertion_result finds_device(boost::unit_test::test_unit_id) {
  const TemporaryDirectory folder;
  const auto outcome = train("cuda", folder / "out", {"--eval_only=true"});
  const bool found = outcome.errors.find("no NVIDIA driver") == std::string::npos &&
                     outcome.errors.find("finds no device") == std::string::npos;
  if (!found) std::printf("skipped: %s", outcome.errors.c_str());
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(cuda, *boost::unit_test::precondition(finds_device))

BOOST_AUTO_TEST_CASE(losses_are_those_of_the_cpu) {
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    const TemporaryDirectory folder;
    const std::vector<std::string> more{"--dtype=" + dtype, "--dropout=0", "--max_iters=20",
                                        "--learning_rate=1e-2"};
    for (const std::string device : {"cpu", "cuda"}) {
      const auto outcome = train(device, folder / device, more);
      BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    }
    const auto on_cpu = losses(folder / "cpu");
    BOOST_TEST(on_cpu.front() > on_cpu.back() + 0.5);  // it has learned something
    // Products of float32 round their factors to TF32, as on a GPU by default.
    check_close(dtype, losses(folder / "cuda"), on_cpu, dtype == "float32" ? 5e-3 : 3e-2);
  }
}

BOOST_AUTO_TEST_CASE(without_tf32_float32_is_float32) {
  const TemporaryDirectory folder;
  const auto with = [](const char* tf32) {
    return std::vector<std::string>{std::string("--tf32=") + tf32, "--dropout=0", "--max_iters=8"};
  };
  BOOST_TEST_REQUIRE(train("cpu", folder / "cpu", with("true")).exit_code == 0);
  for (const char* tf32 : {"true", "false"}) {
    BOOST_TEST_REQUIRE(train("cuda", folder / tf32, with(tf32)).exit_code == 0);
  }
  const auto on_cpu = losses(folder / "cpu");
  check_close("without", losses(folder / "false"), on_cpu, 2e-5);
  BOOST_TEST((losses(folder / "true") != losses(folder / "false")));
  const auto state = nlohmann::json::parse(
      cria::io::read_file(std::filesystem::path(folder / "false") / "ckpt" / "state.json"));
  BOOST_TEST(state["options"]["tf32"] == false);
}

BOOST_AUTO_TEST_CASE(a_resumed_run_is_the_run_that_was_never_stopped) {
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    const TemporaryDirectory folder;
    for (const auto& [out, iterations] : {std::pair{"whole", 6}, std::pair{"parts", 3}}) {
      const auto outcome =
          train("cuda", folder / out,
                {"--dtype=" + dtype, "--max_iters=" + std::to_string(iterations), "--lr_decay_iters=6"});
      BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    }
    const auto resumed =
        train("cuda", folder / "parts",
              {"--init_from=resume", "--max_iters=6", "--dtype=" + dtype, "--lr_decay_iters=6"});
    BOOST_TEST_REQUIRE(resumed.exit_code == 0, resumed.errors);
    const auto model = [&](const char* out) {
      return cria::io::read_file(std::filesystem::path(folder / out) / "ckpt" / "model.safetensors");
    };
    BOOST_TEST((model("parts") == model("whole")), dtype);
  }
}

BOOST_AUTO_TEST_CASE(a_graph_computes_what_single_launches_do) {
  for (const std::string dtype : {"float32", "float16"}) {
    const TemporaryDirectory folder;
    for (const std::string graph : {"on", "off"}) {
      const auto outcome =
          train("cuda", folder / graph,
                {"--dtype=" + dtype, "--dropout=0.1", "--max_iters=5", "--cuda_graph=" + graph});
      BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    }
    BOOST_TEST((losses(folder / "on") == losses(folder / "off")), dtype);
  }
}

BOOST_AUTO_TEST_CASE(a_graph_needs_a_device) {
  const TemporaryDirectory folder;
  const auto on_cpu = train("cpu", folder / "cpu", {"--cuda_graph=on"});
  BOOST_TEST(on_cpu.exit_code == 1);
  BOOST_TEST(on_cpu.errors.find("--cuda_graph is on; it needs --device=cuda") != std::string::npos,
             on_cpu.errors);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_one_device_is_trained_on_by_the_other) {
  const TemporaryDirectory folder;
  const std::vector<std::string> more{"--dropout=0", "--lr_decay_iters=10"};
  const auto with = [&more](std::vector<std::string> options) {
    options.insert(options.end(), more.begin(), more.end());
    return options;
  };
  BOOST_TEST_REQUIRE(train("cpu", folder / "cpu", with({"--max_iters=10"})).exit_code == 0);
  for (const auto& [first, second] : {std::pair{"cpu", "cuda"}, std::pair{"cuda", "cpu"}}) {
    const std::string out = folder / (std::string(first) + "_first");
    BOOST_TEST_REQUIRE(train(first, out, with({"--max_iters=5"})).exit_code == 0);
    const auto resumed = train(second, out, with({"--init_from=resume", "--max_iters=10"}));
    BOOST_TEST_REQUIRE(resumed.exit_code == 0, resumed.errors);
    check_close(std::string(first) + " first", losses(out), losses(folder / "cpu"), 5e-3);
  }
}

BOOST_AUTO_TEST_CASE(the_likeliest_text_is_that_of_the_cpu) {
  const TemporaryDirectory folder;
  const auto trained = train("cpu", folder / "out", {"--max_iters=60", "--learning_rate=5e-3"});
  BOOST_TEST_REQUIRE(trained.exit_code == 0, trained.errors);
  const std::string checkpoint = folder / "out/ckpt";
  const auto text = [&](const char* program, const std::string& device) {
    const auto outcome = test::run({program, "generate", "--checkpoint=" + checkpoint, "--prompt=the cat",
                                    "--temperature=0", "--max_new_tokens=40", "--device=" + device});
    BOOST_TEST(outcome.exit_code == 0, outcome.errors);
    return outcome.output;
  };
  const std::string on_cpu = text(PRETRAIN_LLAMA, "cpu");
  BOOST_TEST(on_cpu.size() > std::string("the cat\n").size());  // longer than the context of 16 tokens
  BOOST_TEST(text(PRETRAIN_LLAMA_CUDA, "cuda") == on_cpu);
}

BOOST_AUTO_TEST_CASE(a_text_is_evaluated_as_on_the_cpu) {
  const TemporaryDirectory folder;
  cria::io::write_file(folder / "text.txt", std::string(test::golden_json("eval.json")["text"]));
  const auto loss = [&](const char* program, const std::string& device) {
    const auto outcome =
        test::run({program, "eval", "--input=" + std::string(folder / "text.txt"),
                   "--checkpoint=" + test::golden_path("checkpoints/animals"), "--device=" + device});
    BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    return std::stod(outcome.output.substr(outcome.output.find("\nloss ") + 6));
  };
  BOOST_TEST(std::abs(loss(PRETRAIN_LLAMA_CUDA, "cuda") - loss(PRETRAIN_LLAMA, "cpu")) < 1e-5);
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
