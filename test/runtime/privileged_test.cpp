// SPDX-License-Identifier: BSL-1.0
//
// A process with rights that its starter does not have reads no HEDDLE. This program starts a copy of itself that has
// set-user-ID.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "heddle/run.hpp"
#include "support/leak_check.hpp"

namespace {

namespace fs = std::filesystem;
constexpr unsigned nobody = 65534;

/// A copy of this program where anybody may execute it.
struct copy {
  copy() {
    char name[] = "/tmp/heddle-privileged-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    at = name;
    ::chmod(name, 0755);
    program = at / "program";
    fs::copy("/proc/self/exe", program);
    ::chmod(program.c_str(), 0755);
  }
  ~copy() { fs::remove_all(at); }

  /// The words of `subject` below, in the copy.
  std::string run() const {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(ends[1], STDERR_FILENO);
      char test[] = "--run_test=privileged/subject", environment[] = "HEDDLE=procs=3,unknown=1";
      char leaks[] = "ASAN_OPTIONS=detect_leaks=0";  // it could not look at such a process
      char* const arguments[] = {const_cast<char*>(program.c_str()), test, nullptr};
      char* const environments[] = {environment, leaks, nullptr};
      ::execve(program.c_str(), arguments, environments);
      ::_exit(4);
    }
    ::close(ends[1]);
    std::string text;
    char part[512];
    for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
    return text;
  }

  fs::path at, program;
};

bool contains(const std::string& text, const char* words) { return text.find(words) != text.npos; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(privileged, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(subject, *boost::unit_test::disabled()) {
  const unsigned procs = heddle::run([] { return heddle::processors(); }, {.procs = 2});
  std::fprintf(stderr, "procs are %u\n", procs);
}

BOOST_AUTO_TEST_CASE(the_environment_counts_as_a_rule) {
  const std::string text = copy().run();
  BOOST_TEST(contains(text, "procs are 3"));
  BOOST_TEST(contains(text, "unknown key"));
}

BOOST_AUTO_TEST_CASE(and_not_with_set_user_id) {
  const copy c;
  struct statvfs s {};
  if (::geteuid() != 0 || ::statvfs(c.at.c_str(), &s) != 0 || (s.f_flag & ST_NOSUID) != 0 ||
      ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
    BOOST_TEST_MESSAGE("skipped: this takes root, a /tmp without nosuid, and no no_new_privs");
    return;
  }
  BOOST_REQUIRE(::chown(c.program.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chmod(c.program.c_str(), 04755) == 0);
  const std::string text = c.run();
  BOOST_TEST(contains(text, "procs are 2"));
  BOOST_TEST(!contains(text, "unknown key"));
}

BOOST_AUTO_TEST_SUITE_END()
