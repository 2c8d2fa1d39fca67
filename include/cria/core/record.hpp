#pragma once
/// What operations need beside tensors: to record what they computed from what, and to pass gradients on.
///
///   auto y = Tensor<T, B>::empty(shape);
///   K::forward(a.vec(), b.vec(), y.mutable_vec());
///   return record("name", y, inputs(unread(a), b), [da = sink(a), b](const Tensor<T, B>& dy) {
///     K::backward(dy.vec(), b.vec(), da.vec(), sink(b).vec());
///   });
///
/// Backward captures a tensor whose values it reads, and the sink alone of one whose values it does not read:
/// their memory is then free for others. It must not capture the output itself, which would be a cycle;
/// y.detach() is fine.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "cria/core/parameter.hpp"
#include "cria/core/tensor_access.hpp"

namespace cria {

namespace detail {

/// The operation that computed x; null for a leaf.
template <class T, class B>
const std::shared_ptr<Node>& node(const Tensor<T, B>& x) {
  return TensorAccess::state(x)->node;
}

/// x's memory under another shape of the same size, outside the graph.
template <class T, class B>
Tensor<T, B> share_values(const Tensor<T, B>& x, const Shape& shape) {
  return TensorAccess::tensor<T, B>(shape, TensorAccess::state(x)->values());
}

/// x's memory from element `first` on under another shape, outside the graph; undefined where kernels might
/// find it badly aligned.
template <class T, class B>
Tensor<T, B> share_part(const Tensor<T, B>& x, const Shape& shape, std::int64_t first) {
  constexpr std::size_t alignment = 256;  // bytes, as that of what an allocator of device memory gives
  if (static_cast<std::size_t>(first) * sizeof(T) % alignment != 0) return {};
  return TensorAccess::tensor<T, B>(
      shape, std::make_shared<Storage<T, B>>(TensorAccess::state(x)->values(), first, shape.size()));
}

/// A leaf with x's values whose gradient is summed up in x's.
template <class T, class B>
Tensor<T, B> as_leaf(const Tensor<T, B>& x) {
  Tensor<T, B> leaf = x.detach();
  TensorAccess::state(leaf)->gradient = TensorAccess::slot(x);
  return leaf;
}

}  // namespace detail

namespace detail {

/// Throws AutogradError if an element of x, which is called `what`, is not finite.
template <class T, class B>
void check_finite(std::string_view op, std::string_view what, const Tensor<T, B>& x) {
  const auto values = x.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<acc_t<T>>(values[i]);
    if (value - value == 0) continue;
    throw AutogradError("DetectAnomaly: " + std::string(what) + " of '" + std::string(op) + "', " +
                        to_string(x.shape()) + ", is " + std::to_string(value) + " at element " +
                        std::to_string(i));
  }
}

class AddedGradients;
/// That of the innermost backward which runs on this thread, while anomalies are looked for.
CRIA_SHARED inline thread_local AddedGradients* added_gradients = nullptr;

/// The gradients that the backward of an operation adds to, to be checked after it.
class AddedGradients {
 public:
  AddedGradients() : before_(std::exchange(added_gradients, this)) {}
  ~AddedGradients() { added_gradients = before_; }
  AddedGradients(const AddedGradients&) = delete;
  AddedGradients& operator=(const AddedGradients&) = delete;

  template <class T, class B>
  void add(const Shape& shape, std::shared_ptr<GradientSlot<T, B>> slot) {
    checks_.push_back([shape, slot = std::move(slot)](std::string_view op) {
      if (!slot->storage()) return;
      check_finite(op, "the gradient of an input", TensorAccess::tensor<T, B>(shape, slot->storage()));
    });
  }
  void check(std::string_view op) const {
    for (const auto& check : checks_) check(op);
  }

 private:
  AddedGradients* before_;
  std::vector<std::function<void(std::string_view)>> checks_;
};

}  // namespace detail

/// Where the gradient of an operation's input goes: all that backward needs of an input whose values it does
/// not read. T is the gradient's type, for a parameter acc_t of its own. Each view is to be added to, or
/// overwritten if it is fresh, as soon as it was asked for; it is empty if the gradient is not wanted.
template <class T, class B>
class Sink {
 public:
  Sink(const Shape& shape, std::shared_ptr<detail::GradientSlot<T, B>> slot)
      : shape_(shape), slot_(std::move(slot)) {}

  const Shape& shape() const { return shape_; }
  /// Whether the gradient is wanted.
  explicit operator bool() const { return slot_ != nullptr; }

