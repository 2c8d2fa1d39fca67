#include "cria/io/tokens.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "support/error_message.hpp"
#include "support/temporary_directory.hpp"

BOOST_AUTO_TEST_SUITE(io)
BOOST_AUTO_TEST_SUITE(tokens)

namespace {

using namespace cria::io;
using cria::ConfigError;
using cria::FileError;
using cria::Rng;
using cria::ShapeError;
using cria::test::error_message;
using cria::test::TemporaryDirectory;
using Ids = std::vector<std::uint16_t>;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// first, first + 1, ...
Ids counting(std::size_t count, std::uint16_t first = 0) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

Ids read(const TokenShard& shard) {
  return {shard.tokens().begin(), shard.tokens().end()};
}

std::string with_llm_c_header(std::int32_t token_count, const Ids& ids) {
  std::vector<std::int32_t> header(256);
  header[0] = 20240520;
  header[1] = 1;
  header[2] = token_count;
  return bytes_of(header) + bytes_of(ids);
}

struct Batch {
  std::vector<std::int32_t> inputs;
  std::vector<std::int32_t> targets;
  bool operator==(const Batch&) const = default;
};

/// Three shards of unequal size whose ids are all different: an input's first id names its window.
struct Fixture {
  static constexpr std::int64_t window = 4;
  static constexpr std::size_t windows_per_epoch = 6 + 1 + 3;

  Fixture() {
    for (const auto& [name, count, first] :
         {std::tuple{"a.bin", 31, 0}, {"b.bin", 8, 100}, {"c.bin", 16, 200}}) {
      write_file(directory / name,
                 bytes_of(counting(static_cast<std::size_t>(count), static_cast<std::uint16_t>(first))));
      shards.push_back(std::make_shared<TokenShard>(directory / name, 1000));
    }
  }

  TokenStream stream(std::uint64_t seed = 7) const { return TokenStream(shards, window, Rng(seed)); }

  static Batch next(TokenStream& stream, std::int64_t batch) {
    Batch result{std::vector<std::int32_t>(static_cast<std::size_t>(batch * window)),
                 std::vector<std::int32_t>(static_cast<std::size_t>(batch * window))};
    stream.next(batch, result.inputs, result.targets);
    return result;
  }

  /// The first ids of the next `count` windows.
  static std::vector<std::int32_t> next_windows(TokenStream& stream, std::size_t count) {
    std::vector<std::int32_t> windows;
    for (std::size_t i = 0; i < count; ++i) windows.push_back(next(stream, 1).inputs.front());
    return windows;
  }

