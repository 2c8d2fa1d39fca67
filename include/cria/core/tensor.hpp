#pragma once
/// Tensor: a cheap handle on contiguous row-major memory, with reverse-mode gradients.

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/autograd.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/view.hpp"

namespace cria {

namespace detail {

/// `size` elements of a backend's memory, uninitialised.
template <class T, class B>
class Storage {
 public:
  explicit Storage(std::int64_t size) : size_(size), data_(static_cast<T*>(B::allocate(bytes()))) {}
  ~Storage() { B::deallocate(data_, bytes()); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  /// How often somebody was given the memory to write to.
  std::uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void set_version(std::uint64_t version) { version_.store(version, std::memory_order_relaxed); }
  void count_change() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::int64_t size_;
  T* data_;
  std::atomic<std::uint64_t> version_ = 0;
};

/// Where the gradient of one value is summed up: no memory until somebody adds to it.
template <class T, class B>
class GradientSlot {
 public:
  explicit GradientSlot(std::int64_t size) : size_(size) {}

  /// The memory to add to. The caller must do so: the next one gets it as no longer fresh.
  Gradient<Vec<T>> accumulate() {
    const bool fresh = !storage_;
    if (fresh || storage_.use_count() > 1) {  // others who hold it keep the sum as it is
      const auto shared = std::exchange(storage_, std::make_shared<Storage<T, B>>(size_));
      if (shared) B::copy(storage_->data(), shared->data(), storage_->bytes());
    }
    return {{storage_->data(), size_}, fresh};
  }
  /// The sum so far; null if nothing was added.
  const std::shared_ptr<Storage<T, B>>& storage() const { return storage_; }
  /// Takes `storage` as the sum so far, which others may hold as well.
  void share(std::shared_ptr<Storage<T, B>> storage) { storage_ = std::move(storage); }
  void clear() { storage_.reset(); }

 private:
  std::int64_t size_;
  std::shared_ptr<Storage<T, B>> storage_;
};

}  // namespace detail

/// An array of T on a backend, row-major and contiguous. Copies share memory and gradient, and the shape
/// never changes after construction. A tensor whose gradient is wanted is either a leaf (set_requires_grad)
/// or the output of a recorded operation.
///
/// Every member but `defined` throws AutogradError for a tensor that is undefined, and every one that reads
/// values for a tensor whose values were forgotten and cannot be computed again.
template <class T, class B = DefaultBackend>
class Tensor {
 public:
  using value_type = T;
  using backend = B;

  /// No tensor at all; `defined()` is false.
  Tensor() = default;

  /// Uninitialised elements.
  static Tensor empty(const Shape& shape) {
    return Tensor(shape, std::make_shared<detail::Storage<T, B>>(shape.size()));
  }
  static Tensor zeros(const Shape& shape) {
    Tensor result = empty(shape);
    B::fill_zero(result.mutable_data(), result.impl_->storage->bytes());
    return result;
  }
  static Tensor full(const Shape& shape, T value) {
    Tensor result = empty(shape);
    B::fill(result.mutable_data(), result.size(), value);
    return result;
  }
  /// A scalar of shape [].
  static Tensor scalar(T value) { return full({}, value); }
  /// Elements in row-major order. Throws ShapeError if their number is not the shape's.
  static Tensor from(const Shape& shape, std::span<const T> values) {
    Tensor result = empty(shape);
    result.assign(values);
    return result;
  }
  static Tensor from(const Shape& shape, std::initializer_list<T> values) {
    return from(shape, std::span(values.begin(), values.size()));
  }

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl("shape").shape; }
  std::int64_t dim(int axis) const { return impl("dim").shape.dim(axis); }
  int rank() const { return impl("rank").shape.rank(); }
  /// Number of elements.
  std::int64_t size() const { return impl("size").shape.size(); }

