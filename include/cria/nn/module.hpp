#pragma once
/// Modules are plain structs. One static member lists their fields,
///
///   static void visit(auto& self, auto&& field) { field("weight", self.weight); }
///
/// and naming, counting, saving, initialising and optimising all walk it. A field is a Parameter, a Buffer (a
/// value that is saved and cloned but not trained), a module, or a std::vector or std::optional of modules.
///
/// A copy of a module is a second handle on the same parameters, as a copy of a tensor is one on the same
/// memory: `auto best = model;` follows the training of `model`, and `std::vector<nn::Linear<float>>(3,
/// layer)` is one layer three times. `clone` makes a module of its own. Where a parameter is meant to have
/// two places, as the embedding that is the head's weight too, `visit` lists it at one of them.

#include <algorithm>
#include <concepts>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/core/buffer.hpp"
#include "cria/core/named_tensor.hpp"
#include "cria/core/parameter.hpp"
#include "cria/ops/accumulate.hpp"

namespace cria::nn {

namespace detail {
struct AnyField {
  void operator()(std::string_view, auto&) const {}
};
}  // namespace detail

/// What lists its fields in a static member `visit`.
template <class M>
concept Module = requires(M& module, detail::AnyField& field) {
  std::remove_const_t<M>::visit(module, field);
};

namespace detail {

/// Once of each type, however many functions walk through it.
template <class Field>
struct RefusedField {
  static_assert(sizeof(Field) == 0,
                "a field that `visit` lists is a Parameter, a Buffer, a module, or a std::vector or "
                "std::optional of modules; a tensor that is trained is a Parameter, one that is kept a "
                "Buffer, and numbers are not listed");
};

template <class F>
struct Walker {
  F& f;
  std::string prefix;

