#pragma once
/// Modules are plain structs. One static member lists their fields,
///
///   static void visit(auto& self, auto&& field) { field("weight", self.weight); }
///
/// and naming, counting, saving, initialising and optimising all walk it. A field is a Parameter, a module,
/// or a std::vector or std::optional of modules.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/core/named_tensor.hpp"
#include "cria/core/parameter.hpp"

namespace cria::nn {

namespace detail {

template <class F>
struct Walker {
  F& f;
  std::string prefix;

  template <class T, class B>
  void operator()(std::string_view name, Parameter<T, B>& parameter) {
    f(path(name), parameter);
  }
  template <class T, class B>
  void operator()(std::string_view name, const Parameter<T, B>& parameter) {
    f(path(name), parameter);
  }
  template <class M>
  requires requires(M& module, Walker& walker) { M::visit(module, walker); }
  void operator()(std::string_view name, M& module) {
    Walker inner{f, path(name)};
    std::remove_const_t<M>::visit(module, inner);
  }
  template <class M>
  void operator()(std::string_view name, std::vector<M>& modules) {
    each(name, modules);
  }
  template <class M>
  void operator()(std::string_view name, const std::vector<M>& modules) {
    each(name, modules);
  }
  template <class M>
  void operator()(std::string_view name, std::optional<M>& module) {
    if (module) (*this)(name, *module);
  }
  template <class M>
  void operator()(std::string_view name, const std::optional<M>& module) {
    if (module) (*this)(name, *module);
  }

 private:
  std::string path(std::string_view name) const {
    return prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
  }
  void each(std::string_view name, auto& modules) {
    Walker inner{f, path(name)};
    for (std::size_t i = 0; i < modules.size(); ++i) inner(std::to_string(i), modules[i]);
  }
};

}  // namespace detail

/// Calls f(name, parameter) for every parameter of `module`, in the order of its `visit`.
template <class M, class F>
void for_each_parameter(M& module, F f) {
  detail::Walker<F> walker{f, ""};
  std::remove_const_t<M>::visit(module, walker);
}

/// Number of trained values; a shared parameter counts once, because it is listed once.
template <class M>
std::int64_t parameter_count(const M& module) {
  std::int64_t count = 0;
  for_each_parameter(module, [&](const std::string&, const auto& parameter) { count += parameter.size(); });
  return count;
}

/// Forgets all gradients.
template <class M>
void zero_grad(M& module) {
  for_each_parameter(module, [](const std::string&, auto& parameter) { parameter.clear_grad(); });
}

/// The values of all parameters by name, sharing their memory: what is saved and loaded.
template <class M>
std::vector<NamedTensor> state_dict(const M& module) {
  std::vector<NamedTensor> state;
  for_each_parameter(module, [&](const std::string& name, const auto& parameter) {
    state.push_back(named_tensor(name, parameter.value()));
  });
  return state;
}

/// A module that shares nothing with `module`: own values, no gradients.
template <class M>
M clone(const M& module) {
  M copy = module;
  for_each_parameter(copy, [](const std::string&, auto& parameter) {
    const auto values = parameter.value().to_vector();
    parameter = std::remove_reference_t<decltype(parameter)>(parameter.shape());
    parameter.value().assign(values);
  });
  return copy;
}

/// A module that shares `module`'s values and owns its gradients: what a thread of DataParallel works on.
template <class M>
M replica(const M& module) {
  M copy = module;
  for_each_parameter(copy,
                     [](const std::string&, auto& parameter) { parameter = parameter.with_own_gradient(); });
  return copy;
}

}  // namespace cria::nn
