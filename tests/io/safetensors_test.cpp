#include "cria/io/safetensors.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "cria/core/random.hpp"
#include "cria/cria.hpp"
#include "cria/io/state.hpp"
#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(safetensors)

namespace {

using namespace cria::io;
using cria::bfloat16;
using cria::ConfigError;
using cria::FileError;
using cria::float16;
using cria::Shape;
using cria::test::error_message;
using cria::test::TemporaryDirectory;

template <class T>
TensorView view(std::string name, Shape shape, const std::vector<T>& values) {
  return {std::move(name), std::string(safetensors_dtype<T>), shape, std::as_bytes(std::span(values))};
}

template <class T>
std::vector<T> values_of(const TensorView& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// The bytes of a file with this header and this many bytes of data.
std::string file_of(const std::string& header, std::size_t data_size) {
  const std::uint64_t size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  return file + header + std::string(data_size, 'd');
}

// What the reader says about a file of these bytes, without the path.
std::string refusal(const std::string& contents) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.safetensors";
  OutputFile file(path);
  file.write(contents);
  file.close();
  const std::string message = error_message<FileError>([&] { SafetensorsFile read(path); });
  return message.starts_with(path + ": ") ? message.substr(path.size() + 2) : message;
}

std::string refusal(const std::string& header, std::size_t data_size) {
  return refusal(file_of(header, data_size));
}

// A header of one tensor "a".
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

// A header of F32 tensors named by one letter each, from a list of offsets.
std::string layout(const std::vector<std::pair<int, int>>& ranges) {
  nlohmann::json header = nlohmann::json::object();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto [begin, end] = ranges[i];
    header[std::string(1, static_cast<char>('a' + i))] = {
        {"dtype", "F32"}, {"shape", {(end - begin) / 4}}, {"data_offsets", {begin, end}}};
  }
  return header.dump();
}

const std::string nothing_thrown = "(nothing thrown)";

}  // namespace

BOOST_AUTO_TEST_CASE(every_dtype_survives_a_round_trip) {
  const TemporaryDirectory folder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> singles{1.5f, -0.0f, 1e-45f, nan, 3.0f, -4.0f};
  const std::vector<double> doubles{1.0 / 3.0, -1e300};
  const std::vector<bfloat16> brains{bfloat16(1.0f), bfloat16(nan), bfloat16(-3.5f)};
  const std::vector<float16> halves{float16(65504.0f), float16(6e-8f)};
  const std::vector<std::int32_t> integers{-1, 2'147'483'647, 0, 7};
  const std::vector<float> none;
  const std::vector<float> scalar{8.25f};
  const std::vector<TensorView> written{
      view("model.weight", {2, 3}, singles),
      view("doubles", {1, 2, 1}, doubles),
      view("brains", {3}, brains),
      view("halves", {2}, halves),
      view("integers", {2, 2}, integers),
      view("none", {0, 5}, none),
      view("scalar", {}, scalar),
  };
  write_safetensors(folder / "a", written, {{"format", "pt"}, {"quote", "\"\n\u00e9"}});

  const SafetensorsFile file(folder / "a");
  BOOST_REQUIRE_EQUAL(file.tensors().size(), written.size());
  for (const TensorView& expected : written) {
    BOOST_TEST_CONTEXT(expected.name) {
      const TensorView* const found = file.find(expected.name);
      BOOST_REQUIRE(found != nullptr);
      BOOST_TEST(found->name == expected.name);
      BOOST_TEST(found->dtype == expected.dtype);
      BOOST_TEST(found->shape == expected.shape);
    }
  }
  const auto equal_bits = [](const auto& a, const auto& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
  };
  BOOST_TEST(equal_bits(values_of<float>(*file.find("model.weight")), singles));
  BOOST_TEST(equal_bits(values_of<double>(*file.find("doubles")), doubles));
  BOOST_TEST(equal_bits(values_of<bfloat16>(*file.find("brains")), brains));
  BOOST_TEST(equal_bits(values_of<float16>(*file.find("halves")), halves));
  BOOST_TEST(equal_bits(values_of<std::int32_t>(*file.find("integers")), integers));
  BOOST_TEST(values_of<float>(*file.find("scalar")).at(0) == 8.25f);
  BOOST_TEST(file.find("absent") == nullptr);
  BOOST_TEST(
      (file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"quote", "\"\n\u00e9"}}));
}

