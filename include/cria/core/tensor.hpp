#pragma once
/// Tensor: a cheap handle on contiguous row-major memory, with reverse-mode gradients.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cria/core/dtype.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/storage.hpp"

namespace cria {

namespace detail {
struct TensorAccess;
}  // namespace detail

/// An array of T on a backend, row-major and contiguous. Copies share values and gradient. The shape never
/// changes; the memory does not either, unless its values are forgotten (`forget`) and computed again. A
/// tensor whose gradient is wanted is either a leaf (set_requires_grad) or the output of a recorded
/// operation.
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
    B::fill_zero(result.mutable_data(), result.state_->storage->bytes());
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
  static Tensor from(const Shape& shape, const std::vector<bool>& values) requires std::is_same_v<T, bool> {
    const auto bytes = std::make_unique<bool[]>(values.size());
    std::copy(values.begin(), values.end(), bytes.get());
    return from(shape, std::span<const bool>(bytes.get(), values.size()));
  }

  bool defined() const { return state_ != nullptr; }
  const Shape& shape() const { return state("shape").shape; }
  std::int64_t dim(int axis) const { return state("dim").shape.dim(axis); }
  int rank() const { return state("rank").shape.rank(); }
  /// Number of elements.
  std::int64_t size() const { return state("size").shape.size(); }

  /// Copies host values in. Throws ShapeError if their number is not the shape's.
  void assign(std::span<const T> values) {
    if (static_cast<std::int64_t>(values.size()) != size()) {
      throw ShapeError("Tensor: " + std::to_string(values.size()) + " values were given for shape " +
                       to_string(shape()) + ", which has " + std::to_string(size()) + " elements");
    }
    B::copy_from_host(mutable_data(), values.data(), values.size_bytes());
  }
  /// The elements, copied to the host.
  std::vector<T> to_vector() const { return detail::to_host<T, B>(data(), size()); }
  /// The element with these indices, negative ones counting from the last. Throws ShapeError if there is
  /// none.
  T at(std::initializer_list<std::int64_t> indices) const {
    T value;
    B::copy_to_host(&value, data() + shape().offset(indices), sizeof(T));
    return value;
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
  Rows<const T> rows() const& { return as_rows(data(), shape()); }
  Vec<const T> vec() const&& = delete;
  Rows<const T> rows() const&& = delete;
  /// Views to write to. Getting one counts as a change: backward refuses to go through an operation that has
  /// read the values before.
  Vec<T> mutable_vec() & { return {mutable_data(), size()}; }
  Rows<T> mutable_rows() & { return as_rows(mutable_data(), shape()); }

  /// Whether backward will compute a gradient for this tensor.
  bool requires_grad() const {
    const auto& gradient = state("requires_grad").gradient;
    return gradient && gradient->is_wanted();
  }
  /// Makes this a leaf whose gradient is wanted. Throws AutogradError for an operation's output.
  Tensor& set_requires_grad() requires FloatingPoint<T> {
    if (state("set_requires_grad").node) {
      throw AutogradError("set_requires_grad: this tensor is the output of '" +
                          std::string(state_->node->op) + "'; only leaves can be asked for a gradient");
    }
    if (!state_->gradient) state_->gradient = std::make_shared<detail::GradientSlot<T, B>>(size());
    return *this;
  }
  /// The gradient summed up so far, as a tensor that shares its memory; undefined if there is none, as before
  /// backward. Only leaves keep theirs after backward.
  Tensor grad() const {
    if (!requires_grad() || !state_->gradient->storage()) return {};
    return Tensor(shape(), state_->gradient->storage());
  }
  void clear_grad() {
    if (requires_grad()) state_->gradient->clear();
  }

  /// The same memory, outside the graph.
  Tensor detach() const { return Tensor(shape(), state("detach").values()); }

  /// Frees the memory of the values until they are read again, in backward as a rule; they are then computed
  /// again. Does nothing unless this is the recorded output of an operation that is cheap to repeat: those on
  /// each element alone, and norms. Backward uses up what the values could be computed from: who reads them
  /// after it for the first time gets an AutogradError.
  void forget() const {
    if (!state("forget").storage || !state_->node || !state_->node->repeat) return;
    if (state_->storage.use_count() > 1) return;  // others see the same memory, which would not be freed
    if (state_->storage->version() == state_->recorded_version) state_->storage.reset();
  }

  /// How often the values were given to somebody to write to: two equal numbers mean that nothing was
  /// changed.
  std::uint64_t version() const { return state("version").version(); }

 private:
  friend struct detail::TensorAccess;
  using State = detail::TensorState<T, B>;

  Tensor(const Shape& shape, std::shared_ptr<detail::Storage<T, B>> storage)
      : state_(std::make_shared<State>(shape, std::move(storage))) {}

  State& state(const char* member) const {
    if (!state_) {
      throw AutogradError(
          std::string(member) +
          ": the tensor is undefined; it was default-constructed, or is the gradient of a value "
          "that backward has not reached");
    }
    return *state_;
  }
  const T* data() const { return state("values").values()->data(); }
  T* mutable_data() {
    const auto& storage = state("values").values();
    storage->count_change();
    return storage->data();
  }

  std::shared_ptr<State> state_;
};

namespace detail {

/// x's values, rounded to T, on backend B, in memory of their own.
template <class T, class B, class From, class Source>
Tensor<T, B> converted(const Tensor<From, Source>& x) {
  if constexpr (std::is_same_v<T, From>) {
    return x.template to<B>();
  } else {
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(x.size()));
    for (const From value : x.to_vector()) {
      values.push_back(static_cast<T>(static_cast<acc_t<T>>(static_cast<acc_t<From>>(value))));
    }
    return Tensor<T, B>::from(x.shape(), values);
  }
}

}  // namespace detail

}  // namespace cria
