#pragma once
/// The text of an error, to be compared as a whole.

#include <string>

namespace cria::test {

/// What the Error says that `action` throws; "(nothing thrown)" if it throws none. Other types pass through.
template <class Error, class Action>
std::string error_message(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing thrown)";
}

}  // namespace cria::test
