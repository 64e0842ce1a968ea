// SPDX-License-Identifier: BSL-1.0
#include "directory.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <heddle/blocking.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "date_text.hpp"
#include "ranges.hpp"

namespace examples::http {
namespace {

/// A descriptor that is closed at the end.
class file {
 public:
  explicit file(int fd) noexcept : fd_(fd) {}
  file(file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file& operator=(file&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

struct found {
  file opened{-1};
  struct stat about {};
  int error = 0;
};

/// Does not wait for the writer of a pipe, and opens no terminal as ours.
found open_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return heddle::blocking([&] {
    found f;
    f.opened = file(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    if (f.opened.get() < 0 || ::fstat(f.opened.get(), &f.about) != 0) f.error = errno;
    return f;
  });
}

unsigned status_for(int error) noexcept {
  switch (error) {
    case EACCES:
    case EPERM: return 403;
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: return 404;  // EXDEV: the path leads out
    case EMFILE:
    case ENFILE: return 503;
    default: return 500;
  }
}

void fail(response& a, unsigned status) {
  a.status(status);
  a.send();
}

std::string etag_of(const struct stat& about) {
  char text[64];
  const int size =
      std::snprintf(text, sizeof text, "\"%lx-%lx.%lx-%lx\"", static_cast<unsigned long>(about.st_ino),
                    static_cast<unsigned long>(about.st_mtim.tv_sec), static_cast<unsigned long>(about.st_mtim.tv_nsec),
                    static_cast<unsigned long>(about.st_size));
  return {text, static_cast<std::size_t>(size)};
}

/// Whether a list of tags has this one; for a GET weak ones count, too.
bool has_tag(std::string_view list, std::string_view tag) {
  for (;;) {
    const auto comma = list.find(',');
    auto one = list.substr(0, comma);
    while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
    while (one.ends_with(' ') || one.ends_with('\t')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == tag || one == "*") return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

/// The client has it already (RFC 9110, section 13.2.2).
bool is_unchanged(const request& q, const struct stat& about, std::string_view tag) {
  if (const auto tags = q.field(beast::field::if_none_match)) return has_tag(*tags, tag);
  const auto since = q.field(beast::field::if_modified_since);
  const std::time_t when = since ? time_of(*since) : -1;
  return when >= 0 && about.st_mtim.tv_sec <= when;
}

/// Whether Range counts: what the client has a part of is still the same (section 13.1.5). Dates are no strong
/// validators for files that change twice in a second: they do not match.
bool may_be_part(const request& q, std::string_view tag) {
  if (q.method() != beast::verb::get) return false;
  const auto condition = q.field(beast::field::if_range);
  return !condition || *condition == tag;
}

std::string content_range(const byte_range& range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + '-' + std::to_string(range.first + range.size - 1) + '/' +
         std::to_string(size);
}

void send_part(response& a, const found& f, const byte_range& range) {
  a.send_file(f.opened.get(), static_cast<off_t>(range.first), range.size);
}

/// Several parts, each with a header of its own (section 14.6).
void send_parts(response& a, const found& f, std::string_view type, const std::vector<byte_range>& ranges) {
  // A file that has this line in it is no harm: clients know where parts end by their Content-Range.
  static constexpr std::string_view boundary = "heddle.7d1c8f6a52e94b03";
  const auto size = static_cast<std::uint64_t>(f.about.st_size);
  std::vector<std::string> heads;
  const std::string last = "\r\n--" + std::string(boundary) + "--\r\n";
  std::uint64_t total = last.size();
  for (const byte_range& range : ranges) {
    heads.push_back("\r\n--" + std::string(boundary) + "\r\nContent-Type: " + std::string(type) +
                    "\r\nContent-Range: " + content_range(range, size) + "\r\n\r\n");
    total += heads.back().size() + range.size;
  }
  a.add(beast::field::content_type, "multipart/byteranges; boundary=" + std::string(boundary));
  a.begin(total);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    a.write(heads[i]);
    a.write_file(f.opened.get(), static_cast<off_t>(ranges[i].first), ranges[i].size);
  }
  a.write(last);
  a.end();
}

void send(const request& q, response& a, const found& f, std::string_view path) {
  const std::string tag = etag_of(f.about);
  const auto size = static_cast<std::uint64_t>(f.about.st_size);
  a.add(beast::field::etag, tag);
  a.add(beast::field::last_modified, date_of(f.about.st_mtim.tv_sec));
  a.add(beast::field::accept_ranges, "bytes");
  if (is_unchanged(q, f.about, tag)) return fail(a, 304);
  const std::string_view type = content_type_of(path);
  const auto field = may_be_part(q, tag) ? q.field(beast::field::range) : std::nullopt;
  const auto ranges = field ? parse_ranges(*field, size) : std::nullopt;
  if (ranges && ranges->empty()) {
    a.add(beast::field::content_range, "bytes */" + std::to_string(size));
    return fail(a, 416);
  }
  if (ranges) a.status(206);
  if (ranges && ranges->size() > 1) return send_parts(a, f, type, *ranges);
  a.add(beast::field::content_type, type);
  if (!ranges) return send_part(a, f, {0, size});
  a.add(beast::field::content_range, content_range(ranges->front(), size));
  send_part(a, f, ranges->front());
}

/// The path of a target as it was sent, without the slashes in front; nothing: it has none.
std::optional<std::string_view> raw_path(std::string_view target) {
  if (const auto scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
    const auto path = target.find('/', scheme + 3);  // a whole URI, as for proxies (RFC 9112, section 3.2.2)
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(0, target.find_first_of("?#"));
  return target.substr(std::min(target.find_first_not_of('/'), target.size()));
}

int value_of(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char letter = static_cast<char>(digit | 32);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

}  // namespace

std::optional<std::string> path_of(std::string_view target) {
  const auto raw = raw_path(target);
  if (!raw) return std::nullopt;
  std::string path;
  for (std::size_t i = 0; i < raw->size(); ++i) {
    char c = (*raw)[i];
    if (c == '%') {
      const int high = i + 1 < raw->size() ? value_of((*raw)[i + 1]) : -1;
      const int low = i + 2 < raw->size() ? value_of((*raw)[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    path += c;
  }
  return path.empty() ? "." : path;
}

std::string_view content_type_of(std::string_view path) noexcept {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 25> types{
      {{".html", "text/html; charset=utf-8"},
       {".htm", "text/html; charset=utf-8"},
       {".css", "text/css; charset=utf-8"},
       {".js", "text/javascript; charset=utf-8"},
       {".mjs", "text/javascript; charset=utf-8"},
       {".txt", "text/plain; charset=utf-8"},
       {".md", "text/plain; charset=utf-8"},
       {".json", "application/json"},
       {".svg", "image/svg+xml"},
       {".png", "image/png"},
       {".jpg", "image/jpeg"},
       {".gif", "image/gif"},
       {".webp", "image/webp"},
       {".avif", "image/avif"},
       {".ico", "image/x-icon"},
       {".mp4", "video/mp4"},
       {".webm", "video/webm"},
       {".mp3", "audio/mpeg"},
       {".ogg", "audio/ogg"},
       {".wav", "audio/wav"},
       {".xml", "application/xml"},
       {".zip", "application/zip"},
       {".wasm", "application/wasm"},
       {".pdf", "application/pdf"},
       {".woff2", "font/woff2"}}};
  for (const auto& [end, type] : types)
    if (path.ends_with(end)) return type;
  return "application/octet-stream";
}

directory::directory(const std::string& path) : root_(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (root_ < 0) throw std::system_error(errno, std::generic_category(), "http::directory: " + path);
}

directory::~directory() { ::close(root_); }

void directory::operator()(request& q, response& a) const {
  if (q.method() != beast::verb::get && !q.is_head()) {
    a.add(beast::field::allow, "GET, HEAD");
    return fail(a, 405);
  }
  auto path = path_of(q.target());
  if (!path) return fail(a, 400);
  found f = open_beneath(root_, *path);
  if (f.error == 0 && S_ISDIR(f.about.st_mode)) {
    // Without a slash at the end, links in the page would be relative to the wrong directory.
    if (*path != "." && !path->ends_with('/')) {
      // One slash in front: after two a browser would take the first part for a host.
      a.add(beast::field::location, '/' + std::string(*raw_path(q.target())) + '/');
      return fail(a, 301);
    }
    *path += path->ends_with('/') ? "index.html" : "/index.html";
    f = open_beneath(root_, *path);
  }
  if (f.error != 0) return fail(a, status_for(f.error));
  if (!S_ISREG(f.about.st_mode)) return fail(a, 403);
  send(q, a, f, *path);
}

}  // namespace examples::http