  /// Copies host values in. Throws ShapeError if their number is not the shape's.
  void assign(std::span<const T> values) {
    if (static_cast<std::int64_t>(values.size()) != size()) {
      throw ShapeError("Tensor: " + std::to_string(values.size()) + " values were given for shape " +
                       to_string(shape()) + ", which has " + std::to_string(size()) + " elements");
    }
    B::copy_from_host(mutable_data(), values.data(), values.size_bytes());
  }
  /// The elements, copied to the host.
  std::vector<T> to_vector() const {
    std::vector<T> values(static_cast<std::size_t>(size()));
    B::copy_to_host(values.data(), data(), values.size() * sizeof(T));
    return values;
  }
  /// The only element. Throws ShapeError if there are more or none.
  T item() const {
    if (size() != 1)
      throw ShapeError("item: the tensor has shape " + to_string(shape()) + "; one element is needed");
    return to_vector().front();
  }

  /// A copy on backend To, outside the graph.
  template <class To>
  Tensor<T, To> to() const {
    auto result = Tensor<T, To>::empty(shape());
    void* target = result.mutable_vec().data;
    const auto bytes = static_cast<std::size_t>(size()) * sizeof(T);
    if constexpr (std::is_same_v<To, B>) {
      B::copy(target, data(), bytes);
    } else if constexpr (std::is_same_v<To, Cpu>) {
      B::copy_to_host(target, data(), bytes);
    } else {
      static_assert(std::is_same_v<B, Cpu>, "one of two different backends is the CPU");
      To::copy_from_host(target, data(), bytes);
    }
    return result;
  }

  /// Views that read: all elements; [everything but the last dimension, last dimension]. They own nothing and
  /// end with the tensor, so a temporary has none.
  Vec<const T> vec() const& { return {data(), size()}; }
  Rows<const T> rows() const& { return as_rows<const T>(data()); }
  Vec<const T> vec() const&& = delete;
  Rows<const T> rows() const&& = delete;
  /// Views to write to. Getting one counts as a change: backward refuses to go through an operation that has
  /// read the values before.
  Vec<T> mutable_vec() & { return {mutable_data(), size()}; }
  Rows<T> mutable_rows() & { return as_rows<T>(mutable_data()); }

  /// Whether backward will compute a gradient for this tensor.
  bool requires_grad() const { return impl("requires_grad").gradient != nullptr; }
  /// Makes this a leaf whose gradient is wanted. Throws AutogradError for an operation's output.
  Tensor& set_requires_grad() requires FloatingPoint<T> {
    if (impl("set_requires_grad").node) {
      throw AutogradError("set_requires_grad: this tensor is the output of '" + std::string(impl_->node->op) +
                          "'; only leaves can be asked for a gradient");
    }
    if (!impl_->gradient) impl_->gradient = std::make_shared<detail::GradientSlot<T, B>>(size());
    return *this;
  }
  /// The gradient summed up so far, as a tensor that shares its memory; undefined if there is none, as before
  /// backward. Only leaves keep theirs after backward.
  Tensor grad() const {
    if (!requires_grad() || !impl_->gradient->storage()) return {};
    return Tensor(shape(), impl_->gradient->storage());
  }
  void clear_grad() {
    if (requires_grad()) impl_->gradient->clear();
  }

  /// The same memory, outside the graph.
  Tensor detach() const { return Tensor(shape(), storage()); }
  /// The same memory under another shape of the same size, outside the graph (`reshape` is the recorded one).
  Tensor detach_as(const Shape& shape) const { return Tensor(shape, storage()); }

  /// Shape and gradient without the values: what a backward function captures of an input whose values it
  /// does not read, so that their memory is free for others.
  Tensor without_values() const {
    Tensor result(shape(), nullptr);
    result.impl_->gradient = impl_->gradient;
    return result;
  }

  const std::shared_ptr<Node>& node() const { return impl("node").node; }

  /// What has the values and counts their changes.
  std::shared_ptr<const detail::Versioned> versioned() const { return impl_; }

  /// Makes this tensor the output of `node`; `record` below is the way to call it.
  std::shared_ptr<detail::GradientSlot<T, B>> attach(std::shared_ptr<Node> node) {
    impl_->node = std::move(node);
    impl_->recorded_version = impl_->storage->version();
    impl_->gradient = std::make_shared<detail::GradientSlot<T, B>>(size());
    return impl_->gradient;
  }

  /// The gradient slot; null if the gradient is not wanted.
  const std::shared_ptr<detail::GradientSlot<T, B>>& gradient_slot() const {
    return impl("gradient").gradient;
  }