BOOST_AUTO_TEST_CASE(the_bytes_of_a_small_file_are_as_the_format_says) {
  const TemporaryDirectory folder;
  write_safetensors(folder / "a", std::vector{view("w", {1, 2}, std::vector{1.0f, -2.0f})});
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  BOOST_TEST(header.size() % 8 != 0u);  // or this would not show the padding
  const std::string padded = header + std::string(8 - header.size() % 8, ' ');
  const std::string size{static_cast<char>(padded.size()), 0, 0, 0, 0, 0, 0, 0};
  const std::string data("\0\0\x80\x3f\0\0\0\xc0", 8);
  BOOST_TEST((read_file(folder / "a") == size + padded + data));
}

BOOST_AUTO_TEST_CASE(tensors_are_written_in_the_given_order_and_listed_in_the_order_of_their_bytes) {
  const TemporaryDirectory folder;
  const std::vector<float> values{1, 2, 3};
  write_safetensors(folder / "a", std::vector{view("z", {3}, values), view("a", {1, 3}, values),
                                              view("m", {3, 1}, values)});
  const SafetensorsFile file(folder / "a");
  BOOST_TEST(file.tensors().at(0).name == "z");
  BOOST_TEST(file.tensors().at(1).name == "a");
  BOOST_TEST(file.tensors().at(2).name == "m");
  const std::string bytes = read_file(folder / "a");
  BOOST_TEST(bytes.find("\"z\"") < bytes.find("\"a\""));
  BOOST_TEST((bytes.size() - 3 * 12) % 8 == 0u);
}

BOOST_AUTO_TEST_CASE(a_file_without_tensors_is_allowed) {
  const TemporaryDirectory folder;
  write_safetensors(folder / "a", {}, {});
  const SafetensorsFile file(folder / "a");
  BOOST_TEST(file.tensors().empty());
  BOOST_TEST(file.metadata().empty());
  BOOST_TEST(refusal("{}", 0) == nothing_thrown);
}

BOOST_AUTO_TEST_CASE(a_file_stays_readable_after_it_is_moved) {
  const TemporaryDirectory folder;
  write_safetensors(folder / "a", std::vector{view("w", {2}, std::vector{5.0f, 6.0f})});
  SafetensorsFile file(folder / "a");
  const SafetensorsFile moved = std::move(file);
  BOOST_TEST(values_of<float>(*moved.find("w")).at(1) == 6.0f);
}

BOOST_AUTO_TEST_CASE(headers_that_other_writers_make_are_read) {
  BOOST_TEST(refusal(entry(R"("F32")", "[2]", "[0,8]") + "      ", 8) == nothing_thrown);  // padded
  BOOST_TEST(refusal("{ \"a\" :\n" + entry(R"("I8")", "[3]", "[0,3]").substr(5), 3) ==
             nothing_thrown);  // unaligned
  BOOST_TEST(refusal(layout({{8, 12}, {0, 8}, {8, 8}}), 12) ==
             nothing_thrown);  // any order, an empty one between
  for (const std::string dtype : {"BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"}) {
    BOOST_TEST(refusal(entry('"' + dtype + '"', "[2]", "[0,2]"), 2) == nothing_thrown);
  }
  for (const std::string dtype : {"U16", "I16", "F16", "BF16"}) {
    BOOST_TEST(refusal(entry('"' + dtype + '"', "[2]", "[0,4]"), 4) == nothing_thrown);
  }
  for (const std::string dtype : {"U32", "I32", "F32"}) {
    BOOST_TEST(refusal(entry('"' + dtype + '"', "[2]", "[0,8]"), 8) == nothing_thrown);
  }
  for (const std::string dtype : {"U64", "I64", "F64"}) {
    BOOST_TEST(refusal(entry('"' + dtype + '"', "[2]", "[0,16]"), 16) == nothing_thrown);
  }
}

