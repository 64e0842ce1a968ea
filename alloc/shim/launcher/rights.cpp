// SPDX-License-Identifier: BSL-1.0
#include "rights.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace heddle::launcher {
namespace {

using capability_set = std::uint64_t;

/// Of this process.
struct own_rights {
  capability_set permitted = 0, inheritable = 0, bounding = 0;
  bool no_new_privileges = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;

  own_rights() {
    std::ifstream status("/proc/self/status");
    for (std::string name; status >> name;) {
      if (name == "CapPrm:") status >> std::hex >> permitted;
      if (name == "CapInh:") status >> std::hex >> inheritable;
      if (name == "CapBnd:") status >> std::hex >> bounding;
    }
  }
};

/// Whether an id of this user namespace has a meaning: files of others have none, and their bits do not count.
bool mapped(const char* map, std::uint64_t id) {
  std::ifstream lines(map);
  if (!lines) return true;
  for (std::uint64_t first = 0, outside = 0, count = 0; lines >> first >> outside >> count;)
    if (id >= first && id - first < count) return true;
  return false;
}

std::string user_name(uid_t id) {
  const passwd* const known = ::getpwuid(id);
  return known != nullptr ? known->pw_name : std::to_string(id);
}

std::string group_name(gid_t id) {
  const group* const known = ::getgrgid(id);
  return known != nullptr ? known->gr_name : std::to_string(id);
}

/// Capabilities of a file as it has them for this user namespace.
struct file_capabilities {
  capability_set permitted = 0, inheritable = 0;
  bool effective = false;  ///< whoever executes the file has them at once

  explicit file_capabilities(const std::string& path) {
    vfs_ns_cap_data data{};
    const ssize_t size = ::getxattr(path.c_str(), "security.capability", &data, sizeof data);
    const std::uint32_t revision = data.magic_etc & VFS_CAP_REVISION_MASK;
    // Revision 3 is shown only for those of another user namespace.
    const int words = revision == VFS_CAP_REVISION_2 ? 2 : revision == VFS_CAP_REVISION_1 ? 1 : 0;
    if (size < static_cast<ssize_t>(sizeof data.magic_etc) || words == 0) return;
    effective = (data.magic_etc & VFS_CAP_FLAGS_EFFECTIVE) != 0;
    for (int i = 0; i != words; ++i) {
      permitted |= capability_set{data.data[i].permitted} << (32 * i);
      inheritable |= capability_set{data.data[i].inheritable} << (32 * i);
    }
  }
};

/// Whether the capabilities of a file make a process of this user secure.
bool grants_capabilities(const std::string& path, const own_rights& own) {
  if (::getuid() == 0) return false;
  const file_capabilities file(path);
  capability_set granted = (file.permitted & own.bounding) | (file.inheritable & own.inheritable);
  if (own.no_new_privileges) granted &= own.permitted;
  return file.effective || granted != 0;
}

}  // namespace

std::string becomes_secure(const std::string& path) {
  const own_rights own;
  struct stat s {};
  struct statvfs system {};
  if (::stat(path.c_str(), &s) != 0 || ::statvfs(path.c_str(), &system) != 0) return "cannot be looked at";
  const bool counts = (system.f_flag & ST_NOSUID) == 0;
  uid_t user = ::geteuid();
  gid_t group = ::getegid();
  if (counts && !own.no_new_privileges && mapped("/proc/self/uid_map", s.st_uid) &&
      mapped("/proc/self/gid_map", s.st_gid)) {
    if ((s.st_mode & S_ISUID) != 0) user = s.st_uid;
    // Without the right to execute it, set-group-ID once meant another thing.
    if ((s.st_mode & S_ISGID) != 0 && (s.st_mode & S_IXGRP) != 0) group = s.st_gid;
  }
  if (user != ::getuid()) return "runs as user " + user_name(user) + ", whoever starts it (set-user-ID)";
  if (group != ::getgid()) return "runs as group " + group_name(group) + ", whoever starts it (set-group-ID)";
  if (counts && grants_capabilities(path, own)) return "has capabilities that its starter has not";
  return "";
}

}  // namespace heddle::launcher
