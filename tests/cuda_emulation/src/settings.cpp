#include "settings.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime.hpp"
#include "streams.hpp"

namespace cuda_emulation {
namespace {

[[noreturn]] void refuse(const char* variable, const char* value, const char* allowed) {
  std::fprintf(stderr, "cuda_emulation: %s=%s is not allowed; it must be %s\n", variable, value, allowed);
  std::exit(2);
}

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (!text) return otherwise;
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end || value == 0) refuse(variable, text, "a positive number");
  return value;
}

Schedule environment_schedule() {
  const char* text = std::getenv("CUDA_EMULATION_ORDER");
  const std::string_view value = text ? text : "forward";
  if (value == "forward") return {Order::forward, 1};
  if (value == "reverse") return {Order::reverse, 1};
  if (value.starts_with("random:"))
    return {Order::random, static_cast<std::uint32_t>(std::strtoul(text + 7, nullptr, 10))};
  refuse("CUDA_EMULATION_ORDER", text, "forward, reverse or random:SEED");
}

bool environment_streams() {
  const char* text = std::getenv("CUDA_EMULATION_STREAMS");
  const std::string_view value = text ? text : "synchronous";
  if (value != "synchronous" && value != "lazy")
    refuse("CUDA_EMULATION_STREAMS", text, "synchronous or lazy");
  return value == "lazy";
}

Device environment_device() {
  // The checker needs 16 bytes of address space for every byte of the device.
  Device result{DeviceState::present, 8, 0, number("CUDA_EMULATION_MEMORY_MIB", 4096) << 20};
  if (const char* state = std::getenv("CUDA_EMULATION_DEVICE")) {
    if (std::strcmp(state, "none") == 0)
      result.state = DeviceState::none;
    else if (std::strcmp(state, "old_driver") == 0)
      result.state = DeviceState::old_driver;
    else
      refuse("CUDA_EMULATION_DEVICE", state, "none or old_driver");
  }
  if (const char* capability = std::getenv("CUDA_EMULATION_COMPUTE_CAPABILITY"))
    if (std::sscanf(capability, "%d.%d", &result.major, &result.minor) != 2)
      refuse("CUDA_EMULATION_COMPUTE_CAPABILITY", capability, "two numbers, as in 8.0");
  return result;
}

struct Settings {
  Schedule schedule = environment_schedule();
  bool lazy_streams = environment_streams();
  Device device = environment_device();
  int devices = static_cast<int>(number("CUDA_EMULATION_DEVICES", 1));
  std::size_t stack = number("CUDA_EMULATION_STACK_KIB", 64) << 10;
};

Settings& settings() {
  static Settings instance;
  return instance;
}

}  // namespace

Schedule schedule() {
  return settings().schedule;
}
bool lazy_streams() {
  return settings().lazy_streams;
}
const Device& device() {
  return settings().device;
}
int device_count() {
  return settings().devices;
}
std::size_t stack_size() {
  return settings().stack;
}

std::size_t Device::max_shared_memory() const {
  switch (major * 10 + minor) {
    case 75:
      return 64 << 10;
    case 80:
    case 87:
      return 163 << 10;
    case 86:
    case 89:
    case 120:
      return 99 << 10;
    default:
      return major >= 9 ? 227 << 10 : 48 << 10;
  }
}

void set_order(Order order, std::uint32_t seed) {
  const RuntimeLock lock;
  settings().schedule = {order, seed};
}

void set_streams(Streams streams) {
  const RuntimeLock lock;
  finish_all_streams();
  settings().lazy_streams = streams == Streams::lazy;
}

namespace {
Device overridden;
}

DeviceOverride::DeviceOverride(DeviceState state, int major, int minor, std::uint64_t memory) {
  const RuntimeLock lock;
  overridden = settings().device;
  settings().device = {state, major, minor, memory ? memory : overridden.memory};
}

DeviceOverride::~DeviceOverride() {
  const RuntimeLock lock;
  settings().device = overridden;
}

}  // namespace cuda_emulation