BOOST_AUTO_TEST_CASE(files_that_are_too_short_or_claim_too_much_are_refused) {
  BOOST_TEST(refusal("") == "is 0 bytes long; a safetensors file has at least 8");
  BOOST_TEST(refusal("1234567") == "is 7 bytes long; a safetensors file has at least 8");
  BOOST_TEST(refusal(file_of("{}", 0).substr(0, 9)) == "its header claims 2 bytes, but only 1 follow");
  BOOST_TEST(refusal(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)) ==
             "its header claims 100000001 bytes; at most 100000000 are allowed");
  BOOST_TEST(refusal(std::string("\x00\xe1\xf5\x05\0\0\0\0{}", 10)) ==
             "its header claims 100000000 bytes, but only 2 follow");
  BOOST_TEST(refusal(std::string(8, '\xff') + "{}") ==
             "its header claims 18446744073709551615 bytes; at most 100000000 are allowed");
}

BOOST_AUTO_TEST_CASE(headers_that_are_no_json_object_are_refused) {
  BOOST_TEST(refusal("", 0) == "its header does not start with '{'");
  BOOST_TEST(refusal(" {}", 0) == "its header does not start with '{'");
  BOOST_TEST(refusal("[]", 0) == "its header does not start with '{'");
  const std::string invalid = "its header is not valid UTF-8 JSON";
  BOOST_TEST(refusal("{", 0) == invalid);
  BOOST_TEST(refusal("{}}", 0) == invalid);
  BOOST_TEST(refusal("{\"a\":1,}", 0) == invalid);
  BOOST_TEST(refusal("{\"\xff\":{}}", 0) == invalid);
  BOOST_TEST(refusal("{\"a\":1e999}", 0) == invalid);
  BOOST_TEST(refusal(std::string("{}\0", 3), 0) == invalid);
  BOOST_TEST(refusal(std::string("{}\0garbage", 10), 0) == invalid);
  BOOST_TEST(refusal("{\"a\":" + std::string(1'000'000, '['), 0) ==
             "its header is nested deeper than a tensor's shape");
  BOOST_TEST(refusal(R"({"a":{"b":{"c":{}}}})", 0) == "its header is nested deeper than a tensor's shape");
}

BOOST_AUTO_TEST_CASE(repeated_keys_are_refused) {
  const std::string a = entry(R"("F32")", "[1]", "[0,4]");
  BOOST_TEST(refusal(a.substr(0, a.size() - 1) + "," + a.substr(1), 4) ==
             "its header has the key \"a\" twice");
  BOOST_TEST(refusal(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4) ==
             "its header has the key \"dtype\" twice");
  BOOST_TEST(refusal(R"({"__metadata__":{"x\n":"1","x\n":"2"}})", 0) ==
             "its header has the key \"x\\n\" twice");
}

BOOST_AUTO_TEST_CASE(entries_with_wrong_fields_are_refused) {
  BOOST_TEST(refusal(R"({"a":[]})", 0) == "tensor \"a\": its entry is not an object");
  BOOST_TEST(refusal(R"({"a\n":1})", 0) == "tensor \"a\\n\": its entry is not an object");
  BOOST_TEST(refusal(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4) ==
             "tensor \"a\": the field \"dtype\" is missing");
  BOOST_TEST(refusal(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4) ==
             "tensor \"a\": the field \"shape\" is missing");
  BOOST_TEST(refusal(R"({"a":{"dtype":"F32","shape":[1],"offsets":[0,4]}})", 4) ==
             "tensor \"a\": the field \"data_offsets\" is missing");
  BOOST_TEST(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":0}})", 4) ==
             "tensor \"a\": the field \"extra\" is unknown");
  BOOST_TEST(refusal(entry("32", "[1]", "[0,4]"), 4) == "tensor \"a\": its dtype is not a string");
  BOOST_TEST(refusal(entry(R"("F31")", "[1]", "[0,4]"), 4) == "tensor \"a\": the dtype \"F31\" is unknown");
  BOOST_TEST(refusal(entry(R"("")", "[1]", "[0,4]"), 4) == "tensor \"a\": the dtype \"\" is unknown");
  const std::string not_a_shape = "tensor \"a\": its shape is not a list of non-negative integers";
  for (const char* shape : {"1", "{}", "[1.0]", "[\"1\"]", "[-1]", "[null]", "[99999999999999999999]"}) {
    BOOST_TEST(refusal(entry(R"("F32")", shape, "[0,4]"), 4) == not_a_shape);
  }
  const std::string no_offsets = "tensor \"a\": its data_offsets is not a list of non-negative integers";
  for (const char* offsets : {"4", "[0,4.0]", "[-4,0]", "[false,4]"}) {
    BOOST_TEST(refusal(entry(R"("F32")", "[1]", offsets), 4) == no_offsets);
  }
  for (const char* offsets : {"[]", "[0]", "[0,4,4]"}) {
    BOOST_TEST(refusal(entry(R"("F32")", "[1]", offsets), 4) ==
               "tensor \"a\": its data_offsets are not two numbers");
  }
}

