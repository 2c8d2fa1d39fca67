#include "story_grammar.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "cria/core/error.hpp"

namespace pretrain {
namespace {

constexpr std::string_view white_space = " \t\n";

std::string_view trim(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(white_space), text.size());
  const std::size_t end = text.find_last_not_of(white_space);
  return end == std::string_view::npos ? std::string_view{} : text.substr(begin, end + 1 - begin);
}

bool is_upper(char c) {
  return 'A' <= c && c <= 'Z';
}
bool is_lower(char c) {
  return 'a' <= c && c <= 'z';
}
char to_upper(char c) {
  return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
}
char to_lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Splits at the first `separator`; the second part is absent without one.
std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view text, char separator) {
  const std::size_t position = text.find(separator);
  if (position == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, position), text.substr(position + 1)};
}

}  // namespace

/// Compiles a notation into a grammar: first the headers, as rules may be used above their definition, then
/// the alternatives by recursive descent.
class Grammar::Compiler {
 public:
  explicit Compiler(Grammar& grammar) : grammar_(grammar) {}

  void compile(std::string_view notation) {
    std::vector<std::pair<Choice*, std::string>> bodies;
    while (!notation.empty()) {
      const auto [line, rest] = split(notation, '\n');
      notation = rest.value_or("");
      if (trim(line).empty() || line.front() == '#') continue;
      if (line.front() == ' ' || line.front() == '-') {
        if (bodies.empty()) fail("'" + std::string(line) + "' stands before the first rule");
        bodies.back().second.append(line).append("\n");
      } else {
        bodies.emplace_back(define(line), std::string());
      }
    }
    if (bodies.empty()) fail("there must be at least one rule");
    for (auto& [rule, body] : bodies) compile_rule(*rule, body);
    grammar_.start_.choice = bodies.front().first;
  }

 private:
  [[noreturn]] static void fail(const std::string& problem) {
    throw cria::ConfigError("grammar: " + problem);
  }

  /// The rule of a header `name:` or `name [field field]:`.
  Choice* define(std::string_view line) {
    line = trim(line);
    if (line.back() != ':') fail("the header '" + std::string(line) + "' must end in ':'");
    line.remove_suffix(1);
    const auto [name, bracket] = split(line, '[');
    const std::string key(trim(name));
    Choice& rule = grammar_.choices_.emplace_back();
    if (bracket) {
      std::string_view fields = trim(split(*bracket, ']').first);
      while (!fields.empty()) {
        const auto [field, rest] = split(fields, ' ');
        rule.field_names.emplace_back(field);
        fields = trim(rest.value_or(""));
      }
    }
    if (!grammar_.rules_.emplace(key, &rule).second) fail("the rule '" + key + "' is defined twice");
    return &rule;
  }

