#pragma once
/// What a tensor is made of: memory of a backend, the place where its gradient is summed up, and the state
/// that all its copies share.
///
/// Memory needs these static functions of a backend: allocate(bytes) and deallocate(block, bytes); copy,
/// copy_from_host and copy_to_host(to, from, bytes); fill_zero(data, bytes) and fill(data, size, value);
/// fill_sequence(data, size, start, step) writes start + i step.
/// empty_cache() and set_cache_limit(bytes) are those of core/memory.hpp, synchronize() waits until all work
/// is done.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/core/autograd.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/shape.hpp"
#include "cria/core/view.hpp"

namespace cria::detail {

/// `size` elements of a backend's memory, uninitialised, or a part of another's.
template <class T, class B>
class Storage {
 public:
  explicit Storage(std::int64_t size) : size_(size), data_(static_cast<T*>(B::allocate(bytes()))) {}
  /// The elements [first, first + size) of `whole`, which they keep alive; a change of them is one of it.
  Storage(std::shared_ptr<Storage> whole, std::int64_t first, std::int64_t size)
      : size_(size), data_(whole->data_ + first), whole_(std::move(whole)) {}
  ~Storage() {
    if (!whole_) B::deallocate(data_, bytes());
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

  /// How often somebody was given the memory to write to.
  std::uint64_t version() const {
    return whole_ ? whole_->version() : version_.load(std::memory_order_relaxed);
  }
  void set_version(std::uint64_t version) { version_.store(version, std::memory_order_relaxed); }
  void count_change() {
    if (whole_) return whole_->count_change();
    version_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  std::int64_t size_;
  T* data_;
  std::shared_ptr<Storage> whole_;  // null: this is one
  std::atomic<std::uint64_t> version_ = 0;
};

/// `size` elements, copied to the host.
template <class T, class B>
std::vector<T> to_host(const T* data, std::int64_t size) {
  const auto count = static_cast<std::size_t>(size);
  if constexpr (std::is_same_v<T, bool>) {  // a vector of them is bits
    const auto values = std::make_unique<bool[]>(count);
    B::copy_to_host(values.get(), data, count);
    return std::vector<T>(values.get(), values.get() + count);
  } else {
    std::vector<T> values(count);
    B::copy_to_host(values.data(), data, count * sizeof(T));
    return values;
  }
}

/// Where the gradient of one value is summed up: no memory until somebody adds to it.
template <class T, class B>
class GradientSlot {
 public:
  explicit GradientSlot(std::int64_t size) : size_(size) {}
  /// That of a parameter, which is wanted as long as `wanted` says so.
  GradientSlot(std::int64_t size, std::shared_ptr<const bool> wanted)
      : size_(size), wanted_(std::move(wanted)) {}
  virtual ~GradientSlot() = default;

  bool is_wanted() const { return !wanted_ || *wanted_; }

  /// The memory to add to. The caller must do so: the next one gets it as no longer fresh.
  Gradient<Vec<T>> accumulate() {
    const bool fresh = !storage_;
    if (fresh) begin();
    if (fresh || storage_.use_count() > 1) {  // others who hold it keep the sum as it is
      const auto shared = std::exchange(storage_, std::make_shared<Storage<T, B>>(size_));
      if (shared) B::copy(storage_->data(), shared->data(), storage_->bytes());
    }
    return {{storage_->data(), size_}, fresh};
  }
  /// The sum so far; null if nothing was added.
  const std::shared_ptr<Storage<T, B>>& storage() const { return storage_; }
  /// Takes `storage` as the sum so far, which others may hold as well.
  void share(std::shared_ptr<Storage<T, B>> storage) {
    begin();
    storage_ = std::move(storage);
  }
  void clear() { storage_.reset(); }

 private:
  /// The first gradient is about to come.
  virtual void begin() {}

  std::int64_t size_;
  std::shared_ptr<const bool> wanted_;  // null: always
  std::shared_ptr<Storage<T, B>> storage_;
};

/// What all copies of a tensor share.
template <class T, class B>
struct TensorState final : Versioned {
  Shape shape;
  std::shared_ptr<Storage<T, B>> storage;        // null: forgotten
  std::shared_ptr<GradientSlot<T, B>> gradient;  // null: not wanted
  std::shared_ptr<Node> node;                    // null: a leaf
  std::uint64_t recorded_version = 0;            // of the storage as the node's operation left it
  bool is_unrecorded = false;  // NoGrad kept it, or what it was computed from, out of the graph

  TensorState(const Shape& s, std::shared_ptr<Storage<T, B>> memory) : shape(s), storage(std::move(memory)) {}

  std::uint64_t version() const override { return storage ? storage->version() : recorded_version; }
  std::string describe() const override {
    return (std::is_same_v<T, bool> ? "bool" : std::string(dtype_name<T>)) + " " + to_string(shape);
  }

  /// The memory of the values, computed again if they were forgotten.
  const std::shared_ptr<Storage<T, B>>& values() {
    if (storage) return storage;
    if (!node->repeat) {
      throw AutogradError("Tensor: the values of '" + std::string(node->op) +
                          "' were forgotten and backward has used up what they were computed from; read them "
                          "before backward or do not forget them");
    }
    check_unchanged(*node);
    storage = std::static_pointer_cast<Storage<T, B>>(node->repeat());
    storage->set_version(recorded_version);
    return storage;
  }
};

}  // namespace cria::detail
