// SPDX-License-Identifier: BSL-1.0
//
// The limits of CPUs in cgroups of both versions, read from a folder that looks like a system's root.
#include "cpu_quota.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "settings.hpp"

namespace {

using heddle::detail::cpu_quota;
using quota = std::optional<unsigned>;

/// A root folder that is removed with the object.
class fake_root {
 public:
  fake_root() {
    std::string name = std::filesystem::temp_directory_path() / "heddle-root-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~fake_root() { std::filesystem::remove_all(path_); }
  fake_root(const fake_root&) = delete;
  fake_root& operator=(const fake_root&) = delete;

  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path at = path_ + file;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at) << text;
  }
  void group(const std::string& folder, const std::string& used, const std::string& period = "100000") const {
    write(folder + "/cpu.cfs_quota_us", used + "\n");
    write(folder + "/cpu.cfs_period_us", period + "\n");
  }
  quota found() const { return cpu_quota(path_); }
  unsigned usable() const { return heddle::detail::usable_processors(path_.c_str()); }

 private:
  std::string path_;
};

/// As systemd mounts version 1.
const char* const mounts_v1 =
    "25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "31 25 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    "34 25 0:29 / /sys/fs/cgroup/cpuset rw,nosuid shared:14 - cgroup cgroup rw,cpuset\n"
    "33 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 master:3 - cgroup cgroup rw,cpu,cpuacct\n";
const char* const in_v1 =
    "7:cpuset:/\n"
    "4:cpu,cpuacct:/user.slice/job\n"
    "1:name=systemd:/user.slice/job/shell\n"
    "0::/user.slice/job/shell\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(quotas)

BOOST_AUTO_TEST_CASE(none_without_cgroups) {
  const fake_root root;
  BOOST_TEST((root.found() == quota()));
  root.write("/proc/self/mountinfo", "nonsense\n\n- - -\n");
  root.write("/proc/self/cgroup", "nonsense\n::\n:\n");
  BOOST_TEST((root.found() == quota()));
}

BOOST_AUTO_TEST_CASE(of_version_1) {
  const fake_root root;
  root.write("/proc/self/mountinfo", mounts_v1);
  root.write("/proc/self/cgroup", in_v1);
  const std::string mount = "/sys/fs/cgroup/cpu,cpuacct";
  BOOST_TEST((root.found() == quota()));  // nothing can be read
  root.group(mount, "-1");
  root.group(mount + "/user.slice/job", "-1");
  BOOST_TEST((root.found() == quota()));
  root.group(mount + "/user.slice/job", "200000");
  BOOST_TEST((root.found() == quota(2)));
  root.group(mount + "/user.slice/job", "200001");
  BOOST_TEST((root.found() == quota(3)));  // part of a CPU counts as a CPU
  root.group(mount + "/user.slice/job", "25000", "50000");
  BOOST_TEST((root.found() == quota(1)));
  root.group(mount + "/user.slice/job", "150000", "50000");
  BOOST_TEST((root.found() == quota(3)));
}

BOOST_AUTO_TEST_CASE(the_least_of_all_above) {
  const fake_root root;
  root.write("/proc/self/mountinfo", mounts_v1);
  root.write("/proc/self/cgroup", in_v1);
  const std::string mount = "/sys/fs/cgroup/cpu,cpuacct";
  root.group(mount + "/user.slice/job", "400000");
  root.group(mount + "/user.slice", "300000");
  BOOST_TEST((root.found() == quota(3)));
  root.group(mount, "100000");
  BOOST_TEST((root.found() == quota(1)));
  root.group(mount + "/user.slice/other", "1000");  // not ours
  root.group(mount + "/user.slice/job/shell", "1000");
  root.group(mount, "500000");
  BOOST_TEST((root.found() == quota(3)));
}