BOOST_AUTO_TEST_CASE(shapes_that_are_too_large_are_refused) {
  BOOST_TEST(refusal(entry(R"("F32")", "[1,1,1,1,1,1]", "[0,4]"), 4) == nothing_thrown);
  BOOST_TEST(refusal(entry(R"("F32")", "[1,1,1,1,1,1,1]", "[0,4]"), 4) ==
             "tensor \"a\": it has 7 dimensions; at most 6 are allowed");
  const std::string overflow = "tensor \"a\": the product of its dimensions does not fit in 63 bits";
  for (const char* shape : {"[4294967296,4294967296]", "[2305843009213693952]", "[18446744073709551615]",
                            "[0,4294967296,4294967296]", "[4294967296,4294967296,0]"}) {
    BOOST_TEST(refusal(entry(R"("F32")", shape, "[0,0]"), 0) == overflow);
  }
}

BOOST_AUTO_TEST_CASE(offsets_that_do_not_fit_are_refused) {
  BOOST_TEST(refusal(entry(R"("F32")", "[1]", "[4,0]"), 4) ==
             "tensor \"a\": its data_offsets [4, 0] are reversed");
  BOOST_TEST(refusal(entry(R"("F32")", "[2]", "[0,8]"), 4) ==
             "tensor \"a\": its data_offsets [0, 8] lie beyond the file's 4 bytes of data");
  BOOST_TEST(refusal(entry(R"("F32")", "[1]", "[18446744073709551612,18446744073709551615]"), 4) ==
             "tensor \"a\": its data_offsets [18446744073709551612, 18446744073709551615] lie beyond the "
             "file's 4 bytes of data");
  BOOST_TEST(refusal(entry(R"("F64")", "[2,3]", "[0,24]"), 24) ==
             "tensor \"a\": its data_offsets [0, 24] hold 24 bytes, but [2, 3] of F64 needs 48");
}

BOOST_AUTO_TEST_CASE(overlaps_and_holes_are_refused) {
  BOOST_TEST(refusal(layout({{0, 8}, {8, 12}}), 12) == nothing_thrown);
  BOOST_TEST(refusal(layout({{0, 8}, {4, 12}}), 12) == "tensors \"a\" and \"b\" overlap");
  BOOST_TEST(refusal(layout({{0, 8}, {0, 8}}), 8) == "tensors \"a\" and \"b\" overlap");
  BOOST_TEST(refusal(layout({{0, 8}, {4, 4}}), 8) == "tensors \"a\" and \"b\" overlap");
  BOOST_TEST(refusal(layout({{4, 8}}), 8) ==
             "bytes 0 to 4 of the data, before tensor \"a\", belong to no tensor");
  BOOST_TEST(refusal(layout({{0, 4}, {12, 16}}), 16) ==
             "bytes 4 to 12 of the data, before tensor \"b\", belong to no tensor");
  BOOST_TEST(refusal(layout({{0, 4}}), 7) == "the last 3 bytes of the data belong to no tensor");
  BOOST_TEST(refusal("{}", 1) == "the last 1 bytes of the data belong to no tensor");
}

