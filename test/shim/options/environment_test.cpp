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

/// That it is not, that the message says which values there are, and that options behind it are read.
void refused(const std::string& option, const std::string& allowed) {
  const std::size_t equals = std::min(option.find('='), option.size());
  std::string value = option.substr(std::min(equals + 1, option.size()));
  value.erase(0, std::min(value.find_first_not_of(' '), value.size()));
  expect({"HEDDLE_MALLOC=" + option + ",junk"}, "heddle: HEDDLE_MALLOC: bad value \"" + value + "\" for " +
                                                    option.substr(0, equals) + " (" + allowed + ")\n" + obeyed);
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
    for (const char* value : {"=", "=2", "=On", "=offf", "=10"}) refused(std::string(name) + value, "on or off");
  expect({"HEDDLE_MALLOC= junk = on "}, obeyed);
}

BOOST_AUTO_TEST_CASE(numbers) {
  for (const char* good :
       {"pace=1", "pace=2", "pace=3600000", "pace=00000000001", "pace= 5", "pace=2s", "pace=1ms", "pace=60min"})
    taken(good);
  for (const char* bad : {"pace", "pace=", "pace=0", "pace=3600001", "pace=-1", "pace=+1", "pace=5x", "pace=x5",
                          "pace=1.5", "pace=61min", "pace=999us", "pace=18446744073709551617"})
    refused(bad, "1ms to 60min, with ns, us, ms, s, min, or in ms");
  for (const char* bad : {"profile", "profile=", "profile=0", "profile=4294967296", "profile=4G", "profile=1x"})
    refused(bad, "1 to 4294967295, in bytes or with K, M, G");
  taken("profile=4294967295,profile_file=/dev/null");
  taken("profile=64M,profile_file=/dev/null");
}

BOOST_AUTO_TEST_CASE(words) {
  for (const char* good : {"scavenger=background", "scavenger=steps", "scavenger=off", "huge_pages=system",
                           "huge_pages=always", "huge_pages=never"})
    taken(good);
  for (const char* bad : {"scavenger", "scavenger=", "scavenger=on", "scavenger=step", "scavenger=offf"})
    refused(bad, "background|steps|off");
  for (const char* bad : {"huge_pages", "huge_pages=", "huge_pages=on", "huge_pages=alway"})
    refused(bad, "system|always|never");
}

BOOST_AUTO_TEST_CASE(paths) {
  taken("profile_file=" + std::string(511, 'a'));
  for (const std::string& bad : {std::string("profile_file"), std::string("profile_file=")})
    refused(bad, "text without a comma, at most 511 characters");
  const std::string found = said({"HEDDLE_MALLOC=profile_file=" + std::string(512, 'a')}, false);
  BOOST_TEST(found.find("for profile_file (text without a comma, at most 511 characters)") != found.npos, found);
}

BOOST_AUTO_TEST_CASE(unknown_ones) {
  for (const std::string name : {"unknown", "jun", "junkk", "junk:1", "Junk", ""})
    expect({"HEDDLE_MALLOC=" + name + (name.empty() ? "=" : "") + ",junk"},
           "heddle: HEDDLE_MALLOC: unknown key \"" + name +
               "\" (known: stats, hardened, zero, junk, scavenger, pace, huge_pages, profile, profile_file, help)\n" +
               obeyed);
}

BOOST_AUTO_TEST_CASE(help) {
  for (const bool early : {false, true}) {
    const std::string found = said({"HEDDLE_MALLOC=help,junk"}, early);
    BOOST_TEST(
        found.find("  scavenger: what gives memory back to the system: calls and a thread, calls alone, or nothing\n"
                   "      background|steps|off; default background\n") != found.npos,
        found);
    BOOST_TEST(found.find(obeyed) != found.npos, found);
  }
}

BOOST_AUTO_TEST_SUITE_END()
