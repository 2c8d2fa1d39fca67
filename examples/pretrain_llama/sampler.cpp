#include "sampler.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "cria/core/error.hpp"

namespace pretrain {

namespace {

struct Candidate {
  std::int32_t id;
  double score;
  double weight = 0;  // exp((score - the highest) / temperature)
  double rank = 0;    // those with the lowest stay
};

bool comes_first(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank < b.rank : a.id < b.id;
}

double sum_of_weights(const std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
}

/// Keeps those that come first and have `share` of all weight together, at least one.
void keep_share(std::vector<Candidate>& candidates, double share) {
  // A heap gives them one after the other, and is asked for no more of them than stay.
  const auto comes_later = [](const Candidate& a, const Candidate& b) { return comes_first(b, a); };
  const double enough = share * sum_of_weights(candidates);
  auto stay = candidates.end();  // from here on
  std::make_heap(candidates.begin(), candidates.end(), comes_later);
  double kept = 0;
  do {
    std::pop_heap(candidates.begin(), stay, comes_later);
    kept += (--stay)->weight;
  } while (kept < enough && stay != candidates.begin());
  candidates.erase(candidates.begin(), stay);
}

/// Keeps those whose information is nearest to the expected one.
void keep_typical(std::vector<Candidate>& candidates, double share) {
  const double sum = sum_of_weights(candidates);
  double entropy = 0;
  for (Candidate& each : candidates) {
    each.rank = -std::log(each.weight / sum);  // its information
    if (each.weight > 0) entropy += each.weight / sum * each.rank;
  }
  for (Candidate& each : candidates) each.rank = std::abs(each.rank - entropy);
  keep_share(candidates, share);
}

}  // namespace

void check(const SamplingOptions& options, const std::string& prefix) {
  const auto require = [&](bool allowed, const char* sentence) {
    if (!allowed) throw cria::ConfigError(prefix + sentence);
  };
  require(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
          "repetition_penalty must be a number above 0; 1 means none");
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "temperature must be a number from 0 on");
  require(options.top_k >= 0, "top_k must be at least 0; 0 means all tokens");
  require(options.top_p > 0 && options.top_p <= 1, "top_p must be above 0 and at most 1");
  require(options.min_p >= 0 && options.min_p <= 1, "min_p must be at least 0 and at most 1");
  require(options.typical > 0 && options.typical <= 1, "typical must be above 0 and at most 1");
}

std::vector<TokenBias> read_logit_bias(const std::vector<std::string>& texts, std::int64_t vocab_size) {
  std::vector<TokenBias> all;
  for (const std::string& text : texts) {
    TokenBias each{};
    const char *begin = text.data(), *end = begin + text.size(), *colon = std::find(begin, end, ':');
    const auto id = std::from_chars(begin, colon, each.id);
    const bool is_id = id.ec == std::errc() && id.ptr == colon && each.id >= 0 && each.id < vocab_size;
    const char* number = colon == end ? end : colon + 1;
    const auto bias = std::from_chars(number, end, each.bias);
    if (!is_id || bias.ec != std::errc() || bias.ptr != end || !std::isfinite(each.bias)) {
      throw cria::ConfigError("logit_bias has `" + text + "`; it must be ID:BIAS, a token's number below " +
                              std::to_string(vocab_size) + " and what is added to its score");
    }
    all.push_back(each);
  }
  return all;
}

Sampler::Sampler(const SamplingOptions& options, std::vector<TokenBias> bias, std::uint64_t number)
    : options_(options), bias_(std::move(bias)), rng_(cria::Rng(options.seed).split(number)) {}

void Sampler::saw(std::span<const std::int32_t> tokens) {
  if (options_.repetition_penalty == 1) return;
  for (const std::int32_t id : tokens) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= seen_.size()) seen_.resize(index + 1);
    seen_[index] = true;
  }
}

std::vector<Choice> Sampler::choices(std::span<const float> scores) const {
  const SamplingOptions& o = options_;
  std::vector<Candidate> all(scores.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = {static_cast<std::int32_t>(i), scores[i]};
  for (const auto& [id, bias] : bias_) all[static_cast<std::size_t>(id)].score += bias;
  for (std::size_t i = 0; i < std::min(seen_.size(), all.size()); ++i) {
    double& score = all[i].score;
    if (seen_[i]) score = score > 0 ? score / o.repetition_penalty : score * o.repetition_penalty;
  }
  for (Candidate& each : all) each.rank = -each.score;
  const Candidate likeliest = *std::ranges::min_element(all, comes_first);
  if (o.temperature == 0) return {{likeliest.id, 1}};
  if (const auto most = static_cast<std::size_t>(o.top_k); most > 0 && most < all.size()) {
    std::nth_element(all.begin(), all.begin() + o.top_k - 1, all.end(), comes_first);
    all.resize(most);
  }
  for (Candidate& each : all) each.weight = std::exp((each.score - likeliest.score) / o.temperature);
  if (o.top_p < 1) keep_share(all, o.top_p);
  std::erase_if(all, [&](const Candidate& each) { return each.weight < o.min_p; });
  if (o.typical < 1) keep_typical(all, o.typical);
  const double sum = sum_of_weights(all);
  std::vector<Choice> choices;
  for (const Candidate& each : all) choices.push_back({each.id, each.weight / sum});
  return choices;
}

std::int32_t Sampler::choose(std::span<const float> scores) {
  const std::vector<Choice> all = choices(scores);
  double left = rng_.uniform();
  const auto chosen =
      std::ranges::find_if(all, [&](const Choice& choice) { return (left -= choice.probability) < 0; });
  const std::int32_t id = chosen == all.end() ? all.back().id : chosen->id;  // rounding
  saw(std::span(&id, 1));
  return id;
}

}  // namespace pretrain
