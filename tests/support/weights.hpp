#pragma once
/// A model of one parameter whose gradient a test sets.

#include <vector>

#include "cria/core/record.hpp"
#include "support/memory.hpp"

namespace cria::test {

/// One matrix [1, n].
template <class T>
struct Weights {
  Parameter<T> weight;
  explicit Weights(std::int64_t n) : weight({1, n}) {}
  static void visit(auto& self, auto&& field) { field("weight", self.weight); }

  void set_gradient(const std::vector<acc_t<T>>& gradient) { write(sink(weight).vec(), gradient); }
};

}  // namespace cria::test
