// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <string>
#include <vector>

#include "heddle/io/buffered.hpp"
#include "net/file_ring_in_use.hpp"
#include "net/temporary.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::io::buffered_reader;
using heddle::io::buffered_writer;
using heddle::io::file;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::temporary_folder;
using heddle::testing::with_crew;

static_assert(heddle::io::byte_source<file> && heddle::io::byte_sink<file>);

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

std::vector<std::byte> pattern(std::size_t n, std::size_t seed) {
  std::vector<std::byte> b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>((i + seed) * 7 + i / 251);
  return b;
}

std::string content(const file& f) {
  std::vector<std::byte> all(f.size());
  BOOST_TEST(f.read_at(all, 0) == all.size());
  return text_of(all);
}

/// Where files lie that the system always has to be asked for twice: in memory, as it happens.
const char* in_memory() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(files, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(read_and_write_anywhere) {
  const temporary_folder folder;
  for (const auto& setting : all_settings) {
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT | O_TRUNC);
    with_crew(setting, [&](crew& c) {
      for (std::size_t i = 0; i < 8; ++i)
        c.start([&, i] {
          const auto mine = pattern(100'000, i);
          std::vector<std::byte> got(mine.size());
          for (int n = 0; n < 3; ++n) {
            expect(f.write_at(mine, i * mine.size()) == mine.size());
            expect(f.read_at(got, i * mine.size()) == got.size() && got == mine);
          }
        });
      c.join();
    });
    BOOST_TEST(f.size() == 800'000u);
  }
}

BOOST_AUTO_TEST_CASE(reads_end_with_the_file) {
  const temporary_folder folder;
  folder.write("f", "0123456789");
  const file f = file::open(folder.path("f"));
  std::array<std::byte, 4> four;
  BOOST_TEST(f.read_at(four, 3) == 4u);
  BOOST_TEST(text_of(four) == "3456");
  BOOST_TEST(f.read_at(four, 8) == 2u);
  BOOST_TEST(f.read_at(four, 10) == 0u);
  BOOST_TEST(f.read_at(four, 1'000'000) == 0u);
  BOOST_TEST(f.read_at({}, 0) == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_not_in_memory_is_read_too) {
  const temporary_folder folder;
  const auto written = pattern(3'000'000, 1);
  for (const auto& setting : all_settings) {
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT);
    f.write_at(written, 0);
    f.sync(file::durability::data);
    with_crew(setting, [&](crew& c) {
      for (int i = 0; i < 3; ++i)
        c.start([&] {
          ::posix_fadvise(f.native_handle(), 0, 0, POSIX_FADV_DONTNEED);
          std::vector<std::byte> got(written.size());
          expect(f.read_at(got, 0) == got.size() && got == written);
        });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(systems_that_know_no_attempts) {
  std::string path;
  if (in_memory() != nullptr) path = in_memory() + std::string("/heddle-") + std::to_string(::getpid());
  if (path.empty()) return;
  heddle::run([&] {
    file f = file::open(path, O_RDWR | O_CREAT | O_EXCL);
    ::unlink(path.c_str());
    BOOST_TEST(f.write("abc") == 3u);
    BOOST_TEST(f.write_at(bytes("de"), 3) == 2u);
    BOOST_TEST(content(f) == "abcde");
    const file of_system = file::open("/proc/self/status");
    std::array<std::byte, 5> name;
    BOOST_TEST(of_system.read_at(name, 0) == 5u);
    BOOST_TEST(text_of(name) == "Name:");
  });
}

BOOST_AUTO_TEST_CASE(the_position_moves) {
  const temporary_folder folder;
  heddle::run([&] {
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT);
    f.write("one ");
    f.write("two");
    f.write_at(bytes("O"), 0);
    std::array<std::byte, 64> b;
    BOOST_TEST(f.read_some(b) == 0u);
    file again = file::open(folder.path("f"));
    BOOST_TEST(again.read_some(std::span(b).first(3)) == 3u);
    BOOST_TEST(text_of(std::span(b).first(3)) == "One");
    BOOST_TEST(again.read_some(b) == 4u);
    BOOST_TEST(again.read_some(b) == 0u);
    file at_end = file::open(folder.path("f"), O_WRONLY | O_APPEND);
    at_end.write("!");
    at_end.write_at(bytes("?"), 0);
    BOOST_TEST(content(f) == "One two!?");
  });
}

BOOST_AUTO_TEST_CASE(with_buffers) {
  const temporary_folder folder;
  heddle::run([&] {
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT);
    {
      buffered_writer out(f);
      for (int i = 0; i < 10'000; ++i) out.write(std::to_string(i) + '\n');
    }
    file again = file::open(folder.path("f"));
    buffered_reader in(again);
    int i = 0;
    for (const std::string_view line : lines(in)) BOOST_TEST_REQUIRE(line == std::to_string(i++));
    BOOST_TEST(i == 10'000);
  });
}

BOOST_AUTO_TEST_CASE(size_and_sync) {
  const temporary_folder folder;
  heddle::run([&] {
    file f = file::open(folder.path("f"), O_RDWR | O_CREAT, 0640);
    struct ::stat status {};
    BOOST_TEST(::fstat(f.native_handle(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777 & ~0640u) == 0u);
    BOOST_TEST((::fcntl(f.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    f.write("0123456789");
    f.resize(4);
    BOOST_TEST(content(f) == "0123");
    f.resize(6);
    BOOST_TEST(content(f) == std::string("0123\0\0", 6));
    f.sync();
    f.sync(file::durability::data);
  });
}

BOOST_AUTO_TEST_CASE(errors) {
  const temporary_folder folder;
  const std::string path = folder.path("f");
  const auto text = [](auto act) -> std::string {
    try {
      act();
    } catch (const heddle::io::error& e) {
      return e.what();
    }
    return "no exception";
  };
  heddle::run([&] {
    BOOST_TEST(text([&] { file::open(path); }) == "open " + path + ": No such file or directory");
    file f = file::open(path, O_WRONLY | O_CREAT);
    std::array<std::byte, 4> four{};
    BOOST_TEST(text([&] { f.read_at(four, 0); }) == "read from " + path + ": Bad file descriptor");
    std::error_code ec;
    file reader = file::open(path);
    BOOST_TEST(reader.write_at(four, 0, ec) == 0u);
    BOOST_TEST((ec == std::errc::bad_file_descriptor));
    reader.write(four, {}, ec);
    BOOST_TEST((ec == std::errc::bad_file_descriptor));
    BOOST_TEST(reader.read_at(four, std::numeric_limits<std::uint64_t>::max(), ec) == 0u);
    BOOST_TEST((ec == std::errc::invalid_argument));
    BOOST_TEST(f.write_at(four, std::uint64_t{1} << 63, ec) == 0u);
    BOOST_TEST((ec == std::errc::invalid_argument));
    reader.resize(1, ec);
    BOOST_TEST((ec == std::errc::invalid_argument));
    f.resize(std::uint64_t{1} << 63, ec);
    BOOST_TEST((ec == std::errc::invalid_argument));
    f.close();
    BOOST_TEST(!f.is_open());
    BOOST_TEST(text([&] { f.size(); }) == "ask for the size of a closed file: Bad file descriptor");
    BOOST_TEST(text([&] { f.sync(); }) == "sync a closed file: Bad file descriptor");
    BOOST_TEST(text([&] { f.read_some(four); }) == "read from a closed file: Bad file descriptor");
  });
}

BOOST_AUTO_TEST_SUITE_END()
