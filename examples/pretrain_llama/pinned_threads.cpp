#include "pinned_threads.hpp"

#ifdef __linux__
#include <sched.h>
#endif

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/threads.hpp"

namespace pretrain {

void pin_threads(const ThreadGroups& threads) {
  const auto refuse = [](const std::string& sentence) {
    throw cria::ConfigError("--pin is true; " + sentence);
  };
  if (threads.groups > 1 && threads.threads > 1) {
    refuse("it must be false where " + std::to_string(threads.groups) + " groups of " +
           std::to_string(threads.threads) + " threads share gradients");
  }
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    refuse(std::string("Linux does not tell the cores that may be used: ") + std::strerror(errno));
  }
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  const auto count = static_cast<int>(threads.groups * threads.threads);
  if (static_cast<int>(cores.size()) < count) {
    refuse("it needs a core for each of --threads = " + std::to_string(count) + ", and the program may use " +
           std::to_string(cores.size()));
  }
  cria::run_on_threads(count, [&](int thread) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cores[static_cast<std::size_t>(thread)], &own);
    if (sched_setaffinity(0, sizeof own, &own) != 0) {
      refuse("Linux does not allow it: " + std::string(std::strerror(errno)));
    }
  });
#else
  refuse("it must be false on systems other than Linux");
#endif
}

}  // namespace pretrain
