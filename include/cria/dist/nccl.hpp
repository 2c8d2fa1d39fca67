#pragma once
/// GPUs that train together, one for each process: sums of gradients, and what their owners have made of
/// them, by NVIDIA's library NCCL. For programs that link cria::nccl, which defines CRIA_NCCL.

#if defined(CRIA_NCCL) && defined(CRIA_CUDA)

#include <nccl.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "cria/backend/cuda/cuda.hpp"
#include "cria/dist/exchange.hpp"
#include "cria/ops/cast.hpp"

namespace cria {

/// Processes that exchange what is on their GPUs, of which each has one of its own. Work is submitted to the
/// thread's stream (cuda::stream) and the host goes on; all processes submit the same in the same order.
/// Functions throw BackendError with what NCCL says, for what went wrong before as well.
///
///   Mpi processes;
///   Nccl gpus(processes);
///   gpus.all_reduce(x.mutable_vec());  // the same bits everywhere
///
/// Where an exception ends it, work that waits for other processes is given up, so that this process can end;
/// the others end as Communicator says.
class Nccl {
 public:
  /// On the current device: cuda::use_device comes before. All processes make theirs at the same time.
  explicit Nccl(Communicator& processes) {
    cuda::device();
    ncclUniqueId id{};
    if (processes.rank() == 0) check("ncclGetUniqueId", ncclGetUniqueId(&id));
    // By its bytes, as nvcc 13.0 breaks at a vector of that type, which has no name.
    const auto all = all_gather(processes, std::vector<char>(id.internal, id.internal + sizeof(id.internal)));
    std::copy_n(all.begin(), sizeof(id.internal), id.internal);
    check("ncclCommInitRank", ncclCommInitRank(&communicator_, processes.size(), id, processes.rank()));
  }
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl() {
    const bool is_unwinding = std::uncaught_exceptions() > exceptions_;
    static_cast<void>(is_unwinding ? ncclCommAbort(communicator_) : ncclCommDestroy(communicator_));
  }

  /// x becomes the sum of all processes' x.
  template <class T>
  void all_reduce(Vec<T> x) {
    check("ncclAllReduce",
          ncclAllReduce(x.data, x.data, count(x), type<T>(), ncclSum, communicator_, cuda::stream()));
  }
  /// The same in the process `root` alone.
  template <class T>
  void reduce(Vec<T> x, int root) {
    check("ncclReduce",
          ncclReduce(x.data, x.data, count(x), type<T>(), ncclSum, root, communicator_, cuda::stream()));
  }
  /// x becomes that of the process `root`.
  template <class T>
  void broadcast(Vec<T> x, int root) {
    check("ncclBroadcast",
          ncclBroadcast(x.data, x.data, count(x), type<T>(), root, communicator_, cuda::stream()));
  }

  /// What `work` calls is submitted as one, when it has returned: many small arrays then take the time of few
  /// large ones.
  template <class F>
  void together(F work) {
    ncclResult_t earlier = ncclSuccess;
    check("ncclCommGetAsyncError", ncclCommGetAsyncError(communicator_, &earlier));
    check("an earlier exchange", earlier);
    check("ncclGroupStart", ncclGroupStart());
    try {
      work();
    } catch (...) {
      static_cast<void>(ncclGroupEnd());
      throw;
    }
    check("ncclGroupEnd", ncclGroupEnd());
  }

 private:
  static void check(const char* call, ncclResult_t status) {
    if (status == ncclSuccess) return;
    throw BackendError(std::string("nccl: ") + call + " failed: " + ncclGetErrorString(status) +
                       "; with NCCL_DEBUG=INFO in the environment NCCL says more");
  }
  template <class T>
  static constexpr ncclDataType_t type() {
    static_assert(FloatingPoint<T>);
    return std::is_same_v<T, float>      ? ncclFloat32
           : std::is_same_v<T, double>   ? ncclFloat64
           : std::is_same_v<T, bfloat16> ? ncclBfloat16
                                         : ncclFloat16;
  }
  template <class T>
  static std::size_t count(Vec<T> x) {
    return static_cast<std::size_t>(x.size);
  }