  void compile_rule(Choice& rule, std::string_view body) {
    const std::size_t field_count = std::max<std::size_t>(rule.field_names.size(), 1);
    while (!(body = trim(body)).empty()) {
      if (!body.starts_with("- "))
        fail("an alternative must begin with '- ', not '" + std::string(body) + "'");
      body.remove_prefix(1);
      const std::size_t next = body.find("\n- ");
      rest_ = trim(body.substr(0, next));
      do {
        std::vector<Sequence> inherited;
        if (!rule.alternatives.empty()) inherited = rule.alternatives.back().fields;
        Alternative alternative = compile_alternative(!rule.field_names.empty());
        if (alternative.fields.size() > field_count)
          fail("too many fields before '" + std::string(rest_) + "'");
        for (std::size_t i = alternative.fields.size(); i < field_count; ++i) {
          if (i >= inherited.size())
            fail("the first entry of a rule needs all " + std::to_string(field_count) + " fields");
          alternative.fields.push_back(inherited[i]);
        }
        rule.alternatives.push_back(std::move(alternative));
      } while (skip('|'));
      if (!rest_.empty()) fail("')' without '(' before '" + std::string(rest_) + "'");
      body = next == std::string_view::npos ? std::string_view{} : body.substr(next + 1);
    }
    if (rule.alternatives.empty()) fail("every rule needs at least one alternative");
  }

  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// Up to the '|' or ')' that ends the alternative, or the end of the rule.
  Alternative compile_alternative(bool has_fields) {
    Alternative alternative;
    const std::size_t begin = rest_.find_first_not_of(white_space);
    if (begin != std::string_view::npos && rest_[begin] == '*') {
      rest_.remove_prefix(begin + 1);
      const auto [end, error] =
          std::from_chars(rest_.data(), rest_.data() + rest_.size(), alternative.weight);
      if (error != std::errc() || !(alternative.weight > 0)) {
        fail("a positive weight must stand after '*', not '" + std::string(rest_.substr(0, 20)) + "'");
      }
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    }
    alternative.fields.emplace_back();
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      if (has_fields && skip('/')) {
        alternative.fields.emplace_back();
      } else {
        compile_symbol(alternative.fields.back(), has_fields);
      }
    }
    if (has_fields) {
      for (Sequence& field : alternative.fields) trim_ends(field);
    }
    return alternative;
  }

  /// Fields are words: the white space around their separators is not part of them.
  static void trim_ends(Sequence& field) {
    if (field.empty()) return;
    if (std::string& text = field.front().text; text.starts_with(' ')) text.erase(0, 1);
    if (std::string& text = field.back().text; text.ends_with(' ')) text.pop_back();
  }

  void compile_symbol(Sequence& sequence, bool has_fields) {
    if (skip('(')) {
      Choice& choice = grammar_.choices_.emplace_back();
      do {
        choice.alternatives.push_back(compile_alternative(false));
      } while (skip('|'));
      if (!skip(')')) fail("'(' without ')' in a rule");
      sequence.push_back({Symbol::Kind::choice, {}, &choice});
    } else if (skip('<')) {
      const std::string name = upto('>');
      if (name == "p") {
        sequence.push_back({Symbol::Kind::paragraph});
      } else {
        sequence.push_back({Symbol::Kind::choice, {}, &rule(name)});
      }
    } else if (skip('{')) {
      compile_braces(sequence, upto('}'));
    } else {
      sequence.push_back({Symbol::Kind::text, literal(has_fields)});
    }
  }

  /// Text up to the next character with a meaning, its white space collapsed.
  std::string literal(bool has_fields) {
    const std::size_t length = std::min(rest_.find_first_of(has_fields ? "(<{|)/" : "(<{|)"), rest_.size());
    std::string text;
    for (char c : rest_.substr(0, length)) {
      const bool space = white_space.find(c) != std::string_view::npos;
      if (!space || !text.ends_with(' ')) text += space ? ' ' : c;
    }
    rest_.remove_prefix(length);
    return text;
  }

  std::string upto(char end) {
    const auto [text, rest] = split(rest_, end);
    if (!rest)
      fail("'" + std::string(1, end) + "' is missing after '" + std::string(text.substr(0, 20)) + "'");
    rest_ = *rest;
    return std::string(text);
  }

  Choice& rule(std::string_view name) {
    const auto found = grammar_.rules_.find(name);
    if (found == grammar_.rules_.end()) fail("the rule '" + std::string(name) + "' is not defined");
    return *found->second;
  }

  /// {a}, {name}, {name.field}, {name=rule} or {name=rule.field}.
  void compile_braces(Sequence& sequence, std::string text) {
    if (is_upper(text.front())) sequence.push_back({Symbol::Kind::capital});
    text.front() = to_lower(text.front());
    if (text == "a") {
      sequence.push_back({Symbol::Kind::article});
      return;
    }
    const auto [path, field] = split(text, '.');
    const auto [name, source] = split(path, '=');
    Symbol symbol{source ? Symbol::Kind::choice : Symbol::Kind::mention};
    if (source) symbol.choice = &rule(*source);
    symbol.variable = variable(name, symbol.choice);
    if (field) {
      const std::vector<std::string>& names = grammar_.variables_[symbol.variable].field_names;
      const auto found = std::find(names.begin(), names.end(), *field);
      if (found == names.end()) fail("'" + text + "' names a field that the rule does not have");
      symbol.field = static_cast<std::size_t>(found - names.begin());
    }
    sequence.push_back(std::move(symbol));
  }

  /// A variable is known from its first {name=rule} in the text on; all its rules must have the same fields.
  std::size_t variable(std::string_view name, const Choice* source) {
    std::vector<Variable>& variables = grammar_.variables_;
    const auto found =
        std::find_if(variables.begin(), variables.end(), [&](const Variable& v) { return v.name == name; });
    if (found == variables.end()) {
      if (!source)
        fail("the variable '" + std::string(name) + "' is mentioned above its first {" + std::string(name) +
             "=rule}");
      variables.push_back({std::string(name), source->field_names});
      return variables.size() - 1;
    }
    if (source && source->field_names != found->field_names) {
      fail("the rules that '" + std::string(name) + "' remembers must have the same fields");
    }
    return static_cast<std::size_t>(found - variables.begin());
  }

  Grammar& grammar_;
  std::string_view rest_;
};

