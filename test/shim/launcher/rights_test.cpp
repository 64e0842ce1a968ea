// SPDX-License-Identifier: BSL-1.0
//
// heddle-malloc and programs that may get rights which their starter has not: it refuses those that get some, and no
// other. The measure is the fate of a program that is preloaded without it.
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <sstream>

#include "installation.hpp"

using namespace heddle::testing;

namespace {

constexpr uid_t nobody = 65534, somebody = 65533;

struct capabilities {
  std::uint32_t permitted = 0, inheritable = 0;
  bool effective = false;
};

struct programs : installation {
  bool possible() const {
    struct statvfs s {};
    const char* why = ::geteuid() != 0                                           ? "only root can make such programs"
                      : ::statvfs(at.c_str(), &s) != 0 || (s.f_flag & ST_NOSUID) ? "/tmp is mounted with nosuid"
                      : ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1            ? "no_new_privs is set"
                                                                                 : nullptr;
    if (why != nullptr) BOOST_TEST_MESSAGE("skipped: " << why);
    return why == nullptr;
  }

  void own(uid_t user, gid_t group, mode_t mode) const {
    BOOST_REQUIRE(::chown(program().c_str(), user, group) == 0);
    BOOST_REQUIRE(::chmod(program().c_str(), mode) == 0);
  }

  bool give(const capabilities& c) const {
    vfs_cap_data data{};
    data.magic_etc = VFS_CAP_REVISION_2 | (c.effective ? VFS_CAP_FLAGS_EFFECTIVE : 0u);
    data.data[0].permitted = c.permitted;
    data.data[0].inheritable = c.inheritable;
    return ::setxattr(program().c_str(), "security.capability", &data, sizeof data, 0) == 0;
  }

