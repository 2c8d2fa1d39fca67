#pragma once
/// Matrix products by oneDNN, which multiplies bfloat16 by AMX. gemm.hpp includes it where CRIA_ONEDNN is
/// defined (CMake's option of that name).

#ifdef CRIA_ONEDNN

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/backend/cpu/parallel.hpp"
#include "cria/core/dtype.hpp"
#include "cria/core/operand.hpp"

namespace cria::cpu::onednn {

/// Whether oneDNN multiplies bfloat16 by AMX here.
inline bool has_amx() {
  return dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
}

/// "oneDNN 2.6 (AMX)".
inline std::string description() {
  const dnnl_version_t* version = dnnl_version();
  return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + " (AMX)";
}

namespace detail {

template <class T>
inline constexpr dnnl::memory::data_type data_type =
    std::is_same_v<T, float> ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;

/// All that a prepared product depends on.
struct Key {
  std::int64_t rows, columns, depth;
  bool a_transposed, b_transposed, accumulate;
  dnnl::memory::data_type operands, result;
  int threads;

  // clang-tidy 14 takes a zero inside of the comparison for a pointer.
  friend auto operator<=>(const Key&, const Key&) = default;  // NOLINT(modernize-use-nullptr)
};

inline const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

/// A product that oneDNN has generated code for; its operands are set for each call.
class Product {
 public:
  explicit Product(const Key& key) : Product(key, descriptor(key)) {}

  void run(void* a, void* b, void* c) {
    static thread_local dnnl::stream stream(engine());
    a_.set_data_handle(a);
    b_.set_data_handle(b);
    c_.set_data_handle(c);
    scratch_.set_data_handle(scratch_memory(scratch_bytes_));
    primitive_.execute(stream, arguments_);
    stream.wait();
  }

 private:
  Product(const Key& key, const dnnl::matmul::primitive_desc& chosen)
      : primitive_(chosen),
        scratch_bytes_(static_cast<std::int64_t>(chosen.scratchpad_desc().get_size())),
        a_(left(key), engine(), nullptr),
        b_(right(key), engine(), nullptr),
        c_(result(key), engine(), nullptr),
        scratch_(chosen.scratchpad_desc(), engine(), nullptr),
        arguments_{
            {DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, c_}, {DNNL_ARG_SCRATCHPAD, scratch_}} {
  }

  /// Memory to work in, one for all products of a thread.
  static void* scratch_memory(std::int64_t bytes) {
    static thread_local std::unique_ptr<Scratch<char>> memory;
    static thread_local std::int64_t size = 0;
    if (bytes > size) {
      memory.reset();
      memory = std::make_unique<Scratch<char>>(bytes);
      size = bytes;
    }
    return memory ? memory->data() : nullptr;
  }

  static dnnl::memory::desc matrix(std::int64_t rows, std::int64_t columns, bool transposed,
                                   dnnl::memory::data_type type) {
    const dnnl::memory::dims strides =
        transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1};
    return {{rows, columns}, type, strides};
  }
  static dnnl::memory::desc left(const Key& k) { return matrix(k.rows, k.depth, k.a_transposed, k.operands); }
  static dnnl::memory::desc right(const Key& k) {
    return matrix(k.depth, k.columns, k.b_transposed, k.operands);
  }
  static dnnl::memory::desc result(const Key& k) { return matrix(k.rows, k.columns, false, k.result); }

  static dnnl::matmul::primitive_desc descriptor(const Key& key) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (key.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), left(key), right(key), result(key), attributes};
#else
    return {{left(key), right(key), result(key)}, attributes, engine()};
#endif
  }

  dnnl::matmul primitive_;
  std::int64_t scratch_bytes_;
  dnnl::memory a_, b_, c_, scratch_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace detail

/// c = a b, or c += a b if `accumulate`, summed in float. Called inside a parallel region it stays on its
/// thread.
template <class T, class C>
void gemm(Operand<T> a, Operand<T> b, bool accumulate, Rows<C> c) {
  // Products are prepared once a thread: they hold the operands' addresses, so threads cannot share them.
  static thread_local std::map<detail::Key, detail::Product> products;
  const detail::Key key{c.rows,
                        c.cols,
                        a.cols(),
                        a.is_transposed,
                        b.is_transposed,
                        accumulate,
                        detail::data_type<T>,
                        detail::data_type<C>,
                        available_threads()};
  const FixedThreads guard;  // oneDNN prepares a product for as many as OpenMP promises
  const auto found = products.try_emplace(key, key).first;
  found->second.run(const_cast<T*>(a.matrix.data), const_cast<T*>(b.matrix.data), c.data);
}

namespace detail {
/// Once in a program, before main.
inline const bool provided = [] {
  if (has_amx()) {
    library_description = &description;
    library_product<bfloat16, bfloat16> = &onednn::gemm<bfloat16, bfloat16>;
    library_product<bfloat16, float> = &onednn::gemm<bfloat16, float>;
  }
  return true;
}();
}  // namespace detail

}  // namespace cria::cpu::onednn

#endif
