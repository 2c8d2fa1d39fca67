#pragma once
/// Sums of gradients over processes, and what their owners have made of them: along the binary tree whose
/// leaves are the processes, so that the bits are the same everywhere. Neighbours add up, then neighbouring
/// pairs, and so on. Each time a process goes on with those parameters alone whose owners are on its side of
/// the tree, so that it sends and receives each number less than once on the way to the owners, and as often
/// on the way back (recursive halving and doubling, Thakur et al. 2005).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "cria/backend/cpu/convert.hpp"
#include "cria/dist/parameter_owners.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria {

namespace detail {

/// An array of a parameter, of which every process has one.
template <class V>
struct OwnedArray {
  Vec<V> values;
  int owner;
};
template <class... V>
using OwnedArrays = std::tuple<std::vector<OwnedArray<V>>...>;

/// Those whose owners have the place of `rank` among `group` neighbouring processes.
template <class V>
std::vector<OwnedArray<V>> of_place_in_group(std::span<const OwnedArray<V>> arrays, int rank, int group) {
  std::vector<OwnedArray<V>> found;
  for (const auto& array : arrays) {
    if (array.owner % group == rank % group) found.push_back(array);
  }
  return found;
}

/// Arrays behind each other, as numbers of type Wire, on their way between processes.
template <class Wire, class V>
class Message {
 public:
  explicit Message(const std::vector<OwnedArray<V>>& arrays) : arrays_(arrays) {
    std::int64_t size = 0;
    for (const auto& array : arrays) size += array.values.size;
    numbers_ = Tensor<Wire, Cpu>::empty({size});
  }
  void write() {
    for_each_part([](Vec<Wire> part, Vec<V> values) { cpu::convert(Vec<const V>(values), part); });
  }
  void read() {
    for_each_part([](Vec<Wire> part, Vec<V> values) { cpu::convert(Vec<const Wire>(part), values); });
  }
  void add() {
    for_each_part([](Vec<Wire> part, Vec<V> values) {
      kernel_for<ops::Accumulate, Cpu>::add(Vec<const Wire>(part), Gradient<Vec<V>>{values, false});
    });
  }
  std::span<std::byte> bytes() {
    const auto all = numbers_.mutable_vec();
    return std::as_writable_bytes(std::span(all.data, static_cast<std::size_t>(all.size)));
  }

 private:
  template <class F>
  void for_each_part(F work) {
    Wire* next = numbers_.mutable_vec().data;
    for (const auto& array : arrays_) {
      work(Vec<Wire>{next, array.values.size}, array.values);
      next += array.values.size;
    }
  }