  /// Compares what heddle-malloc says of a file with what becomes of it; returns whether it is run.
  bool agrees(const std::string& path, const circumstances& c, const std::string& words) const {
    const outcome truly = preload(path, c), judged = launch({path}, c);
    BOOST_TEST(truly.status == 0, words << ": truly " << truly);
    BOOST_TEST(truly.taken() == (truly.out.find("secure\n") == truly.out.npos), words << ": truly " << truly);
    BOOST_TEST(judged.taken() == truly.taken(), words << ": " << judged << ", and truly " << truly);
    if (!truly.taken()) {
      BOOST_TEST(judged.refused(), words << ": " << judged);
      BOOST_TEST(judged.says("heddle-malloc: " + program() + " "), words << ": " << judged);
      BOOST_TEST(judged.says(", so the system ignores preloads\n"), words << ": " << judged);
    }
    return truly.taken();
  }
};

void no_new_privileges() { insist(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs\n"); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(rights, programs)

/// One that every system has, so that this is seen whoever runs the test.
BOOST_AUTO_TEST_CASE(a_set_user_id_program_of_the_system) {
  for (const char* path : {"/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/newgrp", "/usr/bin/chsh"}) {
    struct stat s {};
    struct statvfs system {};
    if (::stat(path, &s) != 0 || (s.st_mode & S_ISUID) == 0 || s.st_uid != 0 || ::access(path, R_OK) != 0 ||
        ::statvfs(path, &system) != 0 || (system.f_flag & ST_NOSUID) != 0)
      continue;
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) break;
    const outcome o = launch({path, "--help"}, {.user = ::getuid() != 0 ? ::getuid() : nobody});
    BOOST_TEST(o.refused(), o);
    BOOST_TEST(o.err == std::string("heddle-malloc: ") + path +
                            " runs as user root, whoever starts it (set-user-ID), so the system ignores preloads\n");
    return;
  }
  skip("no such program here");
}

BOOST_AUTO_TEST_CASE(set_user_id_and_set_group_id) {
  if (!possible()) return;
  int run = 0, refused = 0;
  for (uid_t owner : {uid_t{0}, nobody, somebody})
    for (mode_t mode : {04755u, 02755u, 06755u, 02745u, 06745u, 04711u | 0044u, 0755u})
      for (uid_t user : {uid_t{0}, nobody})
        for (bool plain : {false, true}) {
          own(owner, owner, mode);
          const circumstances c{.user = user, .after = plain ? std::function<void()>(no_new_privileges) : nullptr};
          std::ostringstream words;
          words << std::oct << mode << std::dec << " of " << owner << " by " << user
                << (plain ? " without new rights" : "");
          agrees(program(), c, words.str()) ? ++run : ++refused;
        }
  BOOST_TEST(run > 20);
  BOOST_TEST(refused >= 20);
}

BOOST_AUTO_TEST_CASE(who_it_would_be_is_named) {
  if (!possible()) return;
  own(nobody, 0, 04755);
  const passwd* const known = ::getpwuid(nobody);
  BOOST_TEST(launch({program()}).says(program() + " runs as user " + (known ? known->pw_name : "65534") + ","));
  own(0, somebody, 02755);
  const group* const of = ::getgrgid(somebody);
  BOOST_TEST(launch({program()}).says(program() + " runs as group " + (of ? of->gr_name : "65533") + ","));
}

BOOST_AUTO_TEST_CASE(capabilities_of_the_file) {
  if (!possible()) return;
  constexpr std::uint32_t bind = 1u << CAP_NET_BIND_SERVICE;
  if (!give({bind, 0, true})) return skip("no such attributes in /tmp");
  if (preload(program(), {.user = nobody}).taken()) return skip("capabilities are not granted here");
  for (const capabilities& of :
       {capabilities{bind, 0, true}, {bind, 0, false}, {0, bind, false}, {0, 0, false}, {0, 0, true}})
    for (uid_t user : {uid_t{0}, nobody})
      for (bool plain : {false, true}) {
        BOOST_REQUIRE(give(of));
        const circumstances c{.user = user, .after = plain ? std::function<void()>(no_new_privileges) : nullptr};
        std::ostringstream words;
        words << "permitted " << of.permitted << " inheritable " << of.inheritable << " effective " << of.effective
              << " by " << user << (plain ? " without new rights" : "");
        const bool run = agrees(program(), c, words.str());
        if (user == 0) BOOST_TEST(run, words.str());
        if (user != 0 && of.effective) BOOST_TEST(!run, words.str());
      }
  BOOST_REQUIRE(give({bind, 0, true}));
  BOOST_TEST(launch({program()}, {.user = nobody}).says(program() + " has capabilities that its starter has not,"));
  // Not in the bounding set: nobody can have it.
  BOOST_REQUIRE(give({bind, 0, false}));
  agrees(program(), {.user = nobody, .before = [] { ::prctl(PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0); }},
         "out of bounds");
}

BOOST_AUTO_TEST_CASE(mounted_with_nosuid) {
  if (!possible()) return;
  const std::string folder = at / "programs";
  const auto mounted = [&] {
    const bool done = ::unshare(CLONE_NEWNS) == 0 &&
                      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                      ::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                      ::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_NOSUID, nullptr) == 0;
    if (!done) ::_exit(99);
  };
  own(0, 0, 06755);
  if (launch({program()}, {.before = mounted}).status == 99) return skip("cannot mount");
  BOOST_TEST(!agrees(program(), {.user = nobody}, "as usual"));
  BOOST_TEST(agrees(program(), {.user = nobody, .before = mounted}, "set-user-ID"));
  own(0, 0, 0755);
  if (give({1u << CAP_NET_BIND_SERVICE, 0, true}))
    BOOST_TEST(agrees(program(), {.user = nobody, .before = mounted}, "capabilities"));
}

BOOST_AUTO_TEST_CASE(owned_outside_of_the_namespace) {
  if (!possible()) return;
  const auto apart = [] {
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(99);
  };
  own(0, 0, 06755);
  if (launch({program()}, {.user = nobody, .after = apart}).status == 99) return skip("no user namespaces here");
  BOOST_TEST(agrees(program(), {.user = nobody, .after = apart}, "in a namespace without ids"));
}

BOOST_AUTO_TEST_CASE(of_scripts) {
  if (!possible()) return;
  // Bits of the script itself do not count.
  const std::string plain = write("plain", "#!" + program() + "\n");
  BOOST_REQUIRE(::chown(plain.c_str(), nobody, nobody) == 0 && ::chmod(plain.c_str(), 06755) == 0);
  BOOST_TEST(agrees(plain, {}, "a set-user-ID script"));
  own(nobody, nobody, 04755);
  const std::string script = write("script", "#!" + write("inner", "#!" + program() + "\n") + "\n");
  BOOST_TEST(!agrees(script, {}, "a set-user-ID interpreter"));
  const circumstances c{.environment = {"PATH=" + (at / "programs").string()}};
  const outcome o = launch({write("env_script", "#!/usr/bin/env program\n")}, c);
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says(program() + " runs as user "), o);
}

BOOST_AUTO_TEST_SUITE_END()
