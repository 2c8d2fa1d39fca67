#include "serve.hpp"

#include <httplib.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "completion.hpp"
#include "cria/core/error.hpp"
#include "cuda_part.hpp"
#include "processes.hpp"
#include "serve_page.hpp"
#include "text_engine.hpp"
#include "train_options.hpp"

namespace pretrain {

namespace {

using Json = nlohmann::json;

/// Invalid UTF-8, which a client may have sent, becomes U+FFFD.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void set_error(httplib::Response& response, int status, const std::string& sentence,
               const std::string& parameter = "") {
  response.status = status;
  const char* type = status < 500 ? "invalid_request_error" : "server_error";
  response.set_content(dump(error_json(sentence, type, parameter)), "application/json");
}

/// The texts of one request, on their way to the client.
class Delivery {
 public:
  Delivery(std::shared_ptr<TextRequest> request, CompletionAnswer answer, const CompletionRequest& asked)
      : request_(std::move(request)),
        answer_(std::move(answer)),
        stream_(asked.stream),
        include_usage_(asked.include_usage) {}
  ~Delivery() { request_->leave(); }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  const char* content_type() const { return stream_ ? "text/event-stream" : "application/json"; }

  /// Sends what has come since; it is called again and again. Returns whether the client is still there.
  bool send(httplib::DataSink& sink) {
    try {
      for (const TextPiece& piece : request_->wait(std::chrono::milliseconds(50))) {
        answer_.add(piece);
        // A token that gives no text yet is no event.
        if (stream_ && !(piece.added.empty() && piece.ending == Ending::none)) {
          if (!send_event(sink, dump(answer_.part(piece)))) return false;
        }
      }
      if (!answer_.is_complete()) return stream_ || send_space(sink);
      if (!stream_) {
        const std::string body = dump(answer_.whole());
        if (!sink.write(body.data(), body.size())) return false;
      } else if ((include_usage_ && !send_event(sink, dump(answer_.usage_part()))) ||
                 !send_event(sink, "[DONE]")) {
        return false;
      }
    } catch (const std::exception& error) {
      const std::string body = dump(error_json(error.what(), "server_error"));
      if (!(stream_ ? send_event(sink, body) : sink.write(body.data(), body.size()))) return false;
    }
    sink.done();
    return true;
  }

 private:
  /// Every half second a space before the JSON: that the client has left is known only when something is sent.
  bool send_space(httplib::DataSink& sink) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_space_ < std::chrono::milliseconds(500)) return true;
    last_space_ = now;
    return sink.write(" ", 1);
  }

  static bool send_event(httplib::DataSink& sink, const std::string& data) {
    const std::string event = "data: " + data + "\n\n";
    return sink.write(event.data(), event.size());
  }

  std::shared_ptr<TextRequest> request_;
  CompletionAnswer answer_;
  bool stream_, include_usage_;
  std::chrono::steady_clock::time_point last_space_ = std::chrono::steady_clock::now();
};

/// The model behind the addresses.
class Service {
 public:
  Service(const ServeOptions& options, const ModelFolder& folder)
      : tokenizer_(read_tokenizer(folder)),
        model_(text_model(folder, options.device)),
        name_(std::filesystem::absolute(folder.path).lexically_normal().filename().string()),
        context_(folder.description.config.max_position_embeddings),
        limits_{options.max_tokens == 0 ? context_ : options.max_tokens, options.max_batch},
        max_prompt_(options.max_prompt == 0 ? std::max<std::int64_t>(1, context_ - 1) : options.max_prompt),
        engine_(*model_, tokenizer_, context_, static_cast<std::size_t>(options.max_batch),
                static_cast<int>(options.threads == 0 ? threads_of_process() : options.threads)) {}

