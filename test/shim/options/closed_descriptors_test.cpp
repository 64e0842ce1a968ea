// SPDX-License-Identifier: BSL-1.0
//
// Text that options have written when the process ends goes where the process's descriptors led when it began. It never
// goes into a file that the program has opened under the same number.
#define BOOST_TEST_MODULE shim_closed_descriptors
#include <filesystem>
#include <fstream>
#include <iterator>

#include "shim/shim.hpp"

using namespace heddle::testing;
namespace fs = std::filesystem;

namespace {

/// A folder of the test's own, in which the program runs.
struct folder {
  folder() {
    char name[] = "/tmp/heddle-descriptors-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    at = name;
  }
  ~folder() { fs::remove_all(at); }

  std::string text_of(const char* file) const {
    std::ifstream stream(at / file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// Runs the program with these options; `redirections` in the shell's words. The program's file must have nothing in
  /// it but what the program wrote.
  void run(const std::string& options, const std::string& what, const std::string& redirections) const {
    for (const auto& entry : fs::directory_iterator(at)) fs::remove(entry);
    const std::string command = "cd " + at.string() + " && HEDDLE_MALLOC=" + options + " " HEDDLE_SHIM_OWN_FILES " " +
                                what + ' ' + redirections;
    BOOST_TEST_CONTEXT(command) {
      BOOST_TEST(std::system(command.c_str()) == 0);
      BOOST_TEST(text_of("own") == "own\n");
    }
  }
  bool has_statistics(const char* file) const { return text_of(file).find("\ncaches ") != std::string::npos; }
  bool has_profile(const char* file) const { return text_of(file).find("heap profile: ") != std::string::npos; }

  fs::path at;
};

const char* const every_output[] = {
    "stats",
    "profile=1,profile_file=/nowhere/profile",
    "profile=1,profile_file=/dev/stderr",
    "profile=1,profile_file=/dev/fd/2",
    "profile=1,profile_file=/proc/self/fd/2",
    "profile=1,profile_file=/dev/stdout",
    "profile=1,profile_file=/dev/fd/9",
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(closed_descriptors, folder)

BOOST_AUTO_TEST_CASE(closed_when_the_process_begins) {
  for (const std::string options : every_output)
    for (const char* closed : {"0<&- 1>&- 2>&-", "1>&- 2>&-", "2>&-", "1>&- 2>err"})
      for (const char* what : {"opens", "opens_in_library", "takes_all"}) run(options, what, closed);
}

BOOST_AUTO_TEST_CASE(closed_by_the_program) {
  for (const std::string options : every_output)
    for (const char* what : {"reopens", "takes_others", "takes_all"}) run(options, what, ">out 2>err 9>nine");
}

BOOST_AUTO_TEST_CASE(what_is_written_comes_to_where_it_should) {
  for (const char* what : {"opens", "reopens", "takes_others"}) {
    run("stats", what, "2>err");
    BOOST_TEST(has_statistics("err"));
    run("profile=1,profile_file=/nowhere/profile", what, "2>err");
    BOOST_TEST(text_of("err").find("heddle_malloc: the heap profile cannot be written to '/nowhere/profile'") == 0u);
    run("profile=1,profile_file=/dev/stderr", what, "2>err");
    BOOST_TEST(has_profile("err"));
    run("profile=1,profile_file=/dev/stdout", what, ">out 2>err");
    BOOST_TEST(has_profile("out"));
    BOOST_TEST(text_of("err") == "");
  }
}

BOOST_AUTO_TEST_CASE(a_profile_takes_none_of_the_numbers_that_others_write_to) {
  run("profile=1,profile_file=profile,stats", "opens", "0<&- 1>&- 2>&-");
  BOOST_TEST(has_profile("profile"));
  BOOST_TEST(!has_statistics("profile"));
  run("profile=1,profile_file=profile", "chatters", "0<&- 1>&- 2>&-");
  BOOST_TEST(has_profile("profile"));
  BOOST_TEST(text_of("profile").find("chatter") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
