// The provider of products that programs on processors with AMX have (CRIA_ONEDNN).
#include "cria/backend/cpu/gemm_onednn.hpp"

#ifdef CRIA_ONEDNN

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/backend/cpu/gemm.hpp"
#include "cria/core/random.hpp"
#include "support/compare.hpp"

BOOST_AUTO_TEST_SUITE(backend)
BOOST_AUTO_TEST_SUITE(cpu)
BOOST_AUTO_TEST_SUITE(onednn)

namespace {

using namespace cria;

template <class T>
std::vector<T> normals(std::int64_t size, Rng& rng) {
  std::vector<T> x(static_cast<std::size_t>(size));
  for (T& value : x) value = static_cast<T>(static_cast<acc_t<T>>(rng.normal()));
  return x;
}

template <class T, class C>
void check_products() {
  Rng rng(1);
  constexpr std::int64_t m = 20, n = 50, k = 33;
  const auto a = normals<T>(m * k, rng), b = normals<T>(k * n, rng);
  const auto before = normals<C>(m * n, rng);
  for (const bool a_transposed : {false, true}) {
    for (const bool b_transposed : {false, true}) {
      for (const bool accumulate : {false, true}) {
        const auto left =
            a_transposed ? transposed(Rows<const T>{a.data(), k, m}) : plain(Rows<const T>{a.data(), m, k});
        const auto right =
            b_transposed ? transposed(Rows<const T>{b.data(), n, k}) : plain(Rows<const T>{b.data(), k, n});
        auto got = before, want = before;
        cria::cpu::onednn::gemm(left, right, accumulate, Rows<C>{got.data(), m, n});
        cria::cpu::detail::multiply<T, C>(
            left, right,
            {want.data(), n, 1, n, cria::cpu::itself_if(accumulate, Rows<C>{want.data(), m, n})});
        cria::test::Values of_onednn, of_cria;
        for (const C value : got) of_onednn.push_back(cria::test::to_double(value));
        for (const C value : want) of_cria.push_back(cria::test::to_double(value));
        cria::test::check_close("product of " + std::string(dtype_name<T>), of_onednn, of_cria,
                                cria::test::tolerance<C>(k));
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(products_are_those_of_cria) {
  check_products<float, float>();
#ifdef __AVX512BF16__  // elsewhere it imitates bfloat16 or refuses it
  check_products<bfloat16, bfloat16>();
  check_products<bfloat16, float>();
#endif
}

BOOST_AUTO_TEST_CASE(it_multiplies_what_it_has_amx_for) {
  const bool has_amx = cria::cpu::onednn::has_amx();
  BOOST_TEST((cria::cpu::library_product<bfloat16, bfloat16> != nullptr) == has_amx);
  BOOST_TEST((cria::cpu::library_product<float, float> == nullptr));
  BOOST_TEST(cria::cpu::gemm_library<bfloat16>().starts_with(has_amx ? "oneDNN" : "cria"));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()

#endif
