#pragma once
/// Graphs: recorded work that can be replayed.

#include "streams.hpp"

struct CUgraphNode_st {};

struct CUgraph_st {
  std::vector<cuda_emulation::Node> nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const std::vector<cuda_emulation::Node>> nodes;
};