Grammar::Grammar(std::string_view notation) {
  Compiler(*this).compile(notation);
}

Derivation::Derivation(const Grammar& grammar) : remembered_(grammar.variable_count(), nullptr) {
  open(grammar.start());
  run();
}

void Derivation::take(std::size_t alternative) {
  log_probability_ += std::log(probabilities_.at(alternative));
  settle(alternative);
  run();
}

void Derivation::run() {
  using Kind = Grammar::Symbol::Kind;
  while (!open_ && !frames_.empty()) {
    Frame& frame = frames_.back();
    const Grammar::Symbol& symbol = *frame.next++;
    if (frame.next == frame.end) frames_.pop_back();
    switch (symbol.kind) {
      case Kind::text:
        append(symbol.text);
        break;
      case Kind::capital:
        capital_ = true;
        break;
      case Kind::article:
        article_ = true;
        break;
      case Kind::paragraph:
        text_ += "\n\n";
        break;
      case Kind::mention:
        if (!remembered_[symbol.variable])
          throw std::logic_error("grammar: a variable is mentioned before it is remembered");
        enter(remembered_[symbol.variable]->fields[symbol.field]);
        break;
      case Kind::choice:
        open(symbol);
        break;
    }
  }
}

void Derivation::enter(const Grammar::Sequence& sequence) {
  if (!sequence.empty()) frames_.push_back({sequence.data(), sequence.data() + sequence.size()});
}

/// Weighs the alternatives; where there is but one, takes it.
void Derivation::open(const Grammar::Symbol& symbol) {
  open_ = &symbol;
  const std::vector<Grammar::Alternative>& alternatives = symbol.choice->alternatives;
  if (alternatives.size() == 1) return settle(0);
  probabilities_.clear();
  double total = 0;
  for (const Grammar::Alternative& alternative : alternatives) {
    const bool taken = symbol.variable != Grammar::unremembered &&
                       std::find(remembered_.begin(), remembered_.end(), &alternative) != remembered_.end();
    probabilities_.push_back(taken ? 0.0 : alternative.weight);
    total += probabilities_.back();
  }
  for (double& probability : probabilities_) probability /= total;
}

void Derivation::settle(std::size_t alternative) {
  const Grammar::Symbol& symbol = *open_;
  const Grammar::Alternative& taken = symbol.choice->alternatives[alternative];
  if (symbol.variable != Grammar::unremembered) remembered_[symbol.variable] = &taken;
  open_ = nullptr;
  probabilities_.clear();
  enter(taken.fields[symbol.field]);
}

void Derivation::append(std::string_view text) {
  if (text.starts_with(' ')) {
    if (!article_) space_ = true;  // the space before an article is the one that counts
    text.remove_prefix(1);
  }
  if (text.empty()) return;
  const bool space_after = text.ends_with(' ');
  if (space_after) text.remove_suffix(1);
  const bool punctuation = std::string_view(".,!?").find(text.front()) != std::string_view::npos;
  if (space_ && !punctuation && !text_.empty() && text_.back() != '\n') text_ += ' ';
  if (article_) {
    const bool vowel = std::string_view("aeiou").find(to_lower(text.front())) != std::string_view::npos;
    text_ += std::exchange(capital_, false) ? 'A' : 'a';
    text_ += vowel ? "n " : " ";
    article_ = false;
  }
  text_ += std::exchange(capital_, false) ? to_upper(text.front()) : text.front();
  text_ += text.substr(1);
  space_ = space_after;
}

}  // namespace pretrain
