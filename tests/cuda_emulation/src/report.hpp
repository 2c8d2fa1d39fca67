#pragma once
/// Reports of bugs in the program that runs under the emulation.

namespace cuda_emulation {

/// Prints a sentence (format of printf) to stderr, with kernel, block and thread where one runs, and counts
/// it.
[[gnu::format(printf, 1, 2)]] void report(const char* format, ...);

/// Writes the same kernel, block and thread into `text`; nothing where no kernel runs.
void describe_thread(char* text, unsigned long size);

}  // namespace cuda_emulation
