#pragma once
/// Examples in batches, for the loop of a training program:
///
///   data::Batches batches(data::Examples(images, labels), {.batch_size = 64, .shuffle = true, .seed = 1});
///   for (int epoch = 0; epoch < 10; ++epoch) {
///     for (const auto& [x, y] : batches) ...   // [64, ...] each, fewer in the last batch of an epoch
///   }

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cria/core/check.hpp"
#include "cria/core/error.hpp"
#include "cria/core/permutation.hpp"
#include "cria/core/random.hpp"
#include "cria/core/tensor.hpp"
#include "cria/data/prefetched.hpp"
#include "cria/data/source.hpp"
#ifdef CRIA_CUDA
#include "cria/backend/cuda/cuda.hpp"
#endif

namespace cria::data {

struct BatchesOptions {
  std::int64_t batch_size = 32;
  bool shuffle = false;    // every epoch in a random order of its own
  std::uint64_t seed = 0;  // of these orders
  bool drop_last = false;  // leaves out the last batch of an epoch if it has fewer examples than the others
  /// Makes the next batches on a thread of its own meanwhile. That pays where examples are computed or read
  /// from somewhere; copying rows of tensors in memory takes less than handing them over.
  bool prefetch = false;
};

/// A source's examples in batches: tuples of tensors [batch size, ...] on B. Every begin() starts the next
/// epoch, so that one loop over a Batches is one epoch. Its order depends on the seed and the epoch's number
/// alone: not on prefetching, and not on what was done before.
template <class S, class B = DefaultBackend>
class Batches {
  static_assert(Source<S>,
                "data::Batches: a source has size() and operator[](i), both const, and the latter gives a "
                "std::pair or std::tuple of Tensor<T, Cpu>; tensors become one by data::Examples(x, y)");
  using HostBatch = batch_t<S, Cpu>;

 public:
  using value_type = batch_t<S, B>;
  class Iterator;

  /// Throws ConfigError unless batch_size is at least 1, and ShapeError if the source has no examples, or
  /// with drop_last fewer than a batch.
  explicit Batches(S source, const BatchesOptions& options = {})
      : options_(options), source_(std::make_shared<const S>(std::move(source))) {
    check::option(options.batch_size >= 1, "data::Batches", "batch_size", options.batch_size,
                  "it must be at least 1");
    if (size() > 0) return;
    throw ShapeError("data::Batches: the source has " + std::to_string(examples()) + " examples; " +
                     (options.drop_last ? "with drop_last at least batch_size = " +
                                              std::to_string(options.batch_size) + " are needed"
                                        : "at least one is needed"));
  }

  /// Number of batches in an epoch.
  std::int64_t size() const {
    const std::int64_t full = examples() / options_.batch_size;
    return full + (!options_.drop_last && examples() % options_.batch_size > 0 ? 1 : 0);
  }

  /// The epoch that the next begin() starts, 0 at first. A run that is resumed sets what the one before it
  /// had. Throws ConfigError for one below 0.
  std::int64_t epoch() const { return epoch_; }
  void set_epoch(std::int64_t epoch) {
    check::option(epoch >= 0, "data::Batches", "epoch", epoch, "it must be at least 0");
    epoch_ = epoch;
  }

  /// The first batch of the next epoch. What the source throws comes out of here, and of the iterator's
  /// increment, with prefetching, too. An iterator that goes before its epoch has ended ends its thread.
  Iterator begin() {
    return {size(), options_.prefetch,
            [source = source_, order = order_of(epoch_++), length = options_.batch_size](std::int64_t i) {
              const std::span<const std::size_t> all(order);
              const auto first = static_cast<std::size_t>(i * length);
              return gather(*source, all.subspan(first, std::min(all.size() - first,
                                                                 static_cast<std::size_t>(length))));
            }};
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::int64_t examples() const { return static_cast<std::int64_t>(source_->size()); }

  std::vector<std::size_t> order_of(std::int64_t epoch) const {
    const auto size = static_cast<std::size_t>(examples());
    if (options_.shuffle)
      return permutation(Rng(options_.seed).split(static_cast<std::uint64_t>(epoch)), size);
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    return order;
  }

  BatchesOptions options_;
  std::shared_ptr<const S> source_;
  std::int64_t epoch_ = 0;
};

/// A place in an epoch, where a batch is ready.
template <class S, class B>
class Batches<S, B>::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = Batches::value_type;
  using difference_type = std::ptrdiff_t;

  /// The first of `count` batches make(0), make(1), ...
  template <class Make>
  Iterator(std::int64_t count, bool prefetch, Make make) : left_(count) {
    if (prefetch) {
      next_ = [batches = std::make_shared<detail::Prefetched<HostBatch>>(count, std::move(make))] {
        return batches->next();
      };
    } else {
      next_ = [i = std::int64_t{0}, make = std::move(make)]() mutable { return make(i++); };
    }
    read();
  }

  const value_type& operator*() const { return batch_; }
  Iterator& operator++() {
    if (--left_ > 0) read();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& a, std::default_sentinel_t) { return a.left_ == 0; }

 private:
  void read() {
    HostBatch batch = next_();
    if constexpr (std::is_same_v<B, Cpu>) {
      batch_ = std::move(batch);
    } else {
      batch_ = std::apply([](const auto&... x) { return value_type(x.template to<B>()...); }, batch);
    }
  }

  std::int64_t left_;  // this batch and those after it
  std::function<HostBatch()> next_;
  value_type batch_;
};

}  // namespace cria::data