  template <class T, class B>
  void operator()(std::string_view name, Parameter<T, B>& parameter) {
    cria::detail::TensorAccess::set_listed(parameter);
    f(path(name), parameter);
  }
  template <class T, class B>
  void operator()(std::string_view name, const Parameter<T, B>& parameter) {
    cria::detail::TensorAccess::set_listed(parameter);
    f(path(name), parameter);
  }
  template <class T, class B>
  void operator()(std::string_view name, Buffer<T, B>& buffer) {
    f(path(name), buffer);
  }
  template <class T, class B>
  void operator()(std::string_view name, const Buffer<T, B>& buffer) {
    f(path(name), buffer);
  }
  template <Module M>
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
  template <class Other>
  requires(!Module<Other>) void operator()(std::string_view, Other&) {
    static_cast<void>(RefusedField<std::remove_const_t<Other>>());
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

/// Leaves buffers out.
template <class F>
struct OnlyParameters {
  F f;
  void operator()(const std::string& name, auto& field) {
    if constexpr (requires { field.grad(); }) f(name, field);
  }
};

}  // namespace detail

namespace detail {
/// Whether M is a module; if not, the compiler says so once, however many functions ask.
template <class M>
struct IsModule {
  static constexpr bool value = Module<M>;
  static_assert(value,
                "a module lists its fields in a static member: static void visit(auto& self, auto&& field) { "
                "field(\"weight\", self.weight); }");
};
}  // namespace detail

/// Calls f(name, field) for every parameter and buffer of `module`, in the order of its `visit`.
template <class M, class F>
void for_each_value(M& module, F f) {
  if constexpr (detail::IsModule<std::remove_const_t<M>>::value) {
    detail::Walker<F> walker{f, ""};
    std::remove_const_t<M>::visit(module, walker);
  }
}

/// Calls f(name, parameter) for every parameter of `module`, in the order of its `visit`.
template <class M, class F>
void for_each_parameter(M& module, F f) {
  for_each_value(module, detail::OnlyParameters<F>{std::move(f)});
}

/// Throws ConfigError if `module` lists a parameter or a buffer twice, with both names: it would be counted,
/// saved and trained twice. The same if two have one name: only one of them could be saved.
template <class M>
void check_listed_once(const M& module) {
  std::map<const void*, std::string> names;
  std::set<std::string> taken;
  for_each_value(module, [&](const std::string& name, const auto& field) {
    const auto [first, is_new] =
        names.try_emplace(cria::detail::TensorAccess::state(field.value()).get(), name);
    if (!is_new) {
      throw ConfigError(
          "nn: '" + first->second + "' and '" + name +
          "' are one parameter; a copied module shares its parameters: make another by nn::clone, or, if "
          "it is meant to be shared, list it once in visit");
    }
    if (taken.insert(name).second) return;
    throw ConfigError("nn: two fields are called '" + name + "'; visit must give each a name of its own");
  });
}

/// Number of trained values. Throws ConfigError if a parameter is listed twice.
template <class M>
std::int64_t parameter_count(const M& module) {
  check_listed_once(module);
  std::int64_t count = 0;
  for_each_parameter(module, [&](const std::string&, const auto& parameter) { count += parameter.size(); });
  return count;
}

namespace detail {
template <class M, class Which>
void set_trained(std::string_view op, M& module, Which& which, bool trained) {
  bool found = false;
  std::string first;
  for_each_parameter(module, [&](const std::string& name, auto& parameter) {
    if (first.empty()) first = name;
    if (!which(name)) return;
    parameter.set_requires_grad(trained);
    found = true;
  });
  if (found) return;
  throw ConfigError("nn::" + std::string(op) + ": no parameter has a name that satisfies the predicate; " +
                    (first.empty() ? "the module has no parameters" : "the first is called '" + first + "'"));
}
}  // namespace detail

/// Freezes the parameters of `module` whose names satisfy `which`, or all: backward computes no gradients for
/// them and optimisers leave them as they are. Parts of a model are modules, too:
/// `nn::freeze(model.model.layers[0])`, or by name `nn::freeze(model, [](std::string_view name) { return
/// !name.ends_with("bias"); })`. Throws ConfigError if no name satisfies `which`: as a rule it is misspelt.
template <class M, std::predicate<std::string_view> Which>
void freeze(M& module, Which which) {
  detail::set_trained("freeze", module, which, false);
}
template <class M>
void freeze(M& module) {
  for_each_parameter(module, [](const std::string&, auto& parameter) { parameter.set_requires_grad(false); });
}

/// Has the parameters of `module` whose names satisfy `which`, or all, trained again. Throws as freeze
/// does.
template <class M, std::predicate<std::string_view> Which>
void unfreeze(M& module, Which which) {
  detail::set_trained("unfreeze", module, which, true);
}
template <class M>
void unfreeze(M& module) {
  for_each_parameter(module, [](const std::string&, auto& parameter) { parameter.set_requires_grad(true); });
}

/// Forgets all gradients.
template <class M>
void zero_grad(M& module) {
  for_each_parameter(module, [](const std::string&, auto& parameter) { parameter.clear_grad(); });
}

/// The values of all parameters and buffers by name, sharing their memory: what is saved and loaded. Throws
/// ConfigError if one is listed twice.
template <class M>
std::vector<NamedTensor> state_dict(const M& module) {
  check_listed_once(module);
  std::vector<NamedTensor> state;
  for_each_value(module, [&](const std::string& name, const auto& field) {
    state.push_back(named_tensor(name, field.value()));
  });
  return state;
}

/// A parameter by name, without its dtype and backend in the type; a handle, which may outlive the module.
struct NamedParameter : NamedTensor {
  std::function<bool()> requires_grad;  // whether it is trained, not frozen
  std::function<void(bool)> set_requires_grad;
};

/// All parameters of `module`, in the order of its `visit`, for loops that need not know their types:
///
///   for (const auto& parameter : nn::parameters(model)) std::cout << parameter.name << '\n';
///
/// Throws ConfigError if one is listed twice.
template <class M>
std::vector<NamedParameter> parameters(const M& module) {
  check_listed_once(module);
  std::vector<NamedParameter> all;
  for_each_parameter(module, [&]<class T, class B>(const std::string& name, Parameter<T, B> parameter) {
    all.push_back({named_tensor(name, parameter.value()), [parameter] { return parameter.requires_grad(); },
                   [parameter](bool wanted) mutable { parameter.set_requires_grad(wanted); }});
  });
  return all;
}

/// Gives the parameters and buffers of `to` the values of those of `from`, which has the same names, shapes
/// and dtypes and may live on another backend. Throws ConfigError, and changes nothing, where it has not.
template <class From, class To>
void copy_values(const From& from, To& to) {
  const std::vector<NamedTensor> sources = state_dict(from), targets = state_dict(to);
  const auto refuse = [](const std::string& name, const std::string& what) {
    throw ConfigError("copy_values: '" + name + "' " + what +
                      "; both modules need the same names, shapes and dtypes");
  };
  for (std::size_t i = 0; i < std::max(sources.size(), targets.size()); ++i) {
    if (i >= sources.size()) refuse(targets[i].name, "is not in the module that is copied");
    if (i >= targets.size()) refuse(sources[i].name, "is not in the module that gets the values");
    const auto& [name, dtype, shape, read, write] = sources[i];
    if (targets[i].name != name) refuse(name, "is called '" + targets[i].name + "' in the other module");
    if (targets[i].dtype == dtype && targets[i].shape == shape) continue;
    refuse(name, "is " + std::string(dtype) + " " + to_string(shape) + " and in the other module " +
                     std::string(targets[i].dtype) + " " + to_string(targets[i].shape));
  }
  for (std::size_t i = 0; i < sources.size(); ++i) targets[i].write(sources[i].read());
}

/// A module that shares nothing with `module`: own values, no gradients. `auto best = nn::clone(model);`
/// keeps the values of this moment.
template <class M>
M clone(const M& module) {
  M copy = module;
  for_each_value(copy, [](const std::string&, auto& field) { field = field.clone(); });
  return copy;
}

}  // namespace cria::nn
