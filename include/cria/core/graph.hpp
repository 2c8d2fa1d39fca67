#pragma once
/// The recorded graph as a drawing.

#include <map>
#include <string>

#include "cria/core/record.hpp"

namespace cria {

/// The operations that y was computed from, in Graphviz's language: `dot -Tsvg` draws them. Boxes are
/// operations, in the order in which they ran; ellipses are tensors that were given and that backward reads,
/// with type and shape. Empty but for a frame if nothing was recorded.
template <class T, class B>
std::string graph_to_dot(const Tensor<T, B>& y) {
  std::string text = "digraph cria {\n";
  std::map<const void*, std::string> names;
  const auto name = [&](const void* of, const std::string& label, const char* shape) {
    const auto [found, is_new] = names.try_emplace(of, "n" + std::to_string(names.size()));
    if (is_new) text += "  " + found->second + " [label=\"" + label + "\", shape=" + shape + "];\n";
    return found->second;
  };
  if (const auto& root = detail::node(y)) {
    auto nodes = detail::gather(root);
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      const std::string own = name(node->get(), std::string((*node)->op), "box");
      for (const auto& input : (*node)->inputs) {
        if (!input.node && !input.values) continue;
        const std::string from = input.node ? name(input.node.get(), std::string(input.node->op), "box")
                                            : name(input.values.get(), input.values->describe(), "ellipse");
        text += "  " + from + " -> " + own;
        if (input.node && input.values) text += " [label=\"" + input.values->describe() + "\"]";
        text += ";\n";
      }
    }
  }
  return text + "}\n";
}

}  // namespace cria
