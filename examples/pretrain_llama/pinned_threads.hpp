#pragma once

#include "memory_plan.hpp"

namespace pretrain {

/// Keeps each of the threads that train, which live as long as the program, on a core of its own: the first
/// on the first core that the program may use, and so on. Cores of a node have numbers in a row, so that what
/// a thread has touched first stays near to it. Throws cria::ConfigError if there are fewer cores than
/// threads, if threads work in groups, or where the system does not allow it.
void pin_threads(const ThreadGroups& threads);

}  // namespace pretrain
