#pragma once
/// Derivatives by finite differences, as the library offers them to tests of its users.

#include "cria/testing/gradcheck.hpp"
#include "support/compare.hpp"

namespace cria::test {

using cria::testing::along;
using cria::testing::directions;
using cria::testing::finite_differences;

}  // namespace cria::test