BOOST_AUTO_TEST_CASE(metadata_that_is_not_strings_is_refused) {
  BOOST_TEST(refusal(R"({"__metadata__":{}})", 0) == nothing_thrown);
  BOOST_TEST(refusal(R"({"__metadata__":["format"]})", 0) == "__metadata__ is not an object of strings");
  BOOST_TEST(refusal(R"({"__metadata__":null})", 0) == "__metadata__ is not an object of strings");
  BOOST_TEST(refusal(R"({"__metadata__":{"format":1}})", 0) ==
             "__metadata__: the value of \"format\" is not a string");
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_refused) {
  BOOST_TEST(error_message<FileError>([] { SafetensorsFile file("no/such.safetensors"); }) ==
             "no/such.safetensors: cannot be opened: No such file or directory");
}

BOOST_AUTO_TEST_CASE(the_writer_refuses_what_the_reader_would) {
  const TemporaryDirectory folder;
  const std::vector<float> one{1.0f};
  const auto message = [&](const std::vector<TensorView>& tensors) {
    return error_message<ConfigError>([&] { write_safetensors(folder / "a", tensors); });
  };
  BOOST_TEST(message({view("w", {1}, one), view("w", {1}, one)}) ==
             "safetensors: tensor \"w\": the name is given twice");
  BOOST_TEST(message({view("__metadata__", {1}, one)}) ==
             "safetensors: tensor \"__metadata__\": the name is reserved");
  BOOST_TEST(message({view("w", {2, 3}, one)}) ==
             "safetensors: tensor \"w\": it has 4 bytes, but [2, 3] of F32 needs 24");
  BOOST_TEST(message({{"w", "float", {1}, std::as_bytes(std::span(one))}}) ==
             "safetensors: tensor \"w\": the dtype \"float\" is unknown");
  BOOST_TEST(message({view("\xff", {1}, one)}) ==
             "safetensors: a tensor's name or the metadata is not valid UTF-8");
  BOOST_TEST(!std::filesystem::exists(folder / "a"));
  BOOST_TEST(error_message<FileError>([&] {
               write_safetensors(folder / "b/c", std::vector{view("w", {1}, one)});
             }) == (folder / "b/c").string() + ": cannot be written: No such file or directory");
}

BOOST_AUTO_TEST_CASE(two_thousand_damaged_files_are_read_or_refused_but_never_crash) {
  const TemporaryDirectory folder;
  const std::vector<float> singles{1, 2, 3, 4, 5, 6};
  const std::vector<bfloat16> brains(8, bfloat16(1.0f));
  const std::vector<double> doubles{1, 2};
  write_safetensors(folder / "valid", std::vector{view("model.embed_tokens.weight", {2, 3}, singles),
                                                  view("model.norm.weight", {2, 1, 4}, brains),
                                                  view("lm_head.weight", {1, 2}, doubles)});
  const std::string valid = read_file(folder / "valid");
  const std::size_t header_end = valid.size() - 56;
  cria::Rng rng(20240607);
  int refused = 0, read = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = valid;
    const auto position = [&] { return static_cast<std::size_t>(rng.below(bytes.size() + 1)); };
    switch (rng.below(4)) {
      case 0:  // flipped bits, most of them in the header
        for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips) {
          char& byte = bytes[rng.below(4) > 0 ? rng.below(header_end) : rng.below(bytes.size())];
          byte = static_cast<char>(byte ^ (1 << rng.below(8)));
        }
        break;
      case 1:  // cut off
        bytes.resize(position());
        break;
      case 2:  // a piece of the file put in or over another place
        bytes.replace(position(), rng.below(20), valid.substr(rng.below(valid.size()), rng.below(40)));
        break;
      default:  // a digit changed, so that the header stays JSON
        for (std::size_t at = position();; at = (at + 1) % bytes.size()) {
          if (at >= 8 && at < header_end && bytes[at] >= '0' && bytes[at] <= '9') {
            bytes[at] = static_cast<char>('0' + rng.below(10));
            break;
          }
        }
    }
    std::filesystem::remove(
        folder / "damaged");  // a new file is quicker than emptying one: nothing waits for the disk
    OutputFile damaged(folder / "damaged");
    damaged.write(bytes);
    damaged.close();
    try {
      const SafetensorsFile file(folder / "damaged");
      std::uint32_t checksum = 0;  // touches every byte, so that one outside the file is noticed
      for (const TensorView& tensor : file.tensors()) checksum = crc32(tensor.bytes, checksum);
      ++read;
    } catch (const FileError&) {
      ++refused;
    }
  }
  // Damage to data or to a name is not visible; nearly all the rest is.
  BOOST_TEST(refused > 1200);
  BOOST_TEST(read > 100);
}

