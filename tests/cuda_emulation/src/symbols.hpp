#pragma once

#include <string>
#include <vector>

namespace cuda_emulation {

/// The name of a function of the running program, without return type and parameters: "softmax<float>".
std::string function_name(const void* function);

/// "rms_norm.cuh:42", where the call that returns to `address` was written, from the debug information of the
/// running program by addr2line; functions that are inlined in others give the places of all, innermost
/// first: "vector.cuh:7 < rms_norm.cuh:42". The emulation's own headers and the standard library are left
/// out.
std::string source_line(const void* address);

/// Looks many addresses up at once, which is faster; source_line then knows them.
void read_source_lines(const std::vector<const void*>& addresses);

}  // namespace cuda_emulation
