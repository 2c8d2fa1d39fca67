#pragma once
/// Memory that must not be touched, where AddressSanitizer watches. What is poisoned stays so when it is
/// unmapped, and whoever is given the addresses next is accused: so it is unpoisoned before.

#if defined(CUDA_EMULATION_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif
