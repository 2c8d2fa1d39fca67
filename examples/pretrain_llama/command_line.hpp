#pragma once

#include <string>
#include <vector>

namespace pretrain {

/// Parses the arguments (without the program's name) and runs the subcommand they name. Prints a sentence to
/// standard error for anything that is wrong. Returns the exit code: 0, or 1 after an error.
int run_command_line(const std::vector<std::string>& arguments);

}  // namespace pretrain
