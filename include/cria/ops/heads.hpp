#pragma once
/// What attention and rope take: tensors [batch, length, heads, dim], or parts of them.

#include <string>
#include <utility>

#include "cria/core/check.hpp"
#include "cria/core/record.hpp"
#include "cria/core/tensor.hpp"

namespace cria {

/// Some heads at some positions of a tensor [batch, positions, heads, dim], used where they are: one product
/// may compute queries, keys and values,
///
///   const HeadsPart all(qkv);  // [batch, length, heads + 2 kv_heads, dim]
///   attention(all.heads(0, heads), all.heads(heads, kv_heads), all.heads(heads + kv_heads, kv_heads));
///
/// and a cache of keys or values may have room for more positions than it holds,
///
///   attention(q, HeadsPart(keys).positions(0, length), HeadsPart(values).positions(0, length));
///
/// A tensor is a part, all of it. Gradients are added to those of the tensor.
template <FloatingPoint T, class B = DefaultBackend>
class HeadsPart {
 public:
  HeadsPart(const Tensor<T, B>& whole) : whole_(whole), shape_(whole.shape()) {}

  /// The heads [first, first + count), and the positions. Throw ShapeError if this part does not have all of
  /// them, or if the tensor does not have four dimensions.
  HeadsPart heads(std::int64_t first, std::int64_t count) const { return range("heads", 2, first, count); }
  HeadsPart positions(std::int64_t first, std::int64_t count) const {
    return range("positions", 1, first, count);
  }

  /// The tensor that this is a part of.
  const Tensor<T, B>& whole() const { return whole_; }
  /// [batch, length, heads, dim] of the part.
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_.dim(axis); }

  /// Elements from the tensor's first to the part's.
  std::int64_t offset() const { return offset_; }

 private:
  HeadsPart range(const char* what, int axis, std::int64_t first, std::int64_t count) const {
    check::rank(what, {"x", shape_}, 4);
    if (first < 0 || count < 0 || count > shape_.dim(axis) - first) {
      throw ShapeError(std::string(what) + ": [" + std::to_string(first) + ", " + std::to_string(first) +
                       " + " + std::to_string(count) + ") are asked for; x is " + to_string(shape_) +
                       " and has " + what + " [0, " + std::to_string(shape_.dim(axis)) + ")");
    }
    HeadsPart part = *this;
    part.shape_ = shape_.with_dim(axis, count);
    part.offset_ += first * whole_.shape().product(axis + 1, 4);
    return part;
  }

  Tensor<T, B> whole_;
  Shape shape_;
  std::int64_t offset_ = 0;
};

namespace detail {

template <class T, class B>
Heads<T> heads(Tensor<T, B>& x) {
  return as_heads(x.mutable_vec().data, x.shape());
}
template <class T, class B>
Heads<const T> heads(const Tensor<T, B>& x) {
  return as_heads(x.vec().data, x.shape());
}

/// The part of this shape and offset of a view.
template <class T>
Heads<T> part_of(const Heads<T>& whole, const Shape& shape, std::int64_t offset) {
  Heads<T> part = whole;
  part.data += offset;
  part.length = shape.dim(1);
  part.heads = shape.dim(2);
  return part;
}
template <class T, class B>
Heads<const T> heads(const HeadsPart<T, B>& x) {
  return part_of(heads(x.whole()), x.shape(), x.offset());
}

/// Where the gradient of a part goes.
template <class T, class B>
class HeadsSink {
 public:
  explicit HeadsSink(const HeadsPart<T, B>& x)
      : whole_(sink(x.whole())), shape_(x.shape()), offset_(x.offset()) {}

  /// The part of the tensor's gradient. It is fresh only if it is all of it; else what was fresh is zeros
  /// now, in the part and around it.
  Gradient<Heads<T>> heads() const {
    Gradient<Heads<T>> whole = whole_.heads();
    if (!whole) return {};
    const bool all = whole.length == shape_.dim(1) && whole.heads == shape_.dim(2);
    if (whole.fresh && !all) {
      B::fill_zero(whole.data, static_cast<std::size_t>(whole.batch * whole.batch_stride) * sizeof(T));
      whole.fresh = false;
    }
    return {part_of<T>(whole, shape_, offset_), whole.fresh};
  }

 private:
  Sink<T, B> whole_;
  Shape shape_;
  std::int64_t offset_;
};

/// Throws ShapeError if the gradients of two parts are summed up in memory that they share in part: kernels
/// add to both at once.
template <class T, class B>
void check_apart(std::string_view op, std::string_view name_a, const HeadsPart<T, B>& a,
                 std::string_view name_b, const HeadsPart<T, B>& b) {
  const auto& slot = TensorAccess::slot(a.whole());
  if (!slot || slot != TensorAccess::slot(b.whole())) return;
  if (a.offset() == b.offset() && a.shape() == b.shape()) return;
  const Shape& whole = a.whole().shape();
  const std::int64_t row = whole.product(2, 4), dim = whole.dim(3);
  const auto overlap = [](std::int64_t first_a, std::int64_t count_a, std::int64_t first_b,
                          std::int64_t count_b) {
    return first_a < first_b + count_b && first_b < first_a + count_a;
  };
  if (!overlap(a.offset() / row, a.dim(1), b.offset() / row, b.dim(1))) return;
  if (!overlap(a.offset() % row / dim, a.dim(2), b.offset() % row / dim, b.dim(2))) return;
  throw ShapeError(std::string(op) + ": " + std::string(name_a) + " and " + std::string(name_b) +
                   " overlap in a tensor whose gradient is wanted; they must be the same part or have no "
                   "head of a position in common");
}

}  // namespace detail

}  // namespace cria