  Gradient<Vec<T>> vec() const {
    if (!slot_) return {};
    note();
    return slot_->accumulate();
  }
  Gradient<Rows<T>> rows() const {
    const auto all = vec();
    return {as_rows(all.data, shape_), all.fresh};
  }
  Gradient<Planes<T>> planes() const {
    const auto all = vec();
    return {as_planes(all.data, shape_), all.fresh};
  }
  Gradient<Heads<T>> heads() const {
    const auto all = vec();
    return {as_heads(all.data, shape_), all.fresh};
  }
  /// The elements [first, first + count) of the gradient. If they are fresh, all others become zero.
  Gradient<Vec<T>> part(std::int64_t first, std::int64_t count) const {
    const auto all = vec();
    if (!all) return {};
    if (all.fresh) {
      B::fill_zero(all.data, static_cast<std::size_t>(first) * sizeof(T));
      B::fill_zero(all.data + first + count, static_cast<std::size_t>(all.size - first - count) * sizeof(T));
    }
    return {{all.data + first, count}, all.fresh};
  }

  /// Takes the memory of `gradient`, which has as many elements, if nothing was added before. Returns whether
  /// it did.
  bool share_first(const Tensor<T, B>& gradient) const {
    if (slot_->storage()) return false;
    note();
    slot_->share(detail::TensorAccess::state(gradient)->values());
    return true;
  }

 private:
  void note() const {
    if (detail::added_gradients) detail::added_gradients->add(shape_, slot_);
  }

  Shape shape_;
  std::shared_ptr<detail::GradientSlot<T, B>> slot_;  // null: not wanted
};

template <class T, class B>
Sink<T, B> sink(const Tensor<T, B>& x) {
  return {x.shape(), detail::TensorAccess::slot(x)};
}
template <class T, class B>
Sink<acc_t<T>, B> sink(const Parameter<T, B>& x) {
  return {x.shape(), detail::TensorAccess::slot(x)};
}

namespace detail {

/// Marks an input of an operation whose values backward does not read.
template <class X>
struct Unread {
  const X& x;
};

/// What an operation was computed from, as far as gradients care.
struct Inputs {
  bool wanted = false;
  bool is_unrecorded = false;  // a gradient would be wanted, but for NoGrad, here or before
  std::vector<Input> all;      // none under NoGrad

  /// Whether a gradient of x is wanted.
  template <class T, class B>
  void follow(const Tensor<T, B>& x) {
    is_unrecorded = is_unrecorded || TensorAccess::state(x)->is_unrecorded;
    if (x.requires_grad()) (is_recording() ? wanted : is_unrecorded) = true;
  }
  template <class X>
  void follow(const Unread<X>& unread) {
    follow(unread.x);
  }
  template <class T, class B>
  void add(const Tensor<T, B>& x) {
    follow(x);
    if (is_recording()) all.push_back({node(x), TensorAccess::state(x), x.version()});
  }
  template <class X>
  void add(const Unread<X>& unread) {
    follow(unread.x);
    if (is_recording() && node(unread.x)) all.push_back({node(unread.x), nullptr, 0});
  }
  /// Those of `others` as well.
  void append(const Inputs& others) {
    wanted = wanted || others.wanted;
    is_unrecorded = is_unrecorded || others.is_unrecorded;
    all.insert(all.end(), others.all.begin(), others.all.end());
  }
  /// The leaves that `root` was computed from, without `except`.
  template <class... T, class... B>
  void add_leaves(const std::shared_ptr<Node>& root, const Tensor<T, B>&... except) {
    for (const auto& node : gather(root)) {
      for (const Input& input : node->inputs) {
        const bool is_new = ((input.values != TensorAccess::state(except)) && ...);
        if (!input.node && input.values && is_new) all.push_back(input);
      }
    }
  }
};

}  // namespace detail

/// Marks an input whose values backward does not read, for `inputs`: they may then be changed before it.
template <class X>
detail::Unread<X> unread(const X& x) {
  return {x};
}

/// The inputs of an operation, for `record`: tensors and parameters, also those that get no gradient if
/// backward reads them.
template <class... X>
detail::Inputs inputs(const X&... x) {
  detail::Inputs result;
  (result.follow(x), ...);
  if (!result.wanted) return result;
  result.all.reserve(sizeof...(X));
  (result.add(x), ...);
  return result;
}

namespace detail {

/// Where the users of an operation's output add to its gradient.
template <class T, class B>
class OutputGradient {
 public:
  /// Makes y an output of `node`.
  OutputGradient(const Tensor<T, B>& y, const std::shared_ptr<Node>& node)
      : shape_(y.shape()), slot_(std::make_shared<GradientSlot<T, B>>(y.size())) {
    TensorState<T, B>& state = *TensorAccess::state(y);
    state.node = node;
    state.recorded_version = state.storage->version();
    state.gradient = slot_;
  }

