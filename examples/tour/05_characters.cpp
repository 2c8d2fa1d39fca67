// Two models that learn to write the next character of a text: a recurrent network and a Transformer.
//
//   05_characters [text file]

#include <algorithm>
#include <cmath>
#include <cria/cria.hpp>
#include <cria/io/file.hpp>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace cria;

constexpr std::int64_t context = 64, channels = 128;  // characters that a model sees, its vectors' size
constexpr std::int64_t characters = 128;              // ASCII's

/// Embedding, gated recurrent units, scores. tokens [n, length] -> [n, length, characters].
struct Recurrent {
  nn::Embedding<float> embedding{characters, channels};
  nn::Gru<float> gru{channels, channels};
  nn::Linear<float> head{channels, characters};

  Tensor<float> operator()(const Tensor<std::int32_t>& tokens) const {
    return head(gru(embedding(tokens)).first);
  }
  static void visit(auto& self, auto&& field) {
    field("embedding", self.embedding);
    field("gru", self.gru);
    field("head", self.head);
  }
};

/// The same with causal attention, and a vector for each position instead of a state.
struct Transformer {
  nn::Embedding<float> embedding{characters, channels}, embedding_of_position{context, channels};
  std::vector<nn::TransformerEncoderBlock<float>> blocks{{channels, 4, {.causal = true}},
                                                         {channels, 4, {.causal = true}}};
  nn::LayerNorm<float> norm{channels};
  nn::Linear<float> head{channels, characters};

  Tensor<float> operator()(const Tensor<std::int32_t>& tokens) const {
    auto x = embedding(tokens) + embedding_of_position(arange<std::int32_t>(tokens.dim(1)));
    for (const auto& block : blocks) x = block(x);
    return head(norm(x));
  }
  static void visit(auto& self, auto&& field) {
    field("embedding", self.embedding);
    field("embedding_of_position", self.embedding_of_position);
    field("blocks", self.blocks);
    field("norm", self.norm);
    field("head", self.head);
  }
};

/// Every part of a text, and the same one character further on: [context] each.
struct Parts {
  std::vector<std::int32_t> text;

  std::size_t size() const { return text.size() - std::min<std::size_t>(text.size(), context); }
  std::pair<Tensor<std::int32_t>, Tensor<std::int32_t>> operator[](std::size_t i) const {
    const std::span all(text);
    return {Tensor<std::int32_t>::from({context}, all.subspan(i, context)),
            Tensor<std::int32_t>::from({context}, all.subspan(i + 1, context))};
  }
};

/// `count` characters that follow on `text`, of at least `context` characters.
template <class Model>
std::string write(const Model& model, std::vector<std::int32_t> text, int count, Rng rng) {
  const NoGrad guard;
  for (int i = 0; i < count; ++i) {
    const auto scores = model(Tensor<std::int32_t>::from({1, context}, std::span(text).last(context)));
    // With such noise the greatest is as probable as softmax says (Gumbel 1954); twice the scores: bolder.
    const auto noise = -log(-log(rand<float>({characters}, rng)));
    text.push_back(argmax(2.0f * select(select(scores, 0, 0), 0, -1) + noise).item());
  }
  return {text.end() - count, text.end()};
}

/// Trains a model, prints what it writes, and gives the mean loss of its last 20 steps.
template <class Model>
double learn(const char* name, const Parts& parts) {
  constexpr int steps = 150;
  Model model;
  nn::initialize(model, Rng(1));
  std::printf("%s of %d parameters\nstep    loss\n", name, static_cast<int>(nn::parameter_count(model)));
  Muon optimizer(model);  // AdamW for what is called embed or head
  const auto rate = schedule::warm_up(20, schedule::cosine(1e-2, 1e-3, steps));
  data::Batches batches(parts, {.batch_size = 16, .shuffle = true, .seed = 2});
  double last = 0;
  int step = 0;
  while (step < steps) {
    for (const auto& [x, y] : batches) {
      if (++step > steps) break;
      const auto loss = cross_entropy(model(x), y);
      backward(loss);
      optimizer.set_learning_rate(rate(step));
      optimizer.step({.max_norm = 1.0});
      if (step % 50 == 0) std::printf("%4d  %6.3f\n", step, loss.item());
      if (step > steps - 20) last += loss.item() / 20;
    }
  }
  std::printf("it writes:\n%s\n\n", write(model, parts.text, 200, Rng(3)).c_str());
  return last;
}

int main(int argc, char** argv) {
  Parts parts;
  for (const char c : io::read_file(argc > 1 ? argv[1] : "docs/design.md"))
    parts.text.push_back(c < 0 ? '?' : c);  // for what is not ASCII
  const double recurrent = learn<Recurrent>("A recurrent network", parts);
  const double transformer = learn<Transformer>("A Transformer", parts);
  std::printf("right: a loss of %.2f and one of %.2f, at first about %.2f\n", recurrent, transformer,
              std::log(static_cast<double>(characters)));
  return recurrent < 2.4 && transformer < 2.4 ? 0 : 1;
}
