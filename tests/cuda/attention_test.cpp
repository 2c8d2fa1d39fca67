// What tests/ops/attention_test.cpp cannot know: the tilings that the kernels have for different widths of a
// head, and the ways that memory is accessed.
#include "cria/ops/attention.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>

#ifdef CRIA_CUDA_EMULATION
#include "cuda_emulation/control.hpp"
#endif
#include "cria/backend/cuda/cuda.hpp"
#include "support/attention_kernel.hpp"
#include "support/error_message.hpp"
#include "support/op_case.hpp"

BOOST_AUTO_TEST_SUITE(cuda)
BOOST_AUTO_TEST_SUITE(attention)

namespace {

using namespace cria;
using cria::test::run_attention_kernel;
using cria::test::Spacing;
using Sizes = cria::test::AttentionSizes;
using Results = cria::test::AttentionResults;

template <class T>
void check(const Sizes& sizes, bool fresh) {
  const Results got = run_attention_kernel<T, Cuda>(sizes, fresh),
                want = run_attention_kernel<double, Cpu>(sizes, fresh);
  const std::string what = std::string(dtype_name<T>) + ", head_dim " + std::to_string(sizes.dim);
  const double forward = cria::test::tolerance<T>(sizes.keys + sizes.dim);
  const double backward = 4 * cria::test::tolerance<T>(sizes.heads * sizes.length + sizes.keys + sizes.dim);
  cria::test::check_close(what + ", y", got[0], want[0], forward);
  cria::test::check_close(what + ", log_sum", got[1], want[1],
                          cria::test::tolerance<acc_t<T>>(sizes.keys + sizes.dim));
  cria::test::check_close(what + ", dq", got[2], want[2], backward);
  cria::test::check_close(what + ", dk", got[3], want[3], backward);
  cria::test::check_close(what + ", dv", got[4], want[4], backward);
}

template <class T>
void check_widths() {
  bool fresh = true;
  for (const std::int64_t dim : {48, 50, 64, 65, 80, 96, 128}) {
    check<T>({1, 67, 133, 2, 1, dim}, fresh);
    fresh = !fresh;
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_bfloat16) {
  check_widths<bfloat16>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float16) {
  check_widths<float16>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float32) {
  check_widths<float>();
}
BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_float64) {
  check_widths<double>();
}

BOOST_AUTO_TEST_CASE(every_width_of_a_head_in_tf32) {
  // As float32, but what is multiplied has 10 bits of fraction, which is between those of bfloat16 and float16.
  cria::cuda::allow_tf32(true);
  bool fresh = true;
  for (const std::int64_t dim : {36, 48, 50, 64, 65, 80, 96, 128}) {
    for (const Sizes& sizes : {Sizes{1, 67, 133, 2, 1, dim}, Sizes{2, 40, 40, 4, 2, dim}}) {
      const Results got = run_attention_kernel<float, Cuda>(sizes, fresh),
                    want = run_attention_kernel<double, Cpu>(sizes, fresh);
      const char* const names[] = {"y", "log_sum", "dq", "dk", "dv"};
      for (std::size_t i = 0; i < 5; ++i) {
        const std::string what = std::string("tf32, head_dim ") + std::to_string(dim) + ", " + names[i];
        cria::test::check_close(
            what, got[i], want[i],
            cria::test::tolerance<float16>(sizes.heads * sizes.length + sizes.keys + dim));
      }
    }
    fresh = !fresh;
  }
  const Sizes sizes{1, 33, 33, 2, 1, 48};
  const Results rounded = run_attention_kernel<float, Cuda>(sizes, true);
  cria::cuda::allow_tf32(false);
  BOOST_TEST((run_attention_kernel<float, Cuda>(sizes, true) != rounded));
}

// Rows of whole packs of 16 bytes, of which the first or the others do not begin at a multiple of 16 or 8.
BOOST_AUTO_TEST_CASE(rows_may_be_apart) {
  const Sizes sizes{2, 40, 70, 4, 2, 16};
  const auto check_spacings = [&]<class T>(T) {
    for (const bool fresh : {true, false}) {
      const Results want = run_attention_kernel<T, Cuda>(sizes, fresh);
      for (const Spacing& spacing :
           {Spacing{0, 8}, Spacing{0, 4}, Spacing{0, 3}, Spacing{4, 0}, Spacing{1, 0}, Spacing{0, 3, 5},
            Spacing{0, 0, 3}}) {  // positions alone, sequences alone
        BOOST_TEST((run_attention_kernel<T, Cuda>(sizes, fresh, spacing) == want));
      }
    }
  };
  check_spacings(bfloat16{});
  check_spacings(float{});
}

BOOST_AUTO_TEST_CASE(too_wide_heads_are_refused) {
  const auto q = Tensor<float, Cuda>::zeros({1, 1, 1, 129});
  BOOST_TEST(cria::test::error_message<ShapeError>([&] { cria::attention(q, q, q); }) ==
             "attention: q.dim(3) = 129; on CUDA it may be at most 128");
}

#ifdef CRIA_CUDA_EMULATION
BOOST_AUTO_TEST_CASE(schedules_do_not_matter) {
  const Sizes sizes{2, 130, 150, 4, 2, 48};
  const Results want = run_attention_kernel<bfloat16, Cuda>(sizes, true);
  for (const auto order : {cuda_emulation::Order::reverse, cuda_emulation::Order::random}) {
    cuda_emulation::set_order(order, 3);
    const bool same = run_attention_kernel<bfloat16, Cuda>(sizes, true) == want;
    cuda_emulation::set_order(cuda_emulation::Order::forward);
    BOOST_TEST(same);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