  /// The gradient, which is then gone from here; undefined if nobody used the output for what is
  /// differentiated.
  Tensor<T, B> take() const {
    if (!slot_->storage()) return {};
    Tensor<T, B> gradient = TensorAccess::tensor<T, B>(shape_, slot_->storage());
    slot_->clear();
    return gradient;
  }

 private:
  Shape shape_;
  std::shared_ptr<GradientSlot<T, B>> slot_;
};

/// An operation is done, and these are its results.
template <class... T, class B>
void end_of_operation(std::string_view op, const Tensor<T, B>&... y) {
  end_of_operation(op);
  if (detects_anomalies) (check_finite(op, "the result", y), ...);
}

/// Makes the tensors y the outputs of an operation, if a gradient is wanted.
template <class F, class... T, class B>
void set_backward(std::string_view op, Inputs inputs, F backward, const Tensor<T, B>&... y) {
  if (!inputs.wanted) return void(((TensorAccess::state(y)->is_unrecorded = inputs.is_unrecorded), ...));
  const auto node = make_node(op, std::move(inputs.all));
  node->backward = [op, backward = std::move(backward),
                    outputs = std::tuple(OutputGradient<T, B>(y, node)...)] {
    std::apply(
        [&](const auto&... output) {
          const std::tuple gradients{output.take()...};
          std::apply(
              [&](const auto&... dy) {
                if (!(dy.defined() || ...)) return;
                if (!detects_anomalies) return backward(dy...);
                ((dy.defined() ? check_finite(op, "the gradient of the result", dy) : void()), ...);
                AddedGradients added;
                backward(dy...);
                added.check(op);
              },
              gradients);
        },
        outputs);
  };
}

/// The result of an operation on inputs that want no gradient.
template <FloatingPoint T, class B>
Tensor<T, B> unrecorded(std::string_view op, Tensor<T, B> y, const Inputs& inputs) {
  end_of_operation(op, y);
  TensorAccess::state(y)->is_unrecorded = inputs.is_unrecorded;
  return y;
}
}  // namespace detail

/// Records that `y` was computed from `inputs`, if a gradient is wanted. `backward(dy)` gets y's gradient as
/// a tensor and adds to the gradients of the inputs it captured.
template <FloatingPoint T, class B, class F>
Tensor<T, B> record(std::string_view op, Tensor<T, B> y, detail::Inputs inputs, F backward) {
  detail::end_of_operation(op, y);
  detail::set_backward(op, std::move(inputs), std::move(backward), y);
  return y;
}

/// The same for two outputs. `backward(da, db)` gets an undefined tensor for one that nobody used.
template <FloatingPoint T, class B, class F>
std::pair<Tensor<T, B>, Tensor<T, B>> record(std::string_view op, std::pair<Tensor<T, B>, Tensor<T, B>> y,
                                             detail::Inputs inputs, F backward) {
  detail::end_of_operation(op, y.first, y.second);
  detail::set_backward(op, std::move(inputs), std::move(backward), y.first, y.second);
  return y;
}

/// The same for an operation that is cheap to repeat: `compute()` gives y again, whenever it is needed after
/// Tensor::forget.
template <FloatingPoint T, class B, class F, class G>
Tensor<T, B> record(std::string_view op, Tensor<T, B> y, detail::Inputs inputs, F backward, G compute) {
  y = record(op, y, std::move(inputs), std::move(backward));
  if (const auto& node = detail::node(y)) {
    node->repeat = [compute = std::move(compute)]() -> std::shared_ptr<void> {
      return detail::TensorAccess::state(compute())->storage;
    };
  }
  return y;
}

namespace detail {
/// Adds the gradients of every leaf that y was computed from, given y's own.
template <FloatingPoint T, class B>
void run_backward(const Tensor<T, B>& y, const Tensor<T, B>& dy) {
  TensorAccess::slot(y)->share(TensorAccess::state(dy)->values());
  run_backward(node(y));
}
}  // namespace detail

/// Adds d(scale * y) / d(leaf) to the gradient of every leaf that y was computed from, and frees the graph.
/// y has one element. Throws ShapeError if it has not, AutogradError if nothing was recorded.
template <FloatingPoint T, class B>
void backward(const Tensor<T, B>& y, acc_t<T> scale = acc_t<T>(1)) {
  if (y.size() != 1) {
    throw ShapeError("backward: the tensor has shape " + to_string(y.shape()) + "; one element is needed");
  }
  if (!detail::node(y)) {
    throw AutogradError(detail::TensorAccess::state(y)->is_unrecorded
                            ? "backward: the tensor was computed inside of NoGrad, where nothing is recorded"
                            : "backward: the tensor was not computed from anything that requires a gradient");
  }
  B::fill(detail::TensorAccess::slot(y)->accumulate().data, 1, static_cast<T>(scale));
  detail::run_backward(detail::node(y));
}

}  // namespace cria
