#pragma once

namespace cuda_emulation {

/// Makes a segmentation fault say which device memory the host touched, or which kernel touched what.
void install_fault_handler();

}  // namespace cuda_emulation
