// The server, by the client of the library that it is made with.

#include <httplib.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cria/io/file.hpp"
#include "support/small_run.hpp"

BOOST_AUTO_TEST_SUITE(pretrain_llama)
BOOST_AUTO_TEST_SUITE(serve)

namespace {

using namespace cria;
using nlohmann::json;
using test::small_data, test::small_training, test::TemporaryDirectory;

/// A model trained for a few iterations, once for all tests; its context is 16 tokens.
const std::string& checkpoint() {
  static const TemporaryDirectory folder;
  static const std::string path = [] {
    const std::string out = folder / "out";
    const auto outcome = test::run(small_training(small_data().data_dir(), out, {"--max_iters=10"}));
    BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.errors);
    return out + "/ckpt";
  }();
  return path;
}

/// A server of its own, on a port that is free.
class Server {
 public:
  explicit Server(const std::vector<std::string>& more = {}, const std::string& model = checkpoint()) {
    std::vector<std::string> arguments{PRETRAIN_LLAMA, "serve", "--checkpoint=" + model, "--port=0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    process_ = std::make_unique<test::Process>(arguments);
    while (process_->is_running() && !process_->output().ends_with("\n")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    address_ = process_->output().substr(0, process_->output().find('\n'));
    if (!address_.starts_with("http://127.0.0.1:")) BOOST_FAIL(process_->wait().errors);
  }

  httplib::Client client() const {
    httplib::Client client(address_);
    client.set_read_timeout(60);
    return client;
  }
  json post(const std::string& path, const json& body, int status = 200) const {
    const auto answer = client().Post(path, body.dump(), "application/json");
    BOOST_TEST_REQUIRE(static_cast<bool>(answer));
    BOOST_TEST(answer->status == status, answer->body);
    return json::parse(answer->body);
  }
  std::string text(const json& body) const { return post("/v1/completions", body)["choices"][0]["text"]; }
  test::Process& process() const { return *process_; }
  std::string port() const { return address_.substr(address_.rfind(':') + 1); }

 private:
  std::unique_ptr<test::Process> process_;
  std::string address_;
};

const Server& server() {
  static const Server server;
  return server;
}

/// The events of a stream, without the last one, which must be [DONE].
std::vector<json> events(const std::string& path, json body) {
  body["stream"] = true;
  const auto answer = server().client().Post(path, body.dump(), "application/json");
  BOOST_TEST_REQUIRE(static_cast<bool>(answer));
  BOOST_TEST(answer->get_header_value("Content-Type") == "text/event-stream");
  std::vector<json> all;
  std::string rest = answer->body;
  for (std::size_t end; (end = rest.find("\n\n")) != std::string::npos; rest = rest.substr(end + 2)) {
    BOOST_TEST_REQUIRE(rest.starts_with("data: "));
    const std::string data = rest.substr(6, end - 6);
    if (data == "[DONE]") return all;
    all.push_back(json::parse(data));
  }
  BOOST_TEST(false, "there is no [DONE]");
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_completion_is_the_text_that_generate_writes) {
  const json body{{"prompt", "the cat"}, {"max_tokens", 8}, {"temperature", 0}};
  const json answer = server().post("/v1/completions", body);
  BOOST_TEST(answer["object"] == "text_completion");
  BOOST_TEST(answer["choices"].size() == 1u);
  const auto outcome = test::run({PRETRAIN_LLAMA, "generate", "--checkpoint=" + checkpoint(),
                                  "--prompt=the cat", "--max_new_tokens=8", "--temperature=0"});
  BOOST_TEST("the cat" + answer["choices"][0]["text"].get<std::string>() + "\n" == outcome.output);
  const json& usage = answer["usage"];
  BOOST_TEST(usage["total_tokens"] ==
             usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
}

BOOST_AUTO_TEST_CASE(a_stream_is_the_same_text_in_pieces) {
  const json body{
      {"prompt", "the cat"}, {"max_tokens", 8}, {"seed", 3}, {"stream_options", {{"include_usage", true}}}};
  const auto all = events("/v1/completions", body);
  std::string text;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) text += all[i]["choices"][0]["text"].get<std::string>();
  BOOST_TEST(text == server().text(body));
  BOOST_TEST(all.size() > 3u);
  BOOST_TEST(all[all.size() - 2]["choices"][0]["finish_reason"].is_string());
  BOOST_TEST(all.back()["usage"]["completion_tokens"] > 0);
}

BOOST_AUTO_TEST_CASE(a_chat_is_a_text_of_lines) {
  const json body{
      {"messages", {{{"role", "user"}, {"content", "cat"}}}}, {"max_tokens", 2}, {"temperature", 0}};
  const Server roomy({"--max_prompt=100"});
  const std::string text = roomy.post("/v1/chat/completions", body)["choices"][0]["message"]["content"];
  BOOST_TEST(text ==
             roomy.text({{"prompt", "User: cat\nAssistant:"}, {"max_tokens", 2}, {"temperature", 0}}));
}

// Whatever else is in the batch, and whether it fits.
BOOST_AUTO_TEST_CASE(requests_at_the_same_time_have_the_texts_that_each_has_alone) {
  const std::vector<std::string> words{"the",  "a",    "cat",  "dog", "red sun", "big",
                                       "tree", "blue", "hill", "mat", "ran",     "sat"};
  std::vector<json> bodies;
  for (std::size_t i = 0; i < words.size(); ++i) {
    bodies.push_back({{"prompt", words[i]}, {"max_tokens", 3 + i % 8}, {"seed", i}});
    if (i % 5 == 4) bodies.back()["n"] = 3;
  }
  const auto texts = [](const json& answer) {
    std::vector<std::string> all;
    for (const json& choice : answer["choices"]) all.push_back(choice["text"]);
    return all;
  };
  std::vector<std::vector<std::string>> alone, together(bodies.size());
  for (const json& body : bodies) alone.push_back(texts(server().post("/v1/completions", body)));
  const Server small({"--max_batch=3"});
  for (const Server* each : {&server(), &small}) {
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      clients.emplace_back([&, i] {
        const auto answer = each->client().Post("/v1/completions", bodies[i].dump(), "application/json");
        if (answer && answer->status == 200) together[i] = texts(json::parse(answer->body));
      });
    }
    for (std::thread& client : clients) client.join();
    BOOST_TEST((together == alone));
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_said_in_json) {
  const auto error = [](const std::string& body, const std::string& path = "/v1/completions") {
    const auto answer = server().client().Post(path, body, "application/json");
    BOOST_TEST_REQUIRE(static_cast<bool>(answer));
    return std::to_string(answer->status) + " " +
           json::parse(answer->body)["error"]["message"].get<std::string>();
  };
  BOOST_TEST(error("{") == "400 the body must be a JSON object");
  BOOST_TEST(error("[]") == "400 the body must be a JSON object");
  BOOST_TEST(error(R"({"prompt": 1})") == "400 prompt must be one text");
  BOOST_TEST(error(R"({"prompt": "a", "max_tokens": 17})") ==
             "400 max_tokens is 17; this server writes 1 to 16");
  BOOST_TEST(error(R"({"prompt": "a", "max_tokens": "9"})") == "400 max_tokens must be a whole number");
  BOOST_TEST(error(R"({"prompt": "a", "temperature": -1})") == "400 temperature must be a number from 0 on");
  BOOST_TEST(error(R"({"prompt": "a", "n": 9})") == "400 n is 9; this server writes 1 to 8 texts at a time");
  BOOST_TEST(error(R"({"prompt": "a", "presence_penalty": 1})") == "400 presence_penalty is not supported");
  BOOST_TEST(error(R"({"prompt": "a", "logit_bias": {"300": 1}})").starts_with("400 logit_bias has `300:1`"));
  BOOST_TEST(
      error(R"({"prompt": "the cat and the dog ran and the sun and the tree sat on a mat and a hill"})")
          .find("tokens; at most 15 are allowed") != std::string::npos);
  BOOST_TEST(error(R"({"messages": []})", "/v1/chat/completions") ==
             "400 messages must be a list of at least one message");
  BOOST_TEST(error(R"({"messages": [{"role": "cat", "content": "a"}]})", "/v1/chat/completions") ==
             "400 messages must each have a role, which is system, user or assistant");
  BOOST_TEST(error("{}", "/v1/embeddings") == "404 there is no /v1/embeddings");
  BOOST_TEST(error(R"({"prompt": ")" + std::string(1 << 20, 'a') + "\"}") ==
             "413 the body is too large; at most 1024 KiB are allowed");
}

BOOST_AUTO_TEST_CASE(a_port_has_one_server) {
  const std::string port = server().port();
  const auto second = test::run({PRETRAIN_LLAMA, "serve", "--checkpoint=" + checkpoint(), "--port=" + port});
  BOOST_TEST(second.exit_code == 1);
  BOOST_TEST(second.errors == "error: --host=127.0.0.1 --port=" + port +
                                  " cannot be listened on; is another program there?\n");
}

BOOST_AUTO_TEST_CASE(models_and_a_page_are_there) {
  auto client = server().client();
  const auto models = client.Get("/v1/models");
  BOOST_TEST_REQUIRE(static_cast<bool>(models));
  BOOST_TEST(json::parse(models->body)["data"][0]["id"] == "ckpt");
  const auto page = client.Get("/");
  BOOST_TEST_REQUIRE(static_cast<bool>(page));
  BOOST_TEST(page->get_header_value("Content-Type").starts_with("text/html"));
  BOOST_TEST(page->body.find("/v1/completions") != std::string::npos);
}

// With room for a single text, the next request is answered only when the slot is free. A context that takes
// hours to fill.
BOOST_AUTO_TEST_CASE(a_client_that_leaves_frees_its_place) {
  const TemporaryDirectory folder;
  const std::filesystem::path model = folder / "model";
  std::filesystem::copy(checkpoint(), model);
  std::filesystem::remove(model / "manifest.json");
  auto config = json::parse(cria::io::read_file(model / "config.json"));
  config["max_position_embeddings"] = 1'000'000;
  cria::io::write_file(model / "config.json", config.dump());
  const Server small({"--max_batch=1"}, model.string());
  for (const bool stream : {true, false}) {
    const json endless{
        {"prompt", "the"}, {"max_tokens", 900'000}, {"logit_bias", {{"70", 1000}}}, {"stream", stream}};
    httplib::Request request;
    request.method = "POST";
    request.path = "/v1/completions";
    request.body = endless.dump();
    // Leaves after the first events, or when it has waited for a while.
    request.content_receiver = [](const char*, std::size_t, std::uint64_t, std::uint64_t) { return false; };
    auto client = small.client();
    if (!stream) client.set_read_timeout(0, 300'000);
    BOOST_TEST(!client.send(request));
    client.stop();
    BOOST_TEST(!small.text({{"prompt", "the"}, {"max_tokens", 2}}).empty());
  }
}

BOOST_AUTO_TEST_CASE(a_signal_ends_it_cleanly) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const Server other;
    BOOST_TEST(!other.text({{"prompt", "the"}}).empty());
    other.process().kill(signal);
    const auto outcome = other.process().wait();
    BOOST_TEST(outcome.exit_code == 0);
    BOOST_TEST(outcome.errors == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
