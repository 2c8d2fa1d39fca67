#pragma once

#include <string>
#include <utility>

#include "cria/core/check.hpp"
#include "cria/core/tensor.hpp"
#include "cria/ops/heads.hpp"

namespace cria::nn {

/// The keys and values of the positions that a layer's attention has seen, for texts that are written token
/// by token: [batch, length, kv_heads, head_dim] each, in memory for `capacity` positions that is never
/// moved. It is no part of the graph of gradients.
template <FloatingPoint T, class B = DefaultBackend>
class KeyValueCache {
 public:
  /// Empty.
  KeyValueCache(std::int64_t batch, std::int64_t capacity, std::int64_t kv_heads, std::int64_t head_dim)
      : keys_(Tensor<T, B>::empty({batch, capacity, kv_heads, head_dim})),
        values_(Tensor<T, B>::empty({batch, capacity, kv_heads, head_dim})) {}

  /// Texts side by side.
  std::int64_t batch() const { return keys_.dim(0); }

  /// Positions that are filled, and for which there is memory.
  std::int64_t length() const { return length_; }
  std::int64_t capacity() const { return keys_.dim(1); }

  /// Copies the keys and values of the next positions behind the others. k, v [batch, new, kv_heads,
  /// head_dim]. Throws ShapeError if the shapes do not fit or the positions are more than there is memory
  /// for, AutogradError if a gradient is wanted.
  void append(const Tensor<T, B>& k, const Tensor<T, B>& v) {
    check::rank("KeyValueCache", {"k", k.shape()}, 4);
    check::same_shape("KeyValueCache", {"k", k.shape()}, {"v", v.shape()});
    for (const int axis : {0, 2, 3}) {
      check::equal_dims("KeyValueCache", {"k", k.shape()}, axis, {"the cache", keys_.shape()}, axis);
    }
    if (k.dim(1) > capacity() - length_) {
      throw ShapeError("KeyValueCache: k is " + to_string(k.shape()) + "; " + std::to_string(length_) +
                       " of the cache's " + std::to_string(capacity()) +
                       " positions are filled, so at most " + std::to_string(capacity() - length_) +
                       " more are allowed");
    }
    if (k.requires_grad() || v.requires_grad()) {
      throw AutogradError("KeyValueCache: a gradient is wanted; a cache passes none on and is for NoGrad");
    }
    copy_behind(keys_, k);
    copy_behind(values_, v);
    length_ += k.dim(1);
  }

  /// Forgets all positions but the first `length`. Throws ShapeError if there are fewer.
  void truncate(std::int64_t length) {
    if (length < 0 || length > length_) {
      throw ShapeError("KeyValueCache: truncate to " + std::to_string(length) + " positions; it has " +
                       std::to_string(length_));
    }
    length_ = length;
  }

  /// A cache of its own that holds the same positions, in memory for `capacity`. Throws ShapeError if that are
  /// fewer.
  KeyValueCache copy(std::int64_t capacity) const {
    if (capacity < length_) {
      throw ShapeError("KeyValueCache: a copy of capacity " + std::to_string(capacity) + "; there are " +
                       std::to_string(length_) + " positions");
    }
    KeyValueCache other(batch(), capacity, keys_.dim(2), keys_.dim(3));
    copy_texts(other.keys_, keys_, capacity);
    copy_texts(other.values_, values_, capacity);
    other.length_ = length_;
    return other;
  }

  /// The keys and values so far, [batch, length, kv_heads, head_dim], where they are.
  HeadsPart<T, B> keys() const { return HeadsPart<T, B>(keys_).positions(0, length_); }
  HeadsPart<T, B> values() const { return HeadsPart<T, B>(values_).positions(0, length_); }

 private:
  std::int64_t position_size() const { return keys_.dim(2) * keys_.dim(3); }

  void copy_behind(Tensor<T, B>& all, const Tensor<T, B>& next) const {
    const std::int64_t size = next.dim(1) * position_size();
    T* to = all.mutable_vec().data + length_ * position_size();
    for (std::int64_t b = 0; b < all.dim(0); ++b) {
      B::copy(to + b * capacity() * position_size(), next.vec().data + b * size,
              static_cast<std::size_t>(size) * sizeof(T));
    }
  }

  void copy_texts(Tensor<T, B>& to, const Tensor<T, B>& from, std::int64_t capacity_of_to) const {
    for (std::int64_t b = 0; b < batch(); ++b) {
      B::copy(to.mutable_vec().data + b * capacity_of_to * position_size(),
              from.vec().data + b * capacity() * position_size(),
              static_cast<std::size_t>(length_ * position_size()) * sizeof(T));
    }
  }

  Tensor<T, B> keys_, values_;  // [batch, capacity, kv_heads, head_dim]
  std::int64_t length_ = 0;
};

}  // namespace cria::nn