  /// A leaf with these values whose gradient is summed up in this tensor's.
  Tensor as_leaf() const {
    Tensor result = detach();
    result.impl_->gradient = impl_->gradient;
    return result;
  }

  /// Frees the memory of the values until they are read again, in backward as a rule; they are then computed
  /// again. Does nothing unless this is the recorded output of an operation that is cheap to repeat: those on
  /// each element alone, and norms. Backward uses up what the values could be computed from: who reads them
  /// after it for the first time gets an AutogradError.
  void forget() const {
    if (!impl("forget").storage || !impl_->node || !impl_->node->repeat) return;
    if (impl_->storage->version() == impl_->recorded_version) impl_->storage.reset();
  }

  /// The memory.
  const std::shared_ptr<detail::Storage<T, B>>& storage() const {
    if (!impl("values").storage) {
      if (!impl_->node || !impl_->node->repeat) no_values();
      detail::check_unchanged(*impl_->node);
      impl_->storage = std::static_pointer_cast<detail::Storage<T, B>>(impl_->node->repeat());
      impl_->storage->set_version(impl_->recorded_version);
    }
    return impl_->storage;
  }

  /// A tensor of `shape` on existing memory.
  Tensor(const Shape& shape, std::shared_ptr<detail::Storage<T, B>> storage)
      : impl_(std::make_shared<Impl>(shape, std::move(storage))) {}

 private:
  struct Impl final : detail::Versioned {
    Shape shape;
    std::shared_ptr<detail::Storage<T, B>> storage;        // null: forgotten
    std::shared_ptr<detail::GradientSlot<T, B>> gradient;  // null: not wanted
    std::shared_ptr<Node> node;                            // null: a leaf
    std::uint64_t recorded_version = 0;                    // of the storage as the node's operation left it

    Impl(const Shape& s, std::shared_ptr<detail::Storage<T, B>> memory)
        : shape(s), storage(std::move(memory)) {}
    std::uint64_t version() const override { return storage ? storage->version() : recorded_version; }
  };

  Impl& impl(const char* member) const {
    if (!impl_) {
      throw AutogradError(
          std::string(member) +
          ": the tensor is undefined; it was default-constructed, or is the gradient of a value "
          "that backward has not reached");
    }
    return *impl_;
  }
  [[noreturn]] void no_values() const {
    if (!impl_->node) throw AutogradError("Tensor: the values were not kept");
    throw AutogradError("Tensor: the values of '" + std::string(impl_->node->op) +
                        "' were forgotten and backward has used up what they were computed from; read them "
                        "before backward or do not forget them");
  }

  const T* data() const { return storage()->data(); }
  T* mutable_data() {
    storage()->count_change();
    return impl_->storage->data();
  }
  template <class U>
  Rows<U> as_rows(U* data) const {
    const std::int64_t cols = rank() == 0 ? 1 : dim(-1);
    return {data, shape().product(0, rank() - 1), cols};
  }

  std::shared_ptr<Impl> impl_;
};

namespace detail {

/// Views that backward functions add into, as they must then do; empty if the gradient is not wanted.
template <class T, class B>
Gradient<Vec<T>> grad_vec(const Tensor<T, B>& x) {
  return x.requires_grad() ? x.gradient_slot()->accumulate() : Gradient<Vec<T>>{};
}
template <class T, class B>
Gradient<Rows<T>> grad_rows(const Tensor<T, B>& x) {
  const auto all = grad_vec(x);
  const std::int64_t cols = x.rank() == 0 ? 1 : x.dim(-1);
  return {{all.data, x.shape().product(0, x.rank() - 1), cols}, all.fresh};
}

/// Marks an input of an operation whose values backward does not read.
template <class X>
struct Unread {
  const X& x;
};

/// What an operation was computed from, as far as gradients care.
struct Inputs {
  bool wanted = false;
  std::vector<Input> all;