  const int exceptions_ = std::uncaught_exceptions();
  ncclComm_t communicator_ = nullptr;
};

namespace detail {

/// Calls exchange(name, array) for all gradients, together. An array has what the gradient is exchanged as,
/// and the gradient becomes what the array is then.
template <class Exchanged, class M, class F>
void exchange_gradients(Nccl& gpus, M& model, F exchange) {
  const NoGrad guard;
  std::vector<std::function<void()>> exchanges, readings;
  nn::for_each_parameter(model, [&]<class T>(const std::string& name, Parameter<T, Cuda>& parameter) {
    if (!parameter.has_grad()) return;
    using A = acc_t<T>;
    using Wire = wire_t<A, Exchanged>;
    auto gradient = parameter.grad();
    if constexpr (std::is_same_v<A, Wire>) {
      exchanges.push_back([exchange, name, gradient]() mutable { exchange(name, gradient.mutable_vec()); });
    } else {
      auto rounded = cast<Wire>(gradient);
      exchanges.push_back([exchange, name, rounded]() mutable { exchange(name, rounded.mutable_vec()); });
      readings.push_back([rounded, gradient]() mutable {
        const Tensor<A, Cuda> sum = cast<A>(rounded);
        Cuda::copy(gradient.mutable_vec().data, sum.vec().data,
                   static_cast<std::size_t>(sum.size()) * sizeof(A));
      });
    }
  });
  gpus.together([&] {
    for (const auto& each : exchanges) each();
  });
  for (const auto& read : readings) read();
}

}  // namespace detail

/// Every process's gradients of `model`, which are on its GPU, become the sum of all processes' gradients.
/// The same parameters must have gradients in all of them. Sums are the same bits in all processes, and are added
/// up in an order of NCCL's own. Exchanged = bfloat16: gradients in float are rounded on the way, and half as
/// many bytes are sent.
template <class Exchanged = float, class M>
void sum_gradients(Nccl& gpus, M& model) {
  detail::exchange_gradients<Exchanged>(
      gpus, model, [&]<class A>(const std::string&, Vec<A> gradient) { gpus.all_reduce(gradient); });
}

/// The same for those parameters alone that this process owns; the gradients of the others are cleared.
template <class Exchanged = float, class M>
void sum_own_gradients(Nccl& gpus, const ParameterOwners& owners, M& model) {
  detail::exchange_gradients<Exchanged>(gpus, model, [&]<class A>(const std::string& name, Vec<A> gradient) {
    gpus.reduce(gradient, owners.owner(name));
  });
  nn::for_each_parameter(model, [&](const std::string& name, auto& parameter) {
    if (!owners.is_own(name)) parameter.clear_grad();
  });
}

/// All processes get the values of those parameters that are trained from their owners.
template <class M>
void gather_values(Nccl& gpus, const ParameterOwners& owners, M& model) {
  gpus.together([&] {
    nn::for_each_parameter(model, [&]<class T>(const std::string& name, Parameter<T, Cuda>& parameter) {
      if (!parameter.requires_grad()) return;
      // The owner's are read alone, and do not count as changed.
      const Tensor<T, Cuda>& value = parameter.value();
      gpus.broadcast(owners.is_own(name) ? Vec<T>{const_cast<T*>(value.vec().data), value.size()}
                                         : parameter.value().mutable_vec(),
                     owners.owner(name));
    });
  });
}

/// The sum of the squares of all gradients, of which each process has its own parameters', in two parts: for
/// Optimizer::step.
inline Tensor<double, Cuda> sums_of_squares(Nccl& gpus, const ParameterGroups<Cuda>& own) {
  // What a process has is one part or two; it does not matter which is which.
  const Tensor<double, Cuda> parts = own.sums_of_squares();
  auto sums = Tensor<double, Cuda>::zeros({2});
  Cuda::copy(sums.mutable_vec().data, parts.vec().data,
             static_cast<std::size_t>(parts.size()) * sizeof(double));
  gpus.all_reduce(sums.mutable_vec());
  return sums;
}

/// On GPUs: by NCCL, on the stream that the step's kernels are on.
template <>
class Exchange<Cuda> {
 public:
  static constexpr bool is_possible = true;

  /// Processes that share the optimiser have `owners`. Throws what Nccl does.
  template <class M>
  Exchange(const M&, Communicator& processes, const ParameterOwners* owners, bool as_bfloat16)
      : gpus_(processes), shared_(owners), as_bfloat16_(as_bfloat16) {}

  template <class M>
  void sum_gradients(M& model) {
    const auto sum = [&]<class Exchanged>(Exchanged) {
      if (shared_) return sum_own_gradients<Exchanged>(gpus_, *shared_, model);
      cria::sum_gradients<Exchanged>(gpus_, model);
    };
    as_bfloat16_ ? sum(bfloat16()) : sum(float());
  }
  Tensor<double, Cuda> sums_of_squares(const ParameterGroups<Cuda>& own) {
    return cria::sums_of_squares(gpus_, own);
  }
  template <class M>
  void gather_values(M& model) {
    cria::gather_values(gpus_, *shared_, model);
  }

 private:
  Nccl gpus_;
  const ParameterOwners* shared_;
  bool as_bfloat16_;
};

}  // namespace cria

#endif
