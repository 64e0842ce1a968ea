// SPDX-License-Identifier: BSL-1.0
#include "cpu_quota.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace heddle::detail {
namespace {

using quota = std::optional<unsigned>;

quota tighter(quota a, quota b) noexcept {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

/// Part of a CPU counts as a CPU.
quota cpus(double used, double period) noexcept {
  if (!(used > 0) || !(period > 0)) return std::nullopt;
  const double n = used / period;
  if (n >= std::numeric_limits<int>::max()) return std::nullopt;
  const auto whole = static_cast<unsigned>(n);
  return whole < n ? whole + 1 : whole;
}

template <class T>
std::optional<T> first_word(const std::string& path) {
  std::ifstream file(path);
  T word{};
  return file >> word ? std::optional(word) : std::nullopt;
}

quota quota_v2(const std::string& group) {
  std::ifstream file(group + "/cpu.max");
  double used = 0;
  double period = 0;
  return file >> used >> period ? cpus(used, period) : std::nullopt;  // "max" is no number
}

quota quota_v1(const std::string& group) {
  const auto used = first_word<double>(group + "/cpu.cfs_quota_us");  // -1: unlimited
  const auto period = first_word<double>(group + "/cpu.cfs_period_us");
  return used && period ? cpus(*used, *period) : std::nullopt;
}

/// Whether one of the words between commas is `word`.
bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

/// A hierarchy of cgroups, as /proc/self/mountinfo has it.
struct hierarchy {
  int version;
  std::string root;  ///< the group that is seen at the mount point
  std::string mount_point;
};

/// In mountinfo blanks are written as octal numbers.
std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i != text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// The hierarchies that may limit CPUs.
std::vector<hierarchy> hierarchies(const std::string& root) {
  std::vector<hierarchy> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    // id parent device root mount-point options optional-fields... - type source super-options
    std::istringstream words(line);
    std::string id, parent, device, group, mount_point, word, type, source, options;
    if (!(words >> id >> parent >> device >> group >> mount_point)) continue;
    while (words >> word && word != "-") {
    }
    words >> type >> source >> options;
    const bool v2 = type == "cgroup2";
    if (v2 || (type == "cgroup" && has_word(options, "cpu")))
      found.push_back({v2 ? 2 : 1, without_escapes(group), without_escapes(mount_point)});
  }
  return found;
}

/// The path of this process's group in the hierarchy that limits CPUs, of that version; nothing if it has none.
std::optional<std::string> own_group(const std::string& root, int version) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? line.compare(0, 3, "0::") == 0 : has_word(controllers, "cpu")) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// The part of `path` below the group that the mount point shows; nothing if the mount does not hold it.
std::optional<std::string> below(const hierarchy& h, const std::string& path) {
  const std::string shown = h.root == "/" ? std::string() : h.root;
  if (path.compare(0, shown.size(), shown) != 0 || path.compare(0, 4, "/../") == 0) return std::nullopt;
  if (path.size() != shown.size() && path[shown.size()] != '/') return std::nullopt;
  return path.substr(shown.size());
}

/// The least quota of the groups from `path`, which is below the mount point, up to that.
quota tightest(const std::string& root, const hierarchy& h, std::string path) {
  quota least;
  for (;; path.resize(path.rfind('/'))) {
    const std::string group = root + h.mount_point + path;
    least = tighter(least, h.version == 2 ? quota_v2(group) : quota_v1(group));
    if (path.rfind('/') == std::string::npos) return least;
  }
}

}  // namespace

std::optional<unsigned> cpu_quota(const std::string& root) {
  const std::vector<hierarchy> all = hierarchies(root);
  quota least;
  for (const int version : {1, 2}) {
    const auto path = own_group(root, version);
    if (!path) continue;
    // Inside a container the mount point may show the container's own group though no mount seems to hold that.
    const bool held = std::any_of(all.begin(), all.end(),
                                  [&](const hierarchy& h) { return h.version == version && below(h, *path); });
    for (const hierarchy& h : all) {
      if (h.version != version) continue;
      if (const auto part = below(h, *path); part || !held)
        least = tighter(least, tightest(root, h, part.value_or(std::string())));
    }
  }
  return least;
}

}  // namespace heddle::detail
