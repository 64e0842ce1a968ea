// SPDX-License-Identifier: BSL-1.0
//
// HEDDLE_MALLOC: which variable of the environment it is, what its options take, and what is said of others. Each is
// read where libc knows the environment, and early, out of the kernel's copy.
#define BOOST_TEST_MODULE shim_environment
#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

constexpr const char *obeyed = "like any other, obeyed\n", *unread = "like any other, unread\n";

/// The output of a program with this environment; "obeyed" if new memory is filled as with junk. stderr comes first.
std::string said(std::vector<std::string> variables, bool early) {
  const death how = fate_of([&] {
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    std::vector<char*> environment;
    for (std::string& v : variables) environment.push_back(v.data());
    environment.push_back(nullptr);
    char program[] = HEDDLE_SHIM_PRIVILEGED, early_word[] = "early";
    char* arguments[] = {program, std::getenv("HEDDLE_SHIM_SO"), early ? early_word : nullptr, nullptr};
    ::execve(program, arguments, environment.data());
    ::_exit(127);
  });
  BOOST_TEST(how.status == 0);
  BOOST_TEST(how.signal == 0);
  return how.text;
}

void expect(const std::vector<std::string>& variables, const std::string& text) {
  for (bool early : {false, true}) {
    const std::string found = said(variables, early);
    BOOST_TEST(found == text, (early ? "early, " : "") << "the last of " << variables.size() << ": '"
                                                       << variables.back().substr(0, 100) << "': " << found);
  }
}

/// That an option is taken, without a word.
void taken(const std::string& option) { expect({"HEDDLE_MALLOC=" + option + ",junk"}, obeyed); }

/// That it is not, that the message says what may be, and that what stands behind it is read.
void refused(const std::string& option, const std::string& words) {
  expect({"HEDDLE_MALLOC=" + option + ",junk"},
         "heddle_malloc: HEDDLE_MALLOC: option '" + option + "' " + words + "\n" + obeyed);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(environment)

BOOST_AUTO_TEST_CASE(the_name_is_exact) {
  expect({"HEDDLE_MALLOC=junk"}, obeyed);
  for (const char* other : {"HEDDLE_MALLOC_X=junk", "HEDDLE_MALLOCX=junk", "XHEDDLE_MALLOC=junk", "HEDDLE_MALLO=junk",
                            "heddle_malloc=junk", "HEDDLE_MALLOC", "HEDDLE_MALLOC=", "HEDDLE=junk"}) {
    expect({other}, unread);
    expect({other, "A=B"}, unread);
  }
  expect({"HEDDLE_MALLOC_X=unknown", "A=HEDDLE_MALLOC=zero", "HEDDLE_MALLOC=junk", "HEDDLE_MALLOC_Y=zero"}, obeyed);
}

BOOST_AUTO_TEST_CASE(it_stands_anywhere) {
  for (const std::size_t length : {0, 1, 100, 2030, 2045, 2046, 2047, 2048, 2049, 2050, 4095, 4096, 5000, 100'000}) {
    expect({"A=" + std::string(length, 'a'), "HEDDLE_MALLOC=junk"}, obeyed);
    expect({"HEDDLE_MALLOC=junk", "A=" + std::string(length, 'a')}, obeyed);
  }
  std::vector<std::string> many;
  for (char c = 'A'; c <= 'Z'; ++c) many.push_back(std::string(10, c) + "=HEDDLE_MALLOC=zero");
  many.push_back("HEDDLE_MALLOC=junk");
  expect(many, obeyed);
}

BOOST_AUTO_TEST_CASE(options_stand_anywhere) {
  for (const char* list :
       {"junk", "junk,", ",junk", ",,junk,,", "pace=5,junk", "junk,pace=5", "junk,junk", "pace=5,,junk"})
    expect({std::string("HEDDLE_MALLOC=") + list}, obeyed);
  for (const char* list : {"", ",", "pace=5", "zero", "junk,junk=0"})
    expect({std::string("HEDDLE_MALLOC=") + list}, unread);
}

BOOST_AUTO_TEST_CASE(switches) {
  for (const char* on : {"junk", "junk=1", "junk=on", "junk=yes", "junk=true"})
    expect({std::string("HEDDLE_MALLOC=") + on}, obeyed);
  for (const char* off : {"junk=0", "junk=off", "junk=no", "junk=false"})
    expect({std::string("HEDDLE_MALLOC=") + off}, unread);
  for (const char* name : {"stats", "hardened", "zero", "junk"})
    for (const char* value : {"=", "=2", "=On", "=1 ", "=offf", "=10"})
      refused(std::string(name) + value, "must be given alone, or as =1 or =0");
}

BOOST_AUTO_TEST_CASE(numbers) {
  for (const char* good : {"pace=1", "pace=2", "pace=3600000", "pace=0000000001"}) taken(good);
  for (const char* bad : {"pace", "pace=", "pace=0", "pace=3600001", "pace=-1", "pace=+1", "pace=5x", "pace=x5",
                          "pace=1.5", "pace= 5", "pace=00000000001", "pace=18446744073709551617"})
    refused(bad, "must be pace=MILLISECONDS, 1 to 3600000");
  for (const char* bad : {"profile", "profile=", "profile=0", "profile=4294967296", "profile=1k"})
    refused(bad, "must be profile=BYTES, 1 to 4294967295");
  taken("profile=4294967295,profile_file=/dev/null");
}

BOOST_AUTO_TEST_CASE(words) {
  for (const char* good : {"scavenger=background", "scavenger=steps", "scavenger=off", "huge_pages=system",
                           "huge_pages=always", "huge_pages=never"})
    taken(good);
  for (const char* bad : {"scavenger", "scavenger=", "scavenger=on", "scavenger=step", "scavenger=offf"})
    refused(bad, "must be scavenger=background, =steps or =off");
  for (const char* bad : {"huge_pages", "huge_pages=", "huge_pages=on", "huge_pages=alway"})
    refused(bad, "must be huge_pages=system, =always or =never");
}

BOOST_AUTO_TEST_CASE(paths) {
  taken("profile_file=" + std::string(511, 'a'));
  for (const std::string& bad : {std::string("profile_file"), std::string("profile_file=")})
    refused(bad, "must be profile_file=PATH, at most 511 characters without a comma");
  const std::string found = said({"HEDDLE_MALLOC=profile_file=" + std::string(512, 'a')}, false);
  BOOST_TEST(found.find("must be profile_file=PATH, at most 511 characters") != found.npos, found);
}

BOOST_AUTO_TEST_CASE(unknown_ones) {
  for (const char* bad : {"unknown", "jun", "junkk", "junk:1", "Junk", "=", "=1"})
    refused(bad,
            "is unknown; there are stats, hardened, zero, junk, scavenger=background|steps|off, pace=MILLISECONDS, "
            "huge_pages=system|always|never, profile=BYTES, profile_file=PATH");
}

BOOST_AUTO_TEST_SUITE_END()
