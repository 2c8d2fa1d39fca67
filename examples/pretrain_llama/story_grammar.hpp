#pragma once
/// A probabilistic grammar with memory, written as text, and its derivations.
///
/// The notation. A rule is a line `name:` with its alternatives below, each begun by `- ` and running to the
/// next one; the first rule is the start. `#` begins a line of comment. Within an alternative:
///
///     (big|small|)        one of these, here or nothing; `|` also separates alternatives of a rule
///     *3 text             at the start of an alternative: its weight (else 1; weights are normalised)
///     <rule>              what the rule derives
///     {hero=child}        an entry of the rule `child`, remembered as `hero`; never one that is remembered
///                         already
///     {hero}, {hero.his}  the first field of that entry, or the one named; {Hero} starts with a capital
///     {a}, {A}            the article a or an, as the next letter demands
///     <p>                 a paragraph break
///
/// A rule whose header names fields, `child [name his]:`, separates them by `/` in its alternatives; fields
/// left out at the end are those of the alternative before. White space counts only as present or absent, and
/// not before . , ! ?

#include <cstddef>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pretrain {

/// A grammar compiled from the notation above.
class Grammar {
 public:
  struct Choice;

  /// One step of an alternative.
  struct Symbol {
    enum class Kind { text, capital, article, paragraph, choice, mention };
    Kind kind;
    std::string text = {};                // text
    const Choice* choice = nullptr;       // choice: what to choose from
    std::size_t variable = unremembered;  // choice: where to remember the outcome; mention: which one
    std::size_t field = 0;                // choice, mention: the field to derive
  };
  using Sequence = std::vector<Symbol>;

  struct Alternative {
    double weight = 1;
    std::vector<Sequence> fields;
  };

  struct Choice {
    std::vector<std::string> field_names;
    std::vector<Alternative> alternatives;
  };

  static constexpr std::size_t unremembered = static_cast<std::size_t>(-1);

  /// Throws cria::ConfigError for a text that breaks the notation or names a rule, field or variable that is
  /// nowhere defined.
  explicit Grammar(std::string_view notation);
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  const Symbol& start() const { return start_; }
  std::size_t variable_count() const { return variables_.size(); }

 private:
  struct Variable {
    std::string name;
    std::vector<std::string> field_names;
  };

  class Compiler;

  std::deque<Choice> choices_;  // a deque, as symbols point into it
  std::map<std::string, Choice*, std::less<>> rules_;
  std::vector<Variable> variables_;
  Symbol start_{Symbol::Kind::choice};
};

/// A text in the making: it runs to the next open choice and waits. A copy goes its own way, so a search over
/// all derivations of a text is a recursion over copies.
class Derivation {
 public:
  /// `grammar` must outlive the derivation.
  explicit Derivation(const Grammar& grammar);

  /// The probabilities of the alternatives of the open choice, which sum to 1; empty when the text is
  /// complete.
  std::span<const double> probabilities() const { return probabilities_; }

  /// Settles the open choice and runs to the next one.
  void take(std::size_t alternative);

  /// The text so far: a prefix of every text that can still come.
  const std::string& text() const { return text_; }

  /// Natural logarithm of the product of the probabilities of the alternatives taken.
  double log_probability() const { return log_probability_; }

 private:
  struct Frame {
    const Grammar::Symbol* next;
    const Grammar::Symbol* end;
  };

  void run();
  void enter(const Grammar::Sequence& sequence);
  void open(const Grammar::Symbol& symbol);
  void settle(std::size_t alternative);
  void append(std::string_view text);

  std::vector<Frame> frames_;
  std::vector<const Grammar::Alternative*> remembered_;  // by variable
  const Grammar::Symbol* open_ = nullptr;                // the choice that waits
  std::vector<double> probabilities_;
  std::string text_;
  double log_probability_ = 0;
  bool space_ = false;  // what stands between the text so far and the next word
  bool article_ = false;
  bool capital_ = false;
};

}  // namespace pretrain
