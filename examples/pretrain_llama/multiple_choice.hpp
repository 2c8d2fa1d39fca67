#pragma once
/// Multiple-choice questions, in the layouts of HellaSwag (Zellers et al. 2019) and ARC (Clark et al. 2018).

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "scorer.hpp"

namespace pretrain {

/// A text, and ways in which it may go on behind a space.
struct Question {
  std::string text;  // without white space at its end
  std::vector<std::string> endings;
  std::size_t right;  // which of them is
  std::int64_t line;  // of the file
};

/// A question a line, each a JSON object:
///   {"ctx": "...", "endings": ["...", ...], "label": 2}                      HellaSwag; "label": "2", too
///   {"question": {"stem": "...", "choices": [{"label": "A", "text": "..."}, ...]}, "answerKey": "A"}    ARC
///   {"question": "...", "choices": {"label": ["A", ...], "text": ["...", ...]}, "answerKey": "A"}
///                                                                            ARC as Hugging Face has it
/// A question of ARC becomes the text "Question: ...\nAnswer:". Throws cria::FileError, naming the line, for
/// what is none of these, and for a question without a right answer.
std::vector<Question> read_questions(const std::filesystem::path& path);

/// What a model makes of a question.
struct Answer {
  std::vector<double> log_likelihoods;  // of the endings, in nats
  std::size_t choice;                   // the likeliest ending
  std::size_t normalised_choice;        // that with the highest log likelihood for each of its bytes
};

/// The model sees BOS, the text and an ending, of which as many tokens at the end as fit in `context`. Throws
/// cria::FileError, about `path`, for an ending that does not fit.
std::vector<Answer> answers(const Scorer& scorer, const Tokenizer& tokenizer, std::int64_t context,
                            const std::vector<Question>& questions, const std::filesystem::path& path);

}  // namespace pretrain
