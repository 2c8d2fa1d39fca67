#include "multiple_choice.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cria/io/file.hpp"

namespace pretrain {

namespace {

using nlohmann::json;

/// A line of the file, and what its sentences begin with.
class Line {
 public:
  Line(const std::filesystem::path& path, std::int64_t number, const std::string& text)
      : path_(path), number_(number), object_(json::parse(text, nullptr, /*allow_exceptions=*/false)) {
    if (!object_.is_object()) fail("is no JSON object");
  }

  Question question() const {
    if (object_.contains("endings")) return of_hellaswag();
    if (object_.contains("question")) return of_arc();
    fail("is no question: it has neither \"endings\", as HellaSwag's, nor \"question\", as ARC's");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw cria::FileError(path_.string(), "line " + std::to_string(number_) + " " + problem);
  }

  Question of_hellaswag() const {
    Question question{text(object_, "ctx"), texts(object_, "endings"), 0, number_};
    const json label = object_.value("label", json());
    const std::string shown = label.is_string() ? label.get<std::string>() : label.dump();
    const auto& endings = question.endings;
    for (std::size_t i = 0; i < endings.size(); ++i) {
      if (shown == std::to_string(i)) return with(question, i);
    }
    fail("has no right answer: its label is " + (shown.empty() ? "empty" : shown) +
         ", and the endings are 0 to " + std::to_string(endings.size() - 1));
  }

  Question of_arc() const {
    Question question{{}, {}, 0, number_};
    std::vector<std::string> labels;
    if (const json& asked = object_["question"]; asked.is_object()) {
      question.text = text(asked, "stem");
      const json choices = asked.value("choices", json());
      if (!choices.is_array()) fail("has no list \"choices\"");
      for (const json& choice : choices) {
        question.endings.push_back(text(choice, "text"));
        labels.push_back(text(choice, "label"));
      }
    } else {
      question.text = text(object_, "question");
      const json choices = object_.value("choices", json());
      question.endings = texts(choices, "text");
      labels = texts(choices, "label");
      if (labels.size() != question.endings.size()) {
        fail("has " + std::to_string(question.endings.size()) + " choices and " +
             std::to_string(labels.size()) + " labels");
      }
    }
    question.text = "Question: " + question.text + "\nAnswer:";
    const std::string right = text(object_, "answerKey");
    const auto found = std::ranges::find(labels, right);
    if (found == labels.end()) fail("has no right answer: none of its choices has the label " + right);
    return with(question, static_cast<std::size_t>(found - labels.begin()));
  }

  /// The question with its right answer.
  Question with(Question question, std::size_t right) const {
    question.right = right;
    question.text.resize(question.text.find_last_not_of(" \t\r\n") + 1);  // npos + 1 = 0
    return question;
  }

  std::string text(const json& object, const char* name) const {
    const json found = object.is_object() ? object.value(name, json()) : json();
    if (!found.is_string() || found.get<std::string>().empty()) {
      fail("has no text \"" + std::string(name) + "\"");
    }
    return found;
  }

  std::vector<std::string> texts(const json& object, const char* name) const {
    const json found = object.is_object() ? object.value(name, json()) : json();
    const auto is_text = [](const json& each) {
      return each.is_string() && !each.get<std::string>().empty();
    };
    if (!found.is_array() || found.size() < 2 || !std::ranges::all_of(found, is_text)) {
      fail("has no list \"" + std::string(name) + "\" of at least two texts");
    }
    return found;
  }

  const std::filesystem::path& path_;
  std::int64_t number_;
  json object_;
};

}  // namespace

std::vector<Question> read_questions(const std::filesystem::path& path) {
  std::vector<Question> questions;
  std::istringstream lines(cria::io::read_file(path));
  std::string text;
  for (std::int64_t number = 1; std::getline(lines, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    questions.push_back(Line(path, number, text).question());
  }
  if (questions.empty()) throw cria::FileError(path.string(), "holds no questions");
  return questions;
}

std::vector<Answer> answers(const Scorer& scorer, const Tokenizer& tokenizer, std::int64_t context,
                            const std::vector<Question>& questions, const std::filesystem::path& path) {
  const auto most = static_cast<std::size_t>(context) + 1;  // the last one is only predicted
  std::vector<std::vector<std::int32_t>> texts;             // for each ending of each question
  std::vector<std::int64_t> counted;
  for (const Question& question : questions) {
    const std::int64_t before = std::ssize(tokenizer.encode(question.text));
    for (const std::string& ending : question.endings) {
      // Encoded together, as a tokenizer begins a text in its own way.
      auto tokens = tokenizer.encode(question.text.empty() ? ending : question.text + " " + ending);
      counted.push_back(std::ssize(tokens) - before);
      if (counted.back() > context) {
        throw cria::FileError(path.string(), "line " + std::to_string(question.line) + " has an ending of " +
                                                 std::to_string(counted.back()) +
                                                 " tokens; the context has " + std::to_string(context));
      }
      tokens.insert(tokens.begin(), tokenizer.bos());
      if (tokens.size() > most) tokens.erase(tokens.begin(), tokens.end() - std::ptrdiff_t(most));
      texts.push_back(std::move(tokens));
    }
  }
  std::vector<Passage> passages;
  for (std::size_t i = 0; i < texts.size(); ++i) passages.push_back({texts[i], counted[i]});
  const std::vector<double> nats = nats_in_batches(scorer, passages);

  const auto highest = [](const std::vector<double>& scores) {  // the first, if there are several
    return static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
  };
  std::vector<Answer> all;
  auto next = nats.begin();
  for (const Question& question : questions) {
    std::vector<double> likelihoods, of_bytes;
    for (const std::string& ending : question.endings) {
      likelihoods.push_back(-*next++);
      of_bytes.push_back(likelihoods.back() / static_cast<double>(ending.size()));
    }
    all.push_back({likelihoods, highest(likelihoods), highest(of_bytes)});
  }
  return all;
}

}  // namespace pretrain