template <class T>
void check_saved_and_loaded(const std::string& path, const std::vector<T>& values) {
  const auto saved = cria::Tensor<T>::from({values.size()}, values);
  save_state(path, {cria::named_tensor("x", saved)});
  const auto loaded = cria::Tensor<T>::zeros({values.size()});
  load_state(path, {cria::named_tensor("x", loaded)});
  BOOST_TEST((loaded.to_vector() == values));
}

BOOST_AUTO_TEST_CASE(integers_of_every_size_are_saved_and_loaded) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x.safetensors";
  check_saved_and_loaded<std::int8_t>(path, {-128, 127});
  check_saved_and_loaded<std::int16_t>(path, {-32768, 5});
  check_saved_and_loaded<std::int32_t>(path, {1, -2, 3});
  check_saved_and_loaded<std::int64_t>(path, {std::int64_t{1} << 40, -1, 0});
  check_saved_and_loaded<std::uint8_t>(path, {0, 255});
}

BOOST_AUTO_TEST_CASE(one_tensor_is_read_as_the_type_that_is_asked_for) {
  const TemporaryDirectory folder;
  const std::vector<double> doubles{1.5, -2, 3, 4};
  const std::vector<bfloat16> brains{bfloat16(1.5f)};
  const std::vector<std::int64_t> integers{7, std::int64_t{1} << 40};
  const std::vector<std::uint8_t> bytes{0, 1};
  const std::vector<TensorView> written{view("doubles", {2, 2}, doubles),
                                        view("brains", {}, brains),
                                        view("integers", {2}, integers),
                                        {"masks", "BOOL", {2}, std::as_bytes(std::span(bytes))},
                                        {"words", "U16", {1}, std::as_bytes(std::span(bytes))},
                                        {"eighths", "F8_E4M3", {2}, std::as_bytes(std::span(bytes))}};
  write_safetensors(folder / "a", written);
  const SafetensorsFile file(folder / "a");
  BOOST_TEST(file.read<float>("doubles").shape() == (Shape{2, 2}));
  BOOST_TEST((file.read<float>("doubles").to_vector() == std::vector<float>{1.5f, -2, 3, 4}));
  BOOST_TEST((file.read<double>("doubles").to_vector() == doubles));
  BOOST_TEST(file.read<float>("brains").item() == 1.5f);
  BOOST_TEST((file.read<std::int64_t>("integers").to_vector() == integers));
  BOOST_TEST((file.read<bool>("masks").to_vector() == std::vector<bool>{false, true}));
  BOOST_TEST(file.read<std::int32_t>("words").item() == 256);
  const auto message = [&]<class T>(T, const std::string& name) {
    return error_message<FileError>([&] { file.read<T>(name); });
  };
  const std::string path = (folder / "a").string();
  BOOST_TEST(message(0.0f, "absent") == path + ": has no tensor \"absent\"");
  BOOST_TEST(message(0, "doubles") ==
             path + ": tensor \"doubles\": its elements are float64; a tensor of int32 takes integers");
  BOOST_TEST(message(0, "integers") ==
             path +
                 ": tensor \"integers\": element 1 is 1099511627776, which a tensor of int32 does not hold");
  BOOST_TEST(message(0.0f, "eighths") ==
             path + ": tensor \"eighths\": its elements are F8_E4M3, which no tensor has");
}

BOOST_AUTO_TEST_CASE(shapes_that_no_tensor_has_are_refused_by_name) {
  BOOST_TEST(refusal(entry("\"U8\"", "[1152921504606846976]", "[0,1]"), 1) ==
             "tensor \"a\": Shape: [1152921504606846976] has more than 2^59 elements");
}

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
