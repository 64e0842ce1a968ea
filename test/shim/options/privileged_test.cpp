// SPDX-License-Identifier: BSL-1.0
//
// A process with rights that its starter does not have obeys no option: rights by set-user-ID, by set-group-ID, or by
// capabilities of its file.
#define BOOST_TEST_MODULE shim_privileged
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "shim/shim.hpp"

using namespace heddle::testing;
namespace fs = std::filesystem;

namespace {

constexpr unsigned nobody = 65534, somebody = 65533;

/// A copy of the program and of the shared object where anybody reaches them, and a file that the program could write.
struct copies {
  copies() {
    char name[] = "/tmp/heddle-privileged-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    at = name;
    ::chmod(name, 0755);
    fs::copy(HEDDLE_SHIM_PRIVILEGED, at / "program");
    fs::copy(std::getenv("HEDDLE_SHIM_SO"), at / "shim.so");
    ::chmod((at / "program").c_str(), 0755);
    ::chmod((at / "shim.so").c_str(), 0755);
    std::ofstream(at / "precious") << "precious";
  }
  ~copies() { fs::remove_all(at); }

  bool owned_by(uid_t user, gid_t group, mode_t mode) const {
    return ::chown((at / "precious").c_str(), user, group) == 0 &&
           ::chown((at / "program").c_str(), user, group) == 0 && ::chmod((at / "program").c_str(), mode) == 0;
  }

  /// Runs the program as this user with all options; returns its output, stderr too.
  std::string run_by(uid_t user, bool early) const {
    const std::string program = at / "program", shim = at / "shim.so", said = at / "said";
    const std::string options = "HEDDLE_MALLOC=stats,junk,unknown,profile=1,profile_file=" + (at / "precious").string();
    const pid_t child = ::fork();
    if (child == 0) {
      const int to = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(to, STDOUT_FILENO);
      ::dup2(to, STDERR_FILENO);
      if (::setgid(user) != 0 || ::setuid(user) != 0) ::_exit(3);
      char empty[] = "early";
      char* arguments[] = {const_cast<char*>(program.c_str()), const_cast<char*>(shim.c_str()), early ? empty : nullptr,
                           nullptr};
      char* environment[] = {const_cast<char*>(options.c_str()), nullptr};
      ::execve(program.c_str(), arguments, environment);
      ::_exit(4);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
    std::ifstream file(said);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string precious() const {
    std::ifstream file(at / "precious");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Whether programs can be given privileges here.
  bool possible() const {
    struct statvfs s {};
    const char* why = ::geteuid() != 0                                           ? "only root can make such programs"
                      : ::statvfs(at.c_str(), &s) != 0 || (s.f_flag & ST_NOSUID) ? "/tmp is mounted with nosuid"
                      : ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1            ? "no_new_privs is set"
                                                                                 : nullptr;
    if (why != nullptr) BOOST_TEST_MESSAGE("skipped: " << why);
    return why == nullptr;
  }

  fs::path at;
};

void skip(const char* why) { BOOST_TEST_MESSAGE("skipped: " << why); }

/// CAP_NET_BIND_SERVICE for processes that execute the file.
bool give_capability(const fs::path& file) {
  const vfs_cap_data data{VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, {{1u << CAP_NET_BIND_SERVICE, 0}, {0, 0}}};
  return ::setxattr(file.c_str(), "security.capability", &data, sizeof data, 0) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(privileged, copies)

BOOST_AUTO_TEST_CASE(others_obey) {
  for (bool early : {false, true}) {
    std::ofstream(at / "precious") << "precious";
    const std::string said = run_by(::getuid(), early);
    BOOST_TEST(said.find("like any other, obeyed") != said.npos);
    BOOST_TEST(said.find("unknown key \"unknown\"") != said.npos);
    BOOST_TEST(precious().rfind("heap profile: ", 0) == 0);
  }
}

BOOST_AUTO_TEST_CASE(set_user_id) {
  if (!possible()) return;
  for (bool early : {false, true}) {
    BOOST_REQUIRE(owned_by(nobody, nobody, 04755));
    BOOST_TEST(run_by(0, early) == "privileged, unread\n");
    BOOST_TEST(run_by(somebody, early) == "privileged, unread\n");
    BOOST_TEST(precious() == "precious");
  }
}

BOOST_AUTO_TEST_CASE(set_group_id) {
  if (!possible()) return;
  BOOST_REQUIRE(owned_by(somebody, nobody, 02755));
  BOOST_TEST(run_by(somebody, false) == "privileged, unread\n");
  BOOST_TEST(precious() == "precious");
}

BOOST_AUTO_TEST_CASE(capabilities_of_the_file) {
  if (!possible()) return;
  BOOST_REQUIRE(owned_by(somebody, somebody, 0755));
  if (!give_capability(at / "program")) return skip("no such attributes in /tmp");
  const std::string said = run_by(somebody, false);
  if (said.find("like any other") == 0) return skip("the capability is not granted here");
  BOOST_TEST(said == "privileged, unread\n");
  BOOST_TEST(precious() == "precious");
}

BOOST_AUTO_TEST_SUITE_END()