  template <class X>
  void add(const X& x) {
    wanted = wanted || x.requires_grad();
    auto values = x.versioned();
    const std::uint64_t version = values->version();
    all.push_back({x.node(), std::move(values), version});
  }
  /// The leaves that `root` was computed from, without `except`.
  template <class X>
  void add_leaves(const std::shared_ptr<Node>& root, const X& except) {
    for (const auto& node : gather(root)) {
      for (const Input& input : node->inputs) {
        if (!input.node && input.values && input.values != except.versioned()) all.push_back(input);
      }
    }
  }
  template <class X>
  void add(const Unread<X>& unread) {
    wanted = wanted || unread.x.requires_grad();
    if (unread.x.node()) all.push_back({unread.x.node(), nullptr, 0});
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
  if (is_recording()) (result.add(x), ...);
  return result;
}

/// Records that `y` was computed from `inputs`, if a gradient is wanted. `backward(dy)` gets y's gradient as
/// a tensor and adds to the gradients of the inputs it captured. It must not capture y itself (a cycle);
/// y.detach() is fine.
template <FloatingPoint T, class B, class F>
Tensor<T, B> record(std::string_view op, Tensor<T, B> y, detail::Inputs inputs, F backward) {
  detail::end_of_operation(op);
  if (!inputs.wanted) return y;
  auto node = detail::make_node(op, std::move(inputs.all));
  auto slot = y.attach(node);
  node->backward = [slot = std::move(slot), shape = y.shape(), backward = std::move(backward)] {
    if (!slot->storage()) return;  // nobody used y for what is differentiated
    const Tensor<T, B> dy(shape, slot->storage());
    slot->clear();
    backward(dy);
  };
  return y;
}

/// The same for an operation with two outputs. `backward(da, db)` gets an undefined tensor for one that
/// nobody used.
template <FloatingPoint T, class B, class F>
std::pair<Tensor<T, B>, Tensor<T, B>> record_pair(std::string_view op, Tensor<T, B> a, Tensor<T, B> b,
                                                  detail::Inputs inputs, F backward) {
  detail::end_of_operation(op);
  if (!inputs.wanted) return {a, b};
  const auto node = detail::make_node(op, std::move(inputs.all));
  node->backward = [slot_a = a.attach(node), slot_b = b.attach(node), shape_a = a.shape(),
                    shape_b = b.shape(), backward = std::move(backward)] {
    const auto take = [](const auto& slot, const Shape& shape) {
      const Tensor<T, B> gradient = slot->storage() ? Tensor<T, B>(shape, slot->storage()) : Tensor<T, B>();
      slot->clear();
      return gradient;
    };
    const auto da = take(slot_a, shape_a), db = take(slot_b, shape_b);
    if (da.defined() || db.defined()) backward(da, db);
  };
  return {a, b};
}

/// The same as `record` for an operation that is cheap to repeat: `compute()` gives y again, whenever it is
/// needed after Tensor::forget.
template <FloatingPoint T, class B, class F, class G>
Tensor<T, B> record_repeatable(std::string_view op, Tensor<T, B> y, F compute, detail::Inputs inputs,
                               G backward) {
  y = record(op, y, std::move(inputs), std::move(backward));
  if (y.node())
    y.node()->repeat = [compute = std::move(compute)]() -> std::shared_ptr<void> {
      return compute().storage();
    };
  return y;
}

namespace detail {
/// Adds the gradients of every leaf that y was computed from, given y's own.
template <FloatingPoint T, class B>
void run_backward(const Tensor<T, B>& y, const Tensor<T, B>& dy) {
  y.gradient_slot()->share(dy.storage());
  run_backward(y.node());
}
}  // namespace detail

/// Adds d(scale * y) / d(leaf) to the gradient of every leaf that y was computed from, and frees the graph.
/// y has one element. Throws ShapeError if it has not, AutogradError if nothing was recorded.
template <FloatingPoint T, class B>
void backward(const Tensor<T, B>& y, acc_t<T> scale = acc_t<T>(1)) {
  if (y.size() != 1) {
    throw ShapeError("backward: the tensor has shape " + to_string(y.shape()) + "; one element is needed");
  }
  if (!y.node()) {
    throw AutogradError("backward: the tensor was not computed from anything that requires a gradient");
  }
  B::fill(y.gradient_slot()->accumulate().data, 1, static_cast<T>(scale));
  detail::run_backward(y.node());
}

}  // namespace cria
