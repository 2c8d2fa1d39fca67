#pragma once

#include <string>

namespace cuda_emulation {

/// The name of a function of the running program, without return type and parameters: "softmax<float>".
std::string function_name(const void* function);

/// "rms_norm.cuh:42", from the debug information of the running program by addr2line; the address if there is
/// none.
std::string source_line(const void* address);

}  // namespace cuda_emulation