  void complete(const httplib::Request& http, httplib::Response& response, bool is_chat) {
    try {
      const CompletionRequest asked = read_completion(http.body, is_chat, limits_);
      std::vector<std::int32_t> tokens = tokenizer_.encode(asked.prompt);
      tokens.insert(tokens.begin(), tokenizer_.bos());
      const std::int64_t count = std::ssize(tokens);
      if (count > max_prompt_) {
        throw RequestError("the prompt has " + std::to_string(count) + " tokens; at most " +
                               std::to_string(max_prompt_) + " are allowed",
                           is_chat ? "messages" : "prompt");
      }
      read_logit_bias(asked.options.sampling.logit_bias, tokenizer_.size());
      const auto delivery =
          std::make_shared<Delivery>(engine_.submit(std::move(tokens), asked.options, asked.texts),
                                     CompletionAnswer(asked, name_, count), asked);
      response.set_chunked_content_provider(
          delivery->content_type(),
          [delivery](std::size_t, httplib::DataSink& sink) { return delivery->send(sink); });
    } catch (const RequestError& error) {
      set_error(response, 400, error.what(), error.parameter);
    } catch (const cria::ConfigError& error) {
      set_error(response, 400, error.what(), "logit_bias");
    }
  }

  Json models() const {
    return {{"object", "list"},
            {"data", {{{"id", name_}, {"object", "model"}, {"created", 0}, {"owned_by", "pretrain_llama"}}}}};
  }

  void stop() { engine_.stop(); }

 private:
  Tokenizer tokenizer_;
  std::unique_ptr<TextModel> model_;
  std::string name_;
  std::int64_t context_;
  CompletionLimits limits_;
  std::int64_t max_prompt_;
  TextEngine engine_;
};

void check(const ServeOptions& options) {
  const auto require = [](bool allowed, const std::string& sentence) {
    if (!allowed) throw cria::ConfigError(sentence);
  };
  require(options.port >= 0 && options.port <= 65535,
          "--port must be at least 0 and at most 65535; 0 means any");
  require(options.max_batch >= 1 && options.max_batch <= 1024,
          "--max_batch must be at least 1 and at most 1024");
  require(options.max_tokens >= 0, "--max_tokens must be at least 0; 0 means the context");
  require(options.max_prompt >= 0, "--max_prompt must be at least 0; 0 means the context");
  require(options.max_body >= 1 && options.max_body <= 1 << 20,
          "--max_body must be at least 1 and at most 1048576");
  require(options.threads >= 0, "--threads must be at least 0; 0 means one per processor core");
  require(options.device == "cpu" || (cuda_part() && options.device == "cuda"),
          "--device is " + options.device + "; this program was compiled for: " + devices());
}

}  // namespace

void serve(const ServeOptions& options) {
  check(options);
  // Every thread that is started from here on leaves them to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Service service(options, open_model_folder(options.checkpoint));
  httplib::Server server;
  // A thread waits for each client; those of the batch, and some for pages and for requests that wait.
  server.new_task_queue = [&options] {
    return new httplib::ThreadPool(static_cast<std::size_t>(2 * options.max_batch + 16));
  };
  server.set_payload_max_length(static_cast<std::size_t>(options.max_body) << 10);
  server.set_keep_alive_timeout(2);
  server.Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(serve_page, "text/html; charset=utf-8");
  });
  server.Get("/v1/models", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(dump(service.models()), "application/json");
  });
  server.Post("/v1/completions", [&](const httplib::Request& request, httplib::Response& response) {
    service.complete(request, response, false);
  });
  server.Post("/v1/chat/completions", [&](const httplib::Request& request, httplib::Response& response) {
    service.complete(request, response, true);
  });
  server.set_error_handler([&](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 404) return set_error(response, 404, "there is no " + request.path);
    if (response.status == 413) {
      return set_error(
          response, 413,
          "the body is too large; at most " + std::to_string(options.max_body) + " KiB are allowed");
    }
    set_error(response, response.status, "the request cannot be read");
  });
  // By its default a second server could listen on the port of a first one.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  const int port = options.port == 0 ? server.bind_to_any_port(options.host)
                                     : (server.bind_to_port(options.host, static_cast<int>(options.port))
                                            ? static_cast<int>(options.port)
                                            : -1);
  if (port < 0) {
    throw cria::ConfigError("--host=" + options.host + " --port=" + std::to_string(options.port) +
                            " cannot be listened on; is another program there?");
  }
  std::printf("http://%s:%d\n", options.host.c_str(), port);
  std::fflush(stdout);
  std::thread listening([&] { server.listen_after_bind(); });
  while (!server.is_running()) std::this_thread::yield();  // stop() would do nothing yet
  int signal = 0;
  sigwait(&signals, &signal);
  service.stop();
  server.stop();
  listening.join();
}

}  // namespace pretrain
