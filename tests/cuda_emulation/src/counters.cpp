#include "counters.hpp"

#include <deque>
#include <unordered_map>

#include "runtime.hpp"

namespace cuda_emulation {

constinit LineCounting line_counting{};

namespace {

struct Table {
  std::deque<KernelCounters> rows;
  std::unordered_map<std::string, KernelCounters*> by_name;
};

std::uint64_t pageable = 0;

Table& table() {
  static Table instance;
  return instance;
}

}  // namespace

KernelCounters& counters_of(const std::string& name) {
  KernelCounters*& row = table().by_name[name];
  if (!row) {
    row = &table().rows.emplace_back();
    row->name = name;
  }
  return *row;
}

std::vector<KernelCounters> kernel_counters() {
  const RuntimeLock lock;
  return {table().rows.begin(), table().rows.end()};
}

void count_pageable_copy() {
  ++pageable;
}

std::uint64_t pageable_copies() {
  const RuntimeLock lock;
  return pageable;
}

std::vector<LineCounters> line_counters() {
  const RuntimeLock lock;
  return line_counting.read ? line_counting.read() : std::vector<LineCounters>{};
}

void reset_counters() {
  const RuntimeLock lock;
  table() = {};
  pageable = 0;
  if (line_counting.reset) line_counting.reset();
}

void count_lines(bool on) {
  const RuntimeLock lock;
  if (line_counting.enable) line_counting.enable(on);
}

}  // namespace cuda_emulation
