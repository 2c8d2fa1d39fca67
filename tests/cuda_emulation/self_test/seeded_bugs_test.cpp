// Every seeded bug is caught by the flavours that claim to catch it, in a process of its own.

#include <sys/wait.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <ostream>
#include <string>

namespace {

struct Outcome {
  std::string output;
  bool failed;
};

Outcome run(const std::string& flavour, const std::string& bug, const std::string& order) {
  const std::string command =
      "CUDA_EMULATION_ORDER=" + order + " " SEEDED_BUGS "_" + flavour + " " + bug + " 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  Outcome outcome{"", true};
  char text[512];
  while (std::fgets(text, sizeof text, pipe)) outcome.output += text;
  outcome.failed = pclose(pipe) != 0;
  return outcome;
}

// What each flavour has to say about a bug; nothing where it cannot be relied on to notice.
struct Row {
  const char* bug;
  const char* plain;
  const char* chk;
  const char* order = "forward";
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << row.bug;
}

constexpr const char* kWrong = "wrong result";
constexpr const char* kDivergent = "divergent __syncthreads";
constexpr const char* kDeadlock = "is not reached by all";
constexpr const char* kOutOfBounds = "out-of-bounds device";

const Row kRows[] = {
    {"missing_barrier", kWrong, "shared memory race"},
    {"missing_barrier", kWrong, "shared memory race", "reverse"},
    {"missing_barrier", kWrong, "shared memory race", "random:1"},
    {"overwritten_tile", nullptr, "shared memory race (write after read)"},
    {"overwritten_tile", kWrong, "shared memory race (", "random:1"},
    {"missing_syncwarp", kWrong, "shared memory"},
    {"overwritten_after_reads", nullptr, "shared memory race (write after read)"},
    {"barrier_in_one_warp", "__syncthreads", "__syncthreads"},
    {"barrier_on_other_line", kDivergent, kDivergent},
    {"early_return", "a thread exits while", "a thread exits while"},
    {"trip_counts_differ", "exit", "exit"},
    {"wrong_shuffle_mask", "is not in its own mask", "is not in its own mask"},
    {"full_mask_in_branch", "without taking part", "without taking part"},
    {"forgotten_offset", kWrong, kWrong},
    {"deadlock", kDeadlock, kDeadlock},
    {"partial_warp", "do not exist in this warp", "do not exist in this warp"},
    {"read_past_end", kWrong, "out-of-bounds device read"},
    {"read_past_end_times_zero", nullptr, "out-of-bounds device read"},
    {"write_past_end", "write outside of device allocation", kOutOfBounds},
    {"write_past_end", nullptr, "device memory race (write after write)"},
    {"fixed_shared_overrun", nullptr, "out of bounds for type"},
    {"dynamic_shared_overrun", nullptr, "access behind the dynamic shared memory"},
    {"local_array_overrun", nullptr, "out of bounds for type"},
    {"index_overflow", nullptr, "signed integer overflow"},
    {"unordered_sum", nullptr, "device memory race (read after write)"},
    {"missing_fence", nullptr, "device memory race (read after write)"},
    {"host_dereference", "HOST code touched device memory", "HOST code reads device memory"},
    {"host_pointer_in_kernel", nullptr, "kernel reads host memory"},
    {"misaligned_vector", nullptr, "misaligned access to device memory"},
    {"uninitialized_memory", kWrong, "read of uninitialised device memory"},
    {"use_after_free", kWrong, kOutOfBounds},
    {"static_shared_memory_forgotten", "cudaErrorInvalidValue", "cudaErrorInvalidValue"},
    {"shared_memory_not_asked_for", "cudaErrorInvalidValue", "cudaErrorInvalidValue"},
    {"too_many_threads", "cudaErrorInvalidConfiguration", "cannot be launched"},
    {"empty_grid", "cudaErrorInvalidConfiguration", "cannot be launched"},
    {"small_operand", "exceeds its allocation", "status 13"},
    {"host_operand", "is host memory", "status 13"},
    {"uninitialized_operand", kWrong, "read of uninitialised device memory by cublasGemmEx"},
    {"leading_dimension", "leading dimension of A is 2", "status 7"},
};

void check_bug(const std::string& flavour, const Row& row, const char* expected) {
  if (!expected) return;
  const Outcome outcome = run(flavour, row.bug, row.order);
  BOOST_CHECK_MESSAGE(outcome.failed, flavour << " did not notice " << row.bug << ": " << outcome.output);
  BOOST_CHECK_MESSAGE(
      outcome.output.find(expected) != std::string::npos,
      flavour << " did not say \"" << expected << "\" of " << row.bug << ": " << outcome.output);
}

void check_correct(const std::string& flavour) {
  for (const char* order : {"forward", "reverse", "random:1", "random:2"})
    for (const char* bug : {"correct", "redundant_barrier_left_out"}) {
      const Outcome outcome = run(flavour, bug, order);
      BOOST_CHECK_MESSAGE(!outcome.failed && outcome.output == "0 reports\n", outcome.output);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(seeded_bugs)

BOOST_AUTO_TEST_SUITE(plain)
BOOST_DATA_TEST_CASE(catches, boost::unit_test::data::make(kRows), row) {
  check_bug("plain", row, row.plain);
}
BOOST_AUTO_TEST_CASE(accepts_correct_programs) {
  check_correct("plain");
}
BOOST_AUTO_TEST_SUITE_END()

#if defined(HAS_CHK)
BOOST_AUTO_TEST_SUITE(chk)
BOOST_DATA_TEST_CASE(catches, boost::unit_test::data::make(kRows), row) {
  check_bug("chk", row, row.chk);
}
BOOST_AUTO_TEST_CASE(accepts_correct_programs) {
  check_correct("chk");
}
BOOST_AUTO_TEST_SUITE_END()
#endif

BOOST_AUTO_TEST_SUITE_END()
