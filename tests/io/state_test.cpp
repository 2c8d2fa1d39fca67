#include "cria/io/state.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "cria/nn/linear.hpp"
#include "cria/nn/module.hpp"
#include "cria/nn/sequential.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(state)

namespace {

using namespace cria;
using cria::test::TemporaryDirectory;
using Names = std::vector<std::string>;

Tensor<float> filled(const Shape& shape, float value) {
  return Tensor<float>::full(shape, value);
}

/// A file with tensors encoder.weight [2, 3] of 1, encoder.bias [2] of 2 and head [4] of 3.
struct Saved {
  TemporaryDirectory folder;
  std::string path = folder / "x.safetensors";
  Tensor<float> weight = filled({2, 3}, 0), bias = filled({2}, 0), other = filled({5}, 7);

  Saved() {
    cria::io::save_state(
        path, {named_tensor("encoder.weight", filled({2, 3}, 1)),
               named_tensor("encoder.bias", filled({2}, 2)), named_tensor("head", filled({4}, 3))});
  }
  std::string refusal(const std::vector<NamedTensor>& state, const cria::io::LoadOptions& options = {}) {
    return test::error_message<FileError>([&] { cria::io::load_state(path, state, options); });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_part_of_a_file_is_loaded_by_its_prefix, Saved) {
  const auto left = cria::io::load_state(path, {named_tensor("weight", weight), named_tensor("bias", bias)},
                                         {.prefix = "encoder."});
  BOOST_TEST((left.missing == Names{}));
  BOOST_TEST((left.unexpected == Names{}));
  BOOST_TEST((weight.to_vector() == std::vector<float>(6, 1)));
  BOOST_TEST((bias.to_vector() == std::vector<float>(2, 2)));
}

BOOST_FIXTURE_TEST_CASE(names_may_differ, Saved) {
  const auto rename = [](const std::string& name) { return name == "w" ? "weight" : "bias"; };
  cria::io::load_state(path, {named_tensor("w", weight), named_tensor("b", bias)},
                       {.prefix = "encoder.", .rename = rename});
  BOOST_TEST((weight.to_vector() == std::vector<float>(6, 1)));
  BOOST_TEST((bias.to_vector() == std::vector<float>(2, 2)));
}

BOOST_FIXTURE_TEST_CASE(what_is_left_over_is_told, Saved) {
  const auto left =
      cria::io::load_state(path, {named_tensor("other", other), named_tensor("encoder.weight", weight)},
                           {.allow_missing = true, .allow_unexpected = true});
  BOOST_TEST((left.missing == Names{"other"}));
  BOOST_TEST((left.unexpected == Names{"encoder.bias", "head"}));
  BOOST_TEST((weight.to_vector() == std::vector<float>(6, 1)));
  BOOST_TEST((other.to_vector() == std::vector<float>(5, 7)));
}

BOOST_FIXTURE_TEST_CASE(what_does_not_fit_is_named_and_nothing_is_loaded, Saved) {
  const auto at = path + ": ";
  BOOST_TEST(refusal({named_tensor("encoder.weight", weight), named_tensor("other", other)}) ==
             at + "has no tensor 'other', which is to be loaded");
  BOOST_TEST(
      refusal({named_tensor("weight", weight), named_tensor("other", other)}, {.prefix = "encoder."}) ==
      at + "has no tensor 'encoder.other', which is to be loaded into 'other'");
  BOOST_TEST(refusal({named_tensor("weight", weight)}, {.prefix = "encoder."}) ==
             at + "has a tensor 'encoder.bias', which has no place in what is loaded");
  BOOST_TEST(refusal({named_tensor("encoder.weight", weight), named_tensor("head", other)},
                     {.allow_missing = true, .allow_unexpected = true}) ==
             at + "its tensor 'head' has shape [4]; [5] is needed");
  BOOST_TEST((weight.to_vector() == std::vector<float>(6, 0)));
}

BOOST_FIXTURE_TEST_CASE(shards_with_an_index_are_read_as_one_file, Saved) {
  const std::string whole = folder / "model.safetensors";
  BOOST_TEST(cria::io::shard_path(whole, 1, 2) == folder / "model-00002-of-00002.safetensors");
  cria::io::save_state(cria::io::shard_path(whole, 0, 2), {named_tensor("bias", filled({2}, 2))});
  cria::io::save_state(cria::io::shard_path(whole, 1, 2), {named_tensor("weight", filled({2, 3}, 1))});
  cria::io::save_shard_index(whole, 2);
  cria::io::load_state(whole, {named_tensor("weight", weight), named_tensor("bias", bias)});
  BOOST_TEST((weight.to_vector() == std::vector<float>(6, 1)));
  BOOST_TEST((bias.to_vector() == std::vector<float>(2, 2)));
  const auto refusal = [&](const std::vector<NamedTensor>& state) {
    return test::error_message<FileError>([&] { cria::io::load_state(whole, state); });
  };
  BOOST_TEST(refusal({named_tensor("weight", weight), named_tensor("head", other)}) ==
             whole + ".index.json: has no tensor 'head', which is to be loaded");
  BOOST_TEST(
      refusal({named_tensor("weight", weight)}) ==
      folder / "model-00001-of-00002.safetensors: has a tensor 'bias', which has no place in what is loaded");
  BOOST_TEST(refusal({named_tensor("bias", bias), named_tensor("weight", other)}) ==
             folder /
                 "model-00002-of-00002.safetensors: its tensor 'weight' has shape [2, 3]; [5] is needed");
  cria::io::write_file(whole + ".index.json", R"({"weight_map": {"weight": "../x"}})");
  BOOST_TEST(refusal({named_tensor("weight", weight)}) ==
             whole + R"(.index.json: is no index of shards, {"weight_map": {"tensor": "file", ...}})");
  cria::io::write_file(whole + ".index.json", R"({"weight_map": {}})");
  BOOST_TEST(refusal({named_tensor("weight", weight)}) == whole + ".index.json: names no file");
}

BOOST_FIXTURE_TEST_CASE(a_tensor_in_two_shards_is_refused, Saved) {
  const std::string whole = folder / "model.safetensors";
  for (const int shard : {0, 1}) {
    cria::io::save_state(cria::io::shard_path(whole, shard, 2), {named_tensor("bias", filled({2}, 2))});
  }
  BOOST_TEST(
      test::error_message<FileError>([&] { cria::io::save_shard_index(whole, 2); }) ==
      folder / "model-00002-of-00002.safetensors: has a tensor 'bias', as model-00001-of-00002.safetensors");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
