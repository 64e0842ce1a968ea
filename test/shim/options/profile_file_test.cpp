// SPDX-License-Identifier: BSL-1.0
//
// Where a heap profile may be written: files that belong to others, or are reached by a link, keep their contents.
#define BOOST_TEST_MODULE shim_profile_file
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;
namespace fs = std::filesystem;

namespace {

constexpr uid_t nobody = 65534;

std::string text_of(const fs::path& p) {
  std::ifstream file(p);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& p, const std::string& text) { std::ofstream(p) << text; }

bool is_profile(const std::string& text) { return text.rfind("heap profile: ", 0) == 0; }

/// A folder of the test's own, in which a program runs that writes its heap profile.
struct folder {
  folder() {
    char name[] = "/tmp/heddle-profile-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name) != nullptr);
    at = name;
    ::umask(0);
  }
  ~folder() { fs::remove_all(at); }

  /// Runs /bin/true with its profile written to `file`; returns its output on stderr. `before`: the contents of "out",
  /// which is its stdout.
  std::string profile_to(const std::string& file) const {
    const std::string options = "profile=1" + (file.empty() ? "" : ",profile_file=" + file);
    const std::string command = "cd " + at.string() + " && exec timeout 20 env HEDDLE_MALLOC='" + options +
                                "' LD_PRELOAD=\"$HEDDLE_SHIM_SO\" /bin/true 2>err >>out";
    const std::string preload = "LD_PRELOAD=", wanted = std::string("HEDDLE_SHIM_SO=") + std::getenv("HEDDLE_SHIM_SO");
    std::string sh = "sh", c = "-c";
    char* arguments[] = {sh.data(), c.data(), const_cast<char*>(command.c_str()), nullptr};
    char* environment[] = {const_cast<char*>(preload.c_str()), const_cast<char*>(wanted.c_str()), nullptr};
    pid_t child = 0;
    BOOST_REQUIRE(::posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments, environment) == 0);
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
    return text_of(at / "err");
  }
  bool refuses(const std::string& file) const {
    return profile_to(file).find("heddle_malloc: the heap profile cannot be written to '" + file + "'") == 0;
  }

  fs::path at;
};

bool is_root() {
  if (::geteuid() == 0) return true;
  BOOST_TEST_MESSAGE("skipped: only root can make files of others");
  return false;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(profile_file, folder)

BOOST_AUTO_TEST_CASE(a_new_file_is_for_its_owner_alone) {
  BOOST_TEST(profile_to("new") == "");
  BOOST_TEST(is_profile(text_of(at / "new")));
  BOOST_TEST((fs::status(at / "new").permissions() == (fs::perms::owner_read | fs::perms::owner_write)));
}

BOOST_AUTO_TEST_CASE(the_name_that_is_chosen_if_none_is_given) {
  BOOST_TEST(profile_to("") == "");
  int found = 0;
  for (const auto& entry : fs::directory_iterator(at))
    if (entry.path().extension() == ".heap") {
      ++found;
      BOOST_TEST(is_profile(text_of(entry.path())));
    }
  BOOST_TEST(found == 1);
}

BOOST_AUTO_TEST_CASE(a_file_of_mine_is_written_anew) {
  write(at / "mine", std::string(1 << 20, 'x'));
  BOOST_TEST(profile_to("mine") == "");
  const std::string text = text_of(at / "mine");
  BOOST_TEST(is_profile(text));
  BOOST_TEST(text.find('x' + std::string("xxx")) == text.npos);
}

BOOST_AUTO_TEST_CASE(a_symbolic_link_is_not_followed) {
  write(at / "precious", "precious");
  fs::create_symlink("precious", at / "link");
  BOOST_TEST(refuses("link"));
  BOOST_TEST(text_of(at / "precious") == "precious");
  fs::create_symlink("nowhere", at / "dangling");
  BOOST_TEST(refuses("dangling"));
  BOOST_TEST(!fs::exists(at / "nowhere"));
}

BOOST_AUTO_TEST_CASE(a_file_with_another_name_is_not_written) {
  write(at / "precious", "precious");
  fs::create_hard_link(at / "precious", at / "second");
  BOOST_TEST(refuses("second"));
  BOOST_TEST(text_of(at / "precious") == "precious");
}

BOOST_AUTO_TEST_CASE(a_file_of_another_is_not_written) {
  if (!is_root()) return;
  write(at / "theirs", "theirs");
  BOOST_REQUIRE(::chown((at / "theirs").c_str(), nobody, nobody) == 0);
  BOOST_TEST(refuses("theirs"));
  BOOST_TEST(text_of(at / "theirs") == "theirs");
}

BOOST_AUTO_TEST_CASE(names_of_descriptors) {
  for (const char* name : {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"}) BOOST_TEST(is_profile(profile_to(name)));
  // The old contents stay.
  for (const char* name : {"/dev/stdout", "/dev/fd/1"}) {
    write(at / "out", "before");
    BOOST_TEST(profile_to(name) == "");
    const std::string text = text_of(at / "out");
    BOOST_TEST(text.rfind("before", 0) == 0);
    BOOST_TEST(is_profile(text.substr(6)));
  }
  for (const char* name : {"/dev/fd/777", "/dev/fd/", "/dev/fd/x", "/dev/fd/99999999999999999999"})
    BOOST_TEST(refuses(name));
}

BOOST_AUTO_TEST_CASE(pipes_and_devices) {
  const std::string pipe = at / "pipe";
  BOOST_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::string text;
  std::thread reader([&] {
    ::usleep(50'000);  // so that the writer may have to wait
    text = text_of(pipe);
  });
  BOOST_TEST(profile_to("pipe") == "");
  reader.join();
  BOOST_TEST(is_profile(text));
  BOOST_TEST(profile_to("/dev/null") == "");
  BOOST_TEST(refuses("/tmp"));
  if (!is_root()) return;
  BOOST_REQUIRE(::chown(pipe.c_str(), nobody, nobody) == 0);
  BOOST_TEST(refuses("pipe"));
}

BOOST_AUTO_TEST_SUITE_END()
