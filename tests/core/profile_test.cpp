#include "cria/core/profile.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/ops/elementwise.hpp"
#include "cria/ops/reduce.hpp"

BOOST_AUTO_TEST_SUITE(core)
BOOST_AUTO_TEST_SUITE(profile)

namespace {

using namespace cria;

std::vector<std::string> operations(const Profile& profile) {
  std::vector<std::string> names;
  for (const auto& [name, times] : profile.times()) names.push_back(name);
  return names;
}

}  // namespace

BOOST_AUTO_TEST_CASE(operations_are_counted_and_timed_in_both_directions) {
  Profile profile;
  const auto x = Tensor<float>::full({1000}, 2.0f).set_requires_grad();
  {
    const ProfileScope scope(profile);
    backward(sum(exp(x) * exp(x)));
  }
  square(x);  // after the scope: not counted
  BOOST_TEST((operations(profile) == std::vector<std::string>{"exp", "multiply", "sum"}));
  const auto times = profile.times();
  BOOST_TEST(times.at("exp").calls == 2);
  BOOST_TEST(times.at("multiply").calls == 1);
  BOOST_TEST(times.at("exp").forward > 0);
  BOOST_TEST(times.at("exp").backward > 0);
}

BOOST_AUTO_TEST_CASE(scopes_of_one_profile_add_up) {
  Profile profile;
  const auto x = Tensor<float>::scalar(2.0f);
  double first = 0;
  for (int scope = 1; scope <= 2; ++scope) {
    {
      const ProfileScope timed(profile);
      square(x);
    }
    const auto times = profile.times().at("square");
    BOOST_TEST(times.calls == scope);
    BOOST_TEST(times.forward > first);
    first = times.forward;
  }
}

BOOST_AUTO_TEST_CASE(an_inner_scope_keeps_its_operations_from_the_outer_one) {
  Profile outer, inner;
  const auto x = Tensor<float>::scalar(2.0f);
  {
    const ProfileScope scope(outer);
    square(x);
    {
      const ProfileScope nested(inner);
      exp(x);
    }
    log(x);
  }
  BOOST_TEST((operations(outer) == std::vector<std::string>{"log", "square"}));
  BOOST_TEST((operations(inner) == std::vector<std::string>{"exp"}));
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
