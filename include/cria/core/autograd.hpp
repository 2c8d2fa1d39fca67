#pragma once
/// The graph behind reverse-mode differentiation. It knows neither dtype nor backend: a node is the name of
/// an operation, its inputs, and the function that passes gradients on.
///
/// Parts of a graph may be made on different threads, one after the other; recording is switched off (NoGrad)
/// for each thread by itself. Two threads must not run backward through one node at the same time.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/core/error.hpp"
#include "cria/core/profile.hpp"

namespace cria {

struct Node;

namespace detail {

/// What has values that somebody may change: `version` counts how often they did.
struct Versioned {
  virtual ~Versioned() = default;
  virtual std::uint64_t version() const = 0;
  virtual std::string describe() const = 0;  // "float32 [2, 3]"
};

/// One input of a recorded operation.
struct Input {
  std::shared_ptr<Node> node;               // that computed it; null: a leaf
  std::shared_ptr<const Versioned> values;  // that backward reads; null: it reads none
  std::uint64_t version = 0;                // of these values when the operation read them
};

}  // namespace detail

/// One recorded operation. It holds its output's gradient (inside `backward`), never the output itself, so
/// that dropping the last handle of a tensor frees its memory.
struct Node {
  std::string_view op;
  std::uint64_t sequence = 0;  // larger than that of every parent, whichever threads the two were made on
  std::vector<detail::Input> inputs;
  std::function<void()> backward;  // empty once it has run
  /// Computes the output's memory again (a Storage); empty if that is not cheap, and once backward has run.
  std::function<std::shared_ptr<void>()> repeat;
  bool gathered = false;
};

namespace detail {

/// A gradient that is kept elsewhere than where operations add to it: `hand_on` adds what is here to where it
/// is kept.
struct PassingGradient {
  virtual ~PassingGradient() = default;
  virtual void hand_on() = 0;
};

/// Those that the running operation adds to. They are handed on when it is done and not before: it asks for
/// the gradients of all its inputs before it writes to the first, and two of them may be the same.
CRIA_SHARED inline thread_local std::vector<std::shared_ptr<PassingGradient>> passing_gradients;

// One counter and three switches per thread, the counter so that nodes of one thread run in the order they
// were made. They must not be statics inside templates: each instantiation would have its own and gradients
// would vanish silently.
CRIA_SHARED inline thread_local std::uint64_t node_sequence = 0;
CRIA_SHARED inline thread_local bool recording = true;
CRIA_SHARED inline thread_local bool recomputing = false;
CRIA_SHARED inline thread_local bool detects_anomalies = false;

/// Deletes nodes without recursion: a graph can be a million operations deep.
struct NodeDeleter {
  void operator()(Node* node) const {
    thread_local std::vector<Node*> pending;
    thread_local bool deleting = false;
    pending.push_back(node);
    if (deleting) return;
    deleting = true;
    while (!pending.empty()) {
      const std::unique_ptr<Node> last(pending.back());
      pending.pop_back();
    }
    deleting = false;
  }
};

inline std::shared_ptr<Node> make_node(std::string_view op, std::vector<Input> inputs) {
  auto node = std::shared_ptr<Node>(new Node, NodeDeleter{});
  node->op = op;
  node->inputs = std::move(inputs);
  for (const Input& input : node->inputs) {
    if (input.node) node_sequence = std::max(node_sequence, input.node->sequence);
  }
  node->sequence = ++node_sequence;
  return node;
}

/// Throws AutogradError if values that `node` read were changed since.
inline void check_unchanged(const Node& node) {
  for (const Input& input : node.inputs) {
    if (!input.values || input.values->version() == input.version) continue;
    throw AutogradError(
        "backward: a value that '" + std::string(node.op) +
        "' was computed from was changed afterwards; values may be changed before an operation "
        "reads them, or after backward");
  }
}

/// All nodes that `root` was computed from, in the order in which backward must run them.
inline std::vector<std::shared_ptr<Node>> gather(const std::shared_ptr<Node>& root) {
  std::vector<std::shared_ptr<Node>> nodes{root};
  root->gathered = true;
  for (std::size_t next = 0; next < nodes.size(); ++next) {
    for (std::size_t i = 0; i < nodes[next]->inputs.size(); ++i) {
      const auto& parent = nodes[next]->inputs[i].node;
      if (!parent || std::exchange(parent->gathered, true)) continue;
      nodes.push_back(parent);
    }
  }
  for (const auto& node : nodes) node->gathered = false;
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a->sequence > b->sequence; });
  return nodes;
}

}  // namespace detail

/// While one of these lives, operations on this thread are not recorded: `NoGrad guard;`.
class NoGrad {
 public:
  [[nodiscard("without a name it ends at once")]] NoGrad()
      : previous_(std::exchange(detail::recording, false)) {}
  ~NoGrad() { detail::recording = previous_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// While one of these lives, the first operation on this thread whose result, or what its backward adds to
/// the gradients of its inputs, has an element that is not finite throws AutogradError with its name. For the
/// search: every result is copied to the host. While a `DetectAnomaly off(false)` lives none does, as in a
/// part that is meant to have infinities.
class DetectAnomaly {
 public:
  [[nodiscard("without a name it ends at once")]] explicit DetectAnomaly(bool detects = true)
      : previous_(std::exchange(detail::detects_anomalies, detects)) {}
  ~DetectAnomaly() { detail::detects_anomalies = previous_; }
  DetectAnomaly(const DetectAnomaly&) = delete;
  DetectAnomaly& operator=(const DetectAnomaly&) = delete;

 private:
  bool previous_;
};

namespace detail {
/// While one of these lives, operations on this thread repeat what they did before: they are recorded, also
/// inside of NoGrad, and buffers do not follow a second time.
class Recomputation {
 public:
  Recomputation()
      : was_recording_(std::exchange(recording, true)), was_recomputing_(std::exchange(recomputing, true)) {}
  ~Recomputation() {
    recording = was_recording_;
    recomputing = was_recomputing_;
  }
  Recomputation(const Recomputation&) = delete;
  Recomputation& operator=(const Recomputation&) = delete;

 private:
  bool was_recording_;
  bool was_recomputing_;
};
}  // namespace detail

/// Whether operations on this thread are being recorded.
inline bool is_recording() {
  return detail::recording;
}
/// Whether operations on this thread repeat, for backward, what they did before (nn::recompute): then what
/// changes a Buffer leaves it as it is.
inline bool is_recomputing() {
  return detail::recomputing;
}

namespace detail {

/// Runs the graph behind `root`, whose gradient has been set, and frees every node as it goes.
inline void run_backward(const std::shared_ptr<Node>& root) {
  auto nodes = gather(root);
  for (const auto& node : nodes) {
    if (!node->backward) {
      throw AutogradError(
          "backward: the graph behind '" + std::string(node->op) +
          "' was freed by an earlier backward; compute the value again, or, of two losses, call "
          "backward(l1 + l2) once");
    }
    check_unchanged(*node);
  }
  const NoGrad guard;
  for (auto& node : nodes) {
    std::exchange(node->backward, nullptr)();
    if (!passing_gradients.empty()) {
      for (const auto& gradient : std::exchange(passing_gradients, {})) gradient->hand_on();
    }
    if (operation_clock) operation_clock->end_backward(node->op);
    node->repeat = nullptr;
    node->inputs.clear();
    node.reset();
  }
}

}  // namespace detail

}  // namespace cria
