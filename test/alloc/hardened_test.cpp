// SPDX-License-Identifier: BSL-1.0
//
// What the shim notices of programs that misuse their memory, with the option `hardened` and without; and what the
// options zero and junk do.
#define BOOST_TEST_MODULE alloc_hardened
#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <string>

#include "support/death.hpp"

namespace {

using heddle::testing::death;

/// Runs the program beside this one with the shim.
death run(const char* options, const char* kind) {
  return heddle::testing::death_of([&] {
    ::setenv("LD_PRELOAD", HEDDLE_SHIM, 1);
    ::setenv("HEDDLE_MALLOC", options, 1);
    ::execl(HEDDLE_SUBJECT, HEDDLE_SUBJECT, kind, nullptr);
    ::_exit(1);
  });
}

struct expectation {
  const char* kind;
  const char* words;  ///< of the message with which it ends; null: it does no harm
};

void check(const char* options, const expectation& e) {
  const death how = run(options, e.kind);
  BOOST_TEST_CONTEXT("HEDDLE_MALLOC=" << options << " " << e.kind << ": signal " << how.signal << ", status "
                                      << how.status << ", '" << how.text << "'") {
    if (e.words == nullptr) {
      BOOST_TEST(how.signal == 0);
      BOOST_TEST(how.status == 0);
      BOOST_TEST(how.text == "");
      return;
    }
    BOOST_TEST(how.signal == SIGABRT);
    BOOST_TEST(how.says("heddle_malloc: "));
    BOOST_TEST(how.says("0x"));
    BOOST_TEST(how.says(e.words));
  }
}

constexpr const char* freed_or_never = "freed before, or never allocated";
constexpr const char* unaligned = "not aligned to 16";

}  // namespace

BOOST_AUTO_TEST_SUITE(hardened)

BOOST_AUTO_TEST_CASE(without_the_option_what_costs_nothing_is_noticed) {
  constexpr expectation all[] = {
      {"delete_of_wrong_size", "as 40 bytes, but the block has 320, in the span"},
      {"double_free_small", "it is free already, and was the last block to be freed"},
      {"double_free_large", freed_or_never},
      {"double_free_large_delayed", freed_or_never},
      {"invalid_free_protected", "it is not memory of this heap"},
      {"invalid_free_unprotected", "it is not memory of this heap"},
      {"invalid_free_stack", "it is not memory of this heap"},
      {"invalid_free_static", "it is not memory of this heap"},
      {"invalid_free_near", "the page is free"},
      {"invalid_free_far", freed_or_never},
      {"usable_size_invalid", "malloc_usable_size(0x"},
      {"usable_size_inside", "it lies 3 bytes behind the beginning of block"},
      {"unaligned_free_small", "it lies 1 bytes behind the beginning of block"},
      {"unaligned_free_large", unaligned},
      {"uninitialised_free", "free(0x10)"},
      {"uninitialised_realloc", "realloc(0x10)"},
      {"uninitialised_usable_size", "malloc_usable_size(0x10)"},
      {"large_array_growth", nullptr},
  };
  for (const expectation& e : all) check("", e);
}

BOOST_AUTO_TEST_CASE(with_it_every_kind_is_noticed) {
  constexpr const char* behind = "behind the end of a block";
  constexpr const char* after = "after it was freed";
  constexpr expectation all[] = {
      {"delete_of_wrong_size", "as 40 bytes, but the block has 320, in the span"},
      {"double_free_small", "it has been freed before"},
      {"double_free_small_delayed", "it has been freed before"},
      {"double_free_large", "it has been freed before"},
      {"double_free_large_delayed", "it has been freed before"},
      {"invalid_free_protected", "the heap has no memory there"},
      {"invalid_free_unprotected", "the heap has no memory there"},
      {"invalid_free_stack", "the heap has no memory there"},
      {"invalid_free_static", "the heap has no memory there"},
      {"invalid_free_near", "no block begins there"},
      {"invalid_free_far", "no block begins there"},
      {"invalid_free_inside", "it lies 64 bytes behind the beginning of block"},
      {"inside_free_large", "it lies 4096 bytes behind the beginning of the block of 262144 bytes"},
      {"usable_size_invalid", "malloc_usable_size(0x"},
      {"usable_size_inside", "it lies 3 bytes behind the beginning of block"},
      {"usable_size_freed", "it has been freed before"},
      {"overflow_small_1", "written behind the end of a block: the block of 24 bytes"},
      {"overflow_small_1_behind_its_grains", behind},
      {"overflow_small_8", behind},
      {"overflow_large_1", behind},
      {"overflow_large_1_odd", behind},
      {"overflow_large_8", behind},
      {"overflow_never_freed", behind},
      {"underflow_small", "written before the beginning of a block: the block of 24 bytes"},
      {"underflow_large", "written before the beginning of a block: the block of 262160 bytes"},
      {"string_overflow", behind},
      {"read_of_endless_string", nullptr},
      {"read_after_free_small", nullptr},
      {"read_after_free_large", after},
      {"write_after_free_small", after},
      {"write_after_free_small_reuse", after},
      {"write_after_free_large", after},
      {"write_after_free_large_reuse", after},
      {"write_after_free_at_exit", after},
      {"read_of_zero_bytes", "touched, but of 0 bytes"},
      {"write_of_zero_bytes", "touched, but of 0 bytes"},
      {"unaligned_free_small", unaligned},
      {"unaligned_free_large", "it lies 1 bytes behind the beginning of the block"},
      {"uninitialised_free", "free(0x10)"},
      {"uninitialised_realloc", "realloc(0x10)"},
      {"uninitialised_usable_size", "malloc_usable_size(0x10)"},
  };
  for (const expectation& e : all) {
    check("hardened", e);
    if (e.words != nullptr) check("hardened,junk", e);
  }
}

BOOST_AUTO_TEST_CASE(what_is_right_stays_right) {
  for (const char* options : {"", "hardened", "zero", "junk", "hardened,zero", "hardened,junk"})
    for (const char* kind : {"large_array_growth", "calloc_is_zero", "alignments", "busy"})
      check(options, {kind, nullptr});
  check("hardened", {"usable_size_is_exact", nullptr});
}

BOOST_AUTO_TEST_CASE(zero_and_junk_fill_what_is_new_and_what_is_freed) {
  for (const char* options : {"zero", "hardened,zero"}) {
    check(options, {"new_is_zero", nullptr});
    check(options, {"grown_is_zero", nullptr});
  }
  for (const char* options : {"junk", "hardened,junk"}) {
    check(options, {"new_is_junk", nullptr});
    check(options, {"freed_is_junk", nullptr});
  }
  // That the programs which say so can tell.
  BOOST_TEST(run("junk", "new_is_zero").status == 3);
  BOOST_TEST(run("zero", "new_is_junk").status == 3);
  BOOST_TEST(run("zero", "freed_is_junk").status == 3);
}

BOOST_AUTO_TEST_SUITE_END()