BOOST_AUTO_TEST_CASE(of_version_2) {
  const fake_root root;
  root.write("/proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
  root.write("/proc/self/cgroup", "0::/a/b\n");
  root.write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  BOOST_TEST((root.found() == quota()));
  root.write("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  BOOST_TEST((root.found() == quota(3)));
  root.write("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  BOOST_TEST((root.found() == quota(1)));
}

BOOST_AUTO_TEST_CASE(of_both_at_once_the_less) {
  const fake_root root;
  root.write("/proc/self/mountinfo", mounts_v1);
  root.write("/proc/self/cgroup", in_v1);
  root.group("/sys/fs/cgroup/cpu,cpuacct/user.slice/job", "300000");
  root.write("/sys/fs/cgroup/unified/user.slice/job/shell/cpu.max", "200000 100000\n");
  BOOST_TEST((root.found() == quota(2)));
}

/// A mount that shows another group tells nothing, as long as one holds ours.
BOOST_AUTO_TEST_CASE(mounted_twice) {
  const fake_root root;
  root.write("/proc/self/mountinfo",
             std::string(mounts_v1) + "50 39 0:30 /docker/other /mnt/other rw - cgroup cgroup rw,cpuacct,cpu\n");
  root.write("/proc/self/cgroup", in_v1);
  root.group("/sys/fs/cgroup/cpu,cpuacct/user.slice/job", "300000");
  root.group("/mnt/other", "100000");
  BOOST_TEST((root.found() == quota(3)));
}

BOOST_AUTO_TEST_CASE(inside_a_container) {
  const fake_root root;
  // The container's own group stands at the mount point, though the path is that of the host.
  root.write("/proc/self/mountinfo", "40 39 0:30 /docker/0a1b /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpuacct,cpu\n");
  root.write("/proc/self/cgroup", "4:cpuacct,cpu:/docker/0a1b\n");
  root.group("/sys/fs/cgroup/cpu", "150000");
  BOOST_TEST((root.found() == quota(2)));
  root.write("/proc/self/cgroup", "4:cpuacct,cpu:/docker/0a1b/inner\n");
  root.group("/sys/fs/cgroup/cpu/inner", "50000");
  BOOST_TEST((root.found() == quota(1)));
  // A path that only begins with the same letters, or leads out of the mount: the mounted group counts instead.
  for (const char* outside : {"4:cpu:/docker/0a1b2/inner\n", "4:cpu:/../inner\n", "4:cpu:/elsewhere/inner\n"}) {
    root.write("/proc/self/cgroup", outside);
    BOOST_TEST((root.found() == quota(2)), outside);
  }
}

BOOST_AUTO_TEST_CASE(a_path_out_of_the_namespace) {
  const fake_root root;
  root.write("/proc/self/mountinfo", "40 39 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  root.write("/proc/self/cgroup", "0::/../../other\n");
  root.write("/sys/cpu.max", "10000 100000\n");  // where the dots would lead
  root.write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  BOOST_TEST((root.found() == quota(2)));
}

BOOST_AUTO_TEST_CASE(names_with_blanks_and_colons) {
  const fake_root root;
  root.write("/proc/self/mountinfo", "40 39 0:30 / /my\\040groups/cpu rw - cgroup cgroup rw,cpu\n");
  root.write("/proc/self/cgroup", "4:cpu:/a:b c\n");
  root.group("/my groups/cpu/a:b c", "200000");
  BOOST_TEST((root.found() == quota(2)));
}

BOOST_AUTO_TEST_CASE(other_controllers_and_odd_numbers_limit_nothing) {
  const fake_root root;
  root.write("/proc/self/mountinfo",
             "40 39 0:30 / /g rw - cgroup cgroup rw,cpuacct\n41 39 0:31 / /h rw - cgroup cgroup rw,cpu\n");
  root.write("/proc/self/cgroup", "4:cpuacct:/\n5:cpu:/\n");
  root.group("/g", "100000");
  BOOST_TEST((root.found() == quota()));
  for (const char* odd : {"0", "-1", "", "many", "-100000"}) {
    root.group("/h", odd);
    BOOST_TEST((root.found() == quota()), odd);
  }
  root.group("/h", "100000", "0");
  BOOST_TEST((root.found() == quota()));
  root.group("/h", "99999999999999999", "1");
  BOOST_TEST((root.found() == quota()));
  root.group("/h", "1", "1000000");
  BOOST_TEST((root.found() == quota(1)));
  BOOST_TEST(root.usable() == 1u);
  root.group("/h", "100000000");
  BOOST_TEST((root.found() == quota(1000)));
  BOOST_TEST(root.usable() <= 1000u);
}

BOOST_AUTO_TEST_CASE(the_real_one_is_obeyed) {
  const quota real = cpu_quota();
  BOOST_TEST(heddle::detail::usable_processors() >= 1u);
  if (real) BOOST_TEST(heddle::detail::usable_processors() <= *real);
}

BOOST_AUTO_TEST_SUITE_END()