  TemporaryDirectory directory;
  std::vector<std::shared_ptr<const TokenShard>> shards;
};

BOOST_AUTO_TEST_CASE(a_shard_is_little_endian_16_bit_ids) {
  const TemporaryDirectory directory;
  write_file(directory / "x.bin", std::string("\x01\x00\x02\x01\xff\xff", 6));
  BOOST_TEST(read(TokenShard(directory / "x.bin", 65536)) == (Ids{1, 258, 65535}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_header_of_llm_c_is_skipped) {
  const TemporaryDirectory directory;
  write_file(directory / "x.bin", with_llm_c_header(3, {5, 6, 7}));
  BOOST_TEST(read(TokenShard(directory / "x.bin", 8)) == (Ids{5, 6, 7}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_header_of_llm_c_must_agree_with_the_size_of_the_file) {
  const TemporaryDirectory directory;
  const std::string path = (directory / "x.bin").string();
  write_file(path, with_llm_c_header(4, {5, 6, 7}));
  BOOST_TEST(error_message<FileError>([&] { TokenShard(path, 8); }) ==
             path + ": has 1030 bytes, but its header names 4 tokens, which take 1032");
}

BOOST_AUTO_TEST_CASE(ids_that_look_like_the_magic_of_llm_c_alone_are_ids) {
  const TemporaryDirectory directory;
  Ids ids = counting(600);
  const std::int32_t magic = 20240520;
  std::memcpy(ids.data(), &magic, sizeof(magic));
  write_file(directory / "x.bin", bytes_of(ids));
  BOOST_TEST(TokenShard(directory / "x.bin", 65536).tokens().size() == 600U);
}

BOOST_AUTO_TEST_CASE(a_shard_of_n_tokens_has_n_over_t_minus_one_windows) {
  const TemporaryDirectory directory;
  const auto windows = [&](std::size_t count) {
    write_file(directory / "x.bin", bytes_of(counting(count)));
    return TokenShard(directory / "x.bin", 1000).window_count(4);
  };
  BOOST_TEST(windows(0) == 0);
  BOOST_TEST(windows(7) == 0);
  BOOST_TEST(windows(8) == 1);
  BOOST_TEST(windows(11) == 1);
  BOOST_TEST(windows(12) == 2);
}

BOOST_AUTO_TEST_CASE(an_odd_number_of_bytes_is_refused) {
  const TemporaryDirectory directory;
  const std::string path = (directory / "x.bin").string();
  write_file(path, "abc");
  BOOST_TEST(error_message<FileError>([&] { TokenShard(path, 65536); }) ==
             path + ": has 3 bytes; a shard of 16-bit token ids has an even number");
}

BOOST_AUTO_TEST_CASE(the_first_id_that_is_not_in_the_vocabulary_is_named) {
  const TemporaryDirectory directory;
  const std::string path = (directory / "x.bin").string();
  write_file(path, bytes_of(Ids{1, 99, 100, 7, 4000}));
  BOOST_TEST(error_message<FileError>([&] { TokenShard(path, 100); }) ==
             path +
                 ": token id 100 at position 2 is not in the vocabulary; ids must be below vocab_size = 100");
  BOOST_TEST(read(TokenShard(path, 4001)).size() == 5U);
}

BOOST_AUTO_TEST_CASE(a_vocabulary_that_16_bits_cannot_hold_is_refused) {
  const TemporaryDirectory directory;
  write_file(directory / "x.bin", bytes_of(counting(10)));
  for (const std::int64_t size : {65537, 0}) {
    BOOST_TEST(error_message<ConfigError>([&] { TokenShard(directory / "x.bin", size); }) ==
               "vocab_size is " + std::to_string(size) +
                   "; token shards hold 16-bit ids, so it must be between 1 and 65536");
  }
}

BOOST_AUTO_TEST_CASE(a_missing_shard_is_named) {
  BOOST_TEST(error_message<FileError>([] { TokenShard("/nowhere/x.bin", 10); }) ==
             "/nowhere/x.bin: cannot be opened: No such file or directory");
}

BOOST_AUTO_TEST_CASE(the_shards_of_a_folder_are_its_bin_files_sorted_by_name) {
  const TemporaryDirectory directory;
  for (const char* name : {"b.bin", "a.bin", "c.txt", "d.bin.partial"}) write_file(directory / name, "");
  std::filesystem::create_directory(directory / "e.bin");
  BOOST_TEST((token_shards(directory.path()) == std::vector{directory / "a.bin", directory / "b.bin"}));
}

BOOST_AUTO_TEST_CASE(a_folder_without_shards_is_refused) {
  const TemporaryDirectory directory;
  BOOST_TEST(error_message<FileError>([&] { token_shards(directory.path()); }) ==
             directory.path().string() + ": holds no token shards; their names end in .bin");
}

BOOST_AUTO_TEST_CASE(a_missing_folder_is_refused) {
  BOOST_TEST(error_message<FileError>([] { token_shards("/nowhere"); }) ==
             "/nowhere: cannot be read as a folder of token shards: No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(targets_are_the_inputs_one_position_further, Fixture) {
  TokenStream data = stream();
  for (int step = 0; step < 20; ++step) {
    const Batch batch = next(data, 3);
    for (std::size_t row = 0; row < 3; ++row) {
      const std::int32_t first = batch.inputs[row * window];
      BOOST_TEST(first % window == 0);
      for (std::int32_t t = 0; t < window; ++t) {
        const std::size_t i = row * window + static_cast<std::size_t>(t);
        BOOST_TEST(batch.inputs[i] == first + t);
        BOOST_TEST(batch.targets[i] == first + t + 1);
      }
    }
  }
}

BOOST_FIXTURE_TEST_CASE(every_window_comes_once_in_an_epoch_and_each_shard_in_one_run, Fixture) {
  const std::set<std::int32_t> all = {0, 4, 8, 12, 16, 20, 100, 200, 204, 208};
  TokenStream data = stream();
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    BOOST_TEST(data.position().epoch == epoch);
    const std::vector<std::int32_t> windows = next_windows(data, windows_per_epoch);
    BOOST_TEST(std::set<std::int32_t>(windows.begin(), windows.end()) == all,
               boost::test_tools::per_element());
    int shard_changes = 0;
    for (std::size_t i = 1; i < windows.size(); ++i)
      shard_changes += windows[i] / 100 != windows[i - 1] / 100;
    BOOST_TEST(shard_changes == 2);
  }
}

BOOST_FIXTURE_TEST_CASE(shards_and_windows_come_in_another_order_each_epoch, Fixture) {
  TokenStream data = stream();
  std::set<std::vector<std::int32_t>> shard_orders;
  std::set<std::vector<std::int32_t>> window_orders;
  for (int epoch = 0; epoch < 30; ++epoch) {
    std::vector<std::int32_t> shard_order;
    std::vector<std::int32_t> window_order;
    for (const std::int32_t window_start : next_windows(data, windows_per_epoch)) {
      if (shard_order.empty() || shard_order.back() != window_start / 100)
        shard_order.push_back(window_start / 100);
      if (window_start < 100) window_order.push_back(window_start);
    }
    shard_orders.insert(shard_order);
    window_orders.insert(window_order);
  }
  BOOST_TEST(shard_orders.size() == 6U);   // all orders of three shards
  BOOST_TEST(window_orders.size() > 25U);  // of the 720 orders of six windows
}

BOOST_FIXTURE_TEST_CASE(the_same_seed_gives_the_same_stream_and_another_seed_another, Fixture) {
  TokenStream data = stream(7);
  TokenStream same = stream(7);
  TokenStream other = stream(8);
  const Batch batch = next(data, 30);
  BOOST_TEST((next(same, 30) == batch));
  BOOST_TEST(!(next(other, 30) == batch));
}

BOOST_FIXTURE_TEST_CASE(the_stream_does_not_depend_on_how_it_is_cut_into_batches, Fixture) {
  TokenStream data = stream();
  TokenStream same = stream();
  const Batch whole = next(data, 35);
  Batch pieces;
  for (const std::int64_t batch : {1, 7, 0, 25, 2}) {
    const Batch piece = next(same, batch);
    pieces.inputs.insert(pieces.inputs.end(), piece.inputs.begin(), piece.inputs.end());
    pieces.targets.insert(pieces.targets.end(), piece.targets.begin(), piece.targets.end());
  }
  BOOST_TEST((pieces == whole));
  BOOST_TEST((data.position() == same.position()));
}

BOOST_FIXTURE_TEST_CASE(a_stream_resumes_exactly_at_every_position, Fixture) {
  TokenStream data = stream();
  for (std::size_t step = 0; step < 3 * windows_per_epoch; ++step) {
    TokenStream resumed = stream();
    next(resumed, 5);  // whatever it did before
    resumed.seek(data.position());
    TokenStream original = stream();
    next(original, static_cast<std::int64_t>(step));
    BOOST_TEST((resumed.position() == original.position()));
    BOOST_TEST((next(resumed, 23) == next(original, 23)));
    BOOST_TEST((resumed.position() == original.position()));
    next(data, 1);
  }
  BOOST_TEST((data.position() == TokenStream::Position{3, 0, 0}));
}

BOOST_FIXTURE_TEST_CASE(a_position_that_the_data_does_not_have_is_refused, Fixture) {
  TokenStream data = stream();
  next(data, 3);
  const TokenStream::Position before = data.position();
  BOOST_TEST(error_message<ConfigError>([&] {
               data.seek({2, 3, 0});
             }) == "the data has no window 0 in shard 3 of epoch 2; it has 3 shards");
  BOOST_TEST(error_message<ConfigError>([&] {
               data.seek({0, 0, 6});
             }).starts_with("the data has no window 6 in shard 0 of epoch 0; that shard has "));
  BOOST_TEST((data.position() == before));
}

BOOST_FIXTURE_TEST_CASE(a_shard_too_short_for_one_window_is_refused, Fixture) {
  BOOST_TEST(error_message<FileError>([&] { TokenStream(shards, 5, Rng(1)); }) ==
             (directory / "b.bin").string() +
                 ": has 8 tokens; one window of 5 positions needs at least 10, so use a shorter window or "
                 "more text");
}

BOOST_FIXTURE_TEST_CASE(a_stream_needs_shards_and_a_positive_window, Fixture) {
  BOOST_TEST(error_message<ConfigError>([&] { TokenStream({}, 5, Rng(1)); }) ==
             "a token stream needs at least one shard");
  BOOST_TEST(error_message<ConfigError>([&] { TokenStream(shards, 0, Rng(1)); }) ==
             "the window of a token stream is 0; it must be at least 1");
}

BOOST_FIXTURE_TEST_CASE(buffers_of_another_size_are_refused, Fixture) {
  TokenStream data = stream();
  std::vector<std::int32_t> inputs(8);
  std::vector<std::int32_t> targets(7);
  BOOST_TEST(error_message<ShapeError>([&] { data.next(2, inputs, targets); }) ==
             "TokenStream::next: inputs has 8 and targets 7 elements; both must have batch * window = 2 * 4");
}

BOOST_FIXTURE_TEST_CASE(the_fingerprint_tells_names_sizes_and_contents_apart, Fixture) {
  const TemporaryDirectory other;
  const auto fingerprint = [&](const std::string& name, const Ids& ids) {
    write_file(other / name, bytes_of(ids));
    return TokenShard(other / name, 1000).fingerprint();
  };
  const std::uint32_t original = shards[1]->fingerprint();
  BOOST_TEST(fingerprint("b.bin", counting(8, 100)) == original);  // in another folder
  BOOST_TEST(fingerprint("d.bin", counting(8, 100)) != original);
  BOOST_TEST(fingerprint("b.bin", counting(9, 100)) != original);
  BOOST_TEST(fingerprint("b.bin", counting(8, 101)) != original);

  BOOST_TEST(stream(1).fingerprint() == stream(2).fingerprint());
  const TokenStream fewer({shards[0], shards[1]}, window, Rng(1));
  BOOST_TEST(stream(1).fingerprint() != fewer.fingerprint());
}

}  // namespace

BOOST_AUTO_TEST_SUITE_END()
BOOST_AUTO_TEST_SUITE_END()
