#include "symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace cuda_emulation {
namespace {

std::uintptr_t load_address() {
  std::uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<std::uintptr_t*>(result) = info->dlpi_addr;
        return 1;  // the program itself comes first
      },
      &address);
  return address;
}

// Functions by address, from the program's symbol table; local and template functions are there too.
std::map<std::uintptr_t, std::string> read_symbols() {
  std::map<std::uintptr_t, std::string> symbols;
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) return symbols;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (memory == MAP_FAILED) return symbols;
  const auto* const bytes = static_cast<const char*>(memory);
  const auto& header = *reinterpret_cast<const ElfW(Ehdr)*>(bytes);
  const auto* const sections = reinterpret_cast<const ElfW(Shdr)*>(bytes + header.e_shoff);
  for (int i = 0; i < header.e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* const names = bytes + sections[sections[i].sh_link].sh_offset;
    const auto* symbol = reinterpret_cast<const ElfW(Sym)*>(bytes + sections[i].sh_offset);
    for (auto n = sections[i].sh_size / sizeof *symbol; n > 0; --n, ++symbol)
      if ((symbol->st_info & 15) == STT_FUNC && symbol->st_value)
        symbols.emplace(symbol->st_value + load_address(), names + symbol->st_name);
  }
  munmap(memory, size);
  return symbols;
}

// "void cria::f<float>(int, float*) [clone .constprop.0]" -> "cria::f<float>"
std::string shorten(std::string name) {
  int templates = 0;
  std::size_t begin = 0, end = name.size();
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++templates;
    if (name[i] == '>') --templates;
    if (templates != 0) continue;
    if (name[i] == ' ' && end == name.size()) begin = i + 1;
    if (name[i] == '(' && name.compare(i, 21, "(anonymous namespace)") != 0) {
      end = i;
      break;
    }
    if (name[i] == '(') i += 20;
  }
  return name.substr(begin, end - begin);
}

}  // namespace

std::string function_name(const void* function) {
  static const std::map<std::uintptr_t, std::string> symbols = read_symbols();
  static std::map<const void*, std::string> known;
  if (const auto found = known.find(function); found != known.end()) return found->second;
  std::string name = "kernel";
  if (const auto found = symbols.find(reinterpret_cast<std::uintptr_t>(function)); found != symbols.end()) {
    int status = 0;
    char* const demangled = abi::__cxa_demangle(found->second.c_str(), nullptr, nullptr, &status);
    name = demangled ? shorten(demangled) : found->second;
    std::free(demangled);
  }
  return known[function] = name;
}

namespace {

std::map<const void*, std::string>& known_lines() {
  static std::map<const void*, std::string> lines;
  return lines;
}

// "/path/rms_norm.cuh:42 (discriminator 3)" -> "rms_norm.cuh:42"; nothing for headers that are not the
// program's.
std::string program_line(std::string line) {
  if (const auto space = line.find_first_of(" \n"); space != std::string::npos) line.resize(space);
  if (line.find("/cuda_emulation/include/") != std::string::npos || line.find("/c++/") != std::string::npos ||
      line.starts_with("?"))
    return "";
  return line.substr(line.rfind('/') + 1);
}

}  // namespace

void read_source_lines(const std::vector<const void*>& addresses) {
  char program[512];
  const auto length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length > 0 ? length : 0] = 0;
  std::string command = "addr2line -a -i -e '" + std::string(program) + "' 2>/dev/null";
  char text[1024];
  for (const void* address : addresses) {
    // The address is where the call returns to, one past the call.
    std::snprintf(text, sizeof text, " %#zx", reinterpret_cast<std::uintptr_t>(address) - load_address() - 1);
    command += text;
    std::snprintf(text, sizeof text, "%p", address);
    known_lines().emplace(address, text);
  }
  FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) return;
  std::string* known = nullptr;
  bool found = false;
  auto next = addresses.begin();
  while (std::fgets(text, sizeof text, pipe)) {
    if (std::strncmp(text, "0x", 2) == 0 && next != addresses.end()) {
      known = &known_lines()[*next++];
      found = false;
    } else if (const std::string line = program_line(text); known && !line.empty()) {
      *known = found ? *known + " < " + line : line;
      found = true;
    }
  }
  pclose(pipe);
}

std::string source_line(const void* address) {
  if (!known_lines().contains(address)) read_source_lines({address});
  return known_lines()[address];
}

}  // namespace cuda_emulation