  std::vector<OwnedArray<V>> arrays_;
  Tensor<Wire, Cpu> numbers_;
};

/// The arrays become the sums of all processes' ones, each in the process that owns it; the others' are
/// spoiled.
template <class Wire, class V>
void sum_at_owners(Communicator& processes, std::span<const OwnedArray<V>> arrays) {
  for (int group = 2; group <= processes.size(); group *= 2) {
    const int rank = processes.rank(), partner = rank ^ (group / 2);
    Message<Wire, V> theirs(of_place_in_group(arrays, partner, group)),
        own(of_place_in_group(arrays, rank, group));
    theirs.write();
    processes.exchange(partner, theirs.bytes(), own.bytes());
    own.add();  // a + b is b + a, to the last bit
  }
}

/// All processes get the owners' arrays, which the owners round as well.
template <class Wire, class V>
void gather_from_owners(Communicator& processes, std::span<const OwnedArray<V>> arrays) {
  for (int group = processes.size(); group >= 2; group /= 2) {
    const int rank = processes.rank(), partner = rank ^ (group / 2);
    Message<Wire, V> theirs(of_place_in_group(arrays, partner, group)),
        own(of_place_in_group(arrays, rank, group));
    own.write();
    if constexpr (!std::is_same_v<Wire, V>) own.read();
    processes.exchange(partner, own.bytes(), theirs.bytes());
    theirs.read();
  }
}

/// Calls work(arrays) for parts of the arrays of each type, one after the other: of every owner's arrays, behind
/// each other, the next numbers, as many as stay in cache between a message and the sum. So both sides of an
/// exchange have equally much to send.
template <class F, class... V>
void for_each_bucket(const OwnedArrays<V...>& all, F work) {
  constexpr std::int64_t most = 1 << 16;  // numbers of each owner
  const auto of_type = [&]<class T>(const std::vector<OwnedArray<T>>& arrays) {
    for (std::int64_t begin = 0;; begin += most) {
      std::vector<OwnedArray<T>> bucket;
      std::map<int, std::int64_t> ends;  // of what each owner has before an array
      for (const auto& [values, owner] : arrays) {
        const std::int64_t first = ends[owner], end = ends[owner] += values.size;
        const std::int64_t from = std::max(first, begin), to = std::min(end, begin + most);
        if (from < to) bucket.push_back({{values.data + (from - first), to - from}, owner});
      }
      if (bucket.empty()) return;
      work(std::span<const OwnedArray<T>>(bucket));
    }
  };
  (of_type(std::get<std::vector<OwnedArray<V>>>(all)), ...);
}

template <class M>
OwnedArrays<float, double> gradients_of(const ParameterOwners& owners, M& model) {
  OwnedArrays<float, double> all;
  nn::for_each_parameter(model, [&]<class T>(const std::string& name, Parameter<T, Cpu>& parameter) {
    if (!parameter.has_grad()) return;
    std::get<std::vector<OwnedArray<acc_t<T>>>>(all).push_back({sink(parameter).vec(), owners.owner(name)});
  });
  return all;
}

/// What gradients of A are exchanged as, where those of float are exchanged as Exchanged.
template <class A, class Exchanged>
using wire_t = std::conditional_t<std::is_same_v<A, float>, Exchanged, A>;

}  // namespace detail

/// Every process's gradients of `model` become the sum of all processes' gradients, the same bits everywhere. The
/// same parameters must have gradients in all of them. Exchanged = bfloat16: gradients in float are rounded
/// for each exchange, and half as many bytes are sent.
template <class Exchanged = float, class M>
void sum_gradients(const ParameterOwners& owners, M& model) {
  detail::for_each_bucket(detail::gradients_of(owners, model),
                          [&]<class A>(std::span<const detail::OwnedArray<A>> gradients) {
                            using Wire = detail::wire_t<A, Exchanged>;
                            detail::sum_at_owners<Wire>(owners.processes(), gradients);
                            detail::gather_from_owners<Wire>(owners.processes(), gradients);
                          });
}

/// The same for those parameters alone that this process owns; the gradients of the others are cleared.
template <class Exchanged = float, class M>
void sum_own_gradients(const ParameterOwners& owners, M& model) {
  detail::for_each_bucket(
      detail::gradients_of(owners, model), [&]<class A>(std::span<const detail::OwnedArray<A>> gradients) {
        detail::sum_at_owners<detail::wire_t<A, Exchanged>>(owners.processes(), gradients);
      });
  nn::for_each_parameter(model, [&](const std::string& name, auto& parameter) {
    if (!owners.is_own(name)) parameter.clear_grad();
  });
}

/// All processes get the values of those parameters that are trained from their owners.
template <class M>
void gather_values(const ParameterOwners& owners, M& model) {
  detail::OwnedArrays<float, double, bfloat16, float16> all;
  nn::for_each_parameter(model, [&]<class T>(const std::string& name, Parameter<T, Cpu>& parameter) {
    if (!parameter.requires_grad()) return;
    // The owner's are read alone, and do not count as changed.
    const Tensor<T, Cpu>& value = parameter.value();
    const Vec<T> values = owners.is_own(name) ? Vec<T>{const_cast<T*>(value.vec().data), value.size()}
                                              : parameter.value().mutable_vec();
    std::get<std::vector<detail::OwnedArray<T>>>(all).push_back({values, owners.owner(name)});
  });
  detail::for_each_bucket(all, [&]<class T>(std::span<const detail::OwnedArray<T>> values) {
    detail::gather_from_owners<T>(owners.processes(), values);
  });
}

}  // namespace cria
