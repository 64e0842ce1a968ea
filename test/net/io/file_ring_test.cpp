// SPDX-License-Identifier: BSL-1.0
#include "file_ring.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "heddle/io/file.hpp"
#include "heddle/latch.hpp"
#include "net/file_ring_in_use.hpp"
#include "net/temporary.hpp"
#include "net_settings.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::io::file;
using heddle::io::detail::file_ring;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::temporary_folder;
using heddle::testing::times;

constexpr std::size_t block = 4096, blocks = 256;

std::byte at(std::size_t offset) { return static_cast<std::byte>(offset / block * 7 + offset); }

/// Memory as O_DIRECT wants it.
struct aligned_block {
  std::unique_ptr<std::byte, decltype(&std::free)> memory{static_cast<std::byte*>(std::aligned_alloc(block, block)),
                                                          &std::free};
  std::span<std::byte> bytes() const { return {memory.get(), block}; }
  bool is_block(std::size_t n) const {
    for (std::size_t i = 0; i != block; ++i)
      if (memory.get()[i] != at(n * block + i)) return false;
    return true;
  }
  void fill(std::size_t n) const {
    for (std::size_t i = 0; i != block; ++i) memory.get()[i] = at(n * block + i);
  }
};

/// A file on a disk, if temporary files are; none of it is in memory then.
class cold_file {
 public:
  explicit cold_file(int flags = 0) {
    file whole = file::open(path(), O_RDWR | O_CREAT);
    const aligned_block b;
    for (std::size_t n = 0; n != blocks; ++n) {
      b.fill(n);
      whole.write_at(b.bytes(), n * block);
    }
    whole.sync();
    ::posix_fadvise(whole.native_handle(), 0, 0, POSIX_FADV_DONTNEED);
    std::error_code ec;
    f = file::open(path(), O_RDWR | flags, 0, ec);
    if (f.is_open()) ::posix_fadvise(f.native_handle(), 0, 0, POSIX_FADV_RANDOM);
  }
  std::string path() const { return folder_.path("cold"); }
  /// Whether all blocks are as they were written, read by fibers.
  bool is_right(std::size_t fibers) const {
    std::atomic<bool> right{true};
    std::vector<heddle::join_handle<void>> all;
    for (std::size_t i = 0; i != fibers; ++i)
      all.push_back(heddle::spawn([&, i] {
        const aligned_block b;
        for (std::size_t n = i % blocks; n < blocks; n += fibers)
          if (f.read_at(b.bytes(), n * block) != block || !b.is_block(n)) right = false;
      }));
    for (auto& one : all) one.join();
    return right;
  }

  file f;

 private:
  temporary_folder folder_;
};

/// Whether this system lets a process have a ring. Where it does not, only the tests of that have something to test.
bool has_ring() { return file_ring::instance() != nullptr; }
auto where_there_is_a_ring() {
  return boost::unit_test::precondition(
      [](boost::unit_test::test_unit_id) { return boost::test_tools::assertion_result(has_ring()); });
}
std::size_t completed() { return file_ring::instance()->completed(); }

/// From now on system calls of that number fail with EPERM.
void forbid(unsigned call) {
  const auto number = static_cast<unsigned>(offsetof(seccomp_data, nr));
  std::array<sock_filter, 4> program = {
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(100);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(101);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(file_rings, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(read_write_and_sync, *where_there_is_a_ring()) {
  const cold_file cold;
  for (const unsigned procs : {1u, 2u})
    heddle::run(
        [&] {
          file_ring& ring = *file_ring::instance();
          const int fd = cold.f.native_handle();
          const std::size_t so_far = completed();
          const aligned_block b;
          BOOST_TEST(ring.read(fd, b.bytes(), 3 * block).value() == block);
          BOOST_TEST(b.is_block(3));
          BOOST_TEST(ring.read(fd, b.bytes(), blocks * block - 5).value() == 5, "the end is near");
          BOOST_TEST(ring.read(fd, b.bytes(), blocks * block).value() == 0);
          b.fill(7);
          BOOST_TEST(ring.write(fd, b.bytes(), 7 * block).value() == block);
          BOOST_TEST(ring.sync(fd, true).value() == 0);
          BOOST_TEST(ring.sync(fd, false).value() == 0);
          BOOST_TEST(ring.read(fd, b.bytes(), 7 * block).value() == block);
          BOOST_TEST(b.is_block(7));
          BOOST_TEST(completed() == so_far + 7);
        },
        {.procs = procs});
}

BOOST_AUTO_TEST_CASE(errors, *where_there_is_a_ring()) {
  const temporary_folder folder;
  heddle::run([&] {
    file_ring& ring = *file_ring::instance();
    const aligned_block b;
    BOOST_TEST(ring.read(-1, b.bytes(), 0).value() == -EBADF);
    const file writer = file::open(folder.path("f"), O_WRONLY | O_CREAT);
    BOOST_TEST(ring.read(writer.native_handle(), b.bytes(), 0).value() == -EBADF);
    const file directory = file::open(folder.path("."), O_RDONLY | O_DIRECTORY);
    BOOST_TEST(ring.read(directory.native_handle(), b.bytes(), 0).value() == -EISDIR);
    BOOST_TEST(ring.sync(-1, true).value() == -EBADF);
    const cold_file cold;
    auto* const nowhere = reinterpret_cast<std::byte*>(std::uintptr_t{4096});
    BOOST_TEST(ring.read(cold.f.native_handle(), {nowhere, block}, 0).value() == -EFAULT);
  });
}

BOOST_AUTO_TEST_CASE(errors_of_files) {
  const cold_file cold(O_DIRECT);
  if (!cold.f.is_open()) return;  // a file system without
  heddle::run(
      [&] {
        const aligned_block b;
        std::error_code ec;
        BOOST_TEST(cold.f.read_at(b.bytes().first(100), 1, ec) == 0u);
        BOOST_TEST((ec == std::errc::invalid_argument));
        BOOST_TEST(cold.f.write_at(b.bytes().first(100), 1, ec) == 0u);
        BOOST_TEST((ec == std::errc::invalid_argument));
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(more_operations_than_there_is_room_for, *where_there_is_a_ring()) {
  const cold_file cold;
  heddle::run([&] {
    const std::size_t n = 2000, so_far = completed();
    std::vector<heddle::join_handle<void>> all;
    for (std::size_t i = 0; i != n; ++i)
      all.push_back(heddle::spawn([&, i] {
        const aligned_block b;
        const auto offset = static_cast<off_t>(i % blocks * block);
        expect(file_ring::instance()->read(cold.f.native_handle(), b.bytes(), offset) == std::ptrdiff_t{block});
        expect(b.is_block(i % blocks));
      }));
    for (auto& f : all) f.join();
    BOOST_TEST(completed() == so_far + n);
  });
}

BOOST_AUTO_TEST_CASE(files_are_read_through_it, *where_there_is_a_ring()) {
  // Where temporary files lie on a disk; others always are in memory.
  for (const unsigned procs : {1u, 2u})
    heddle::run(
        [&] {
          const cold_file cold;
          const std::size_t so_far = completed();
          BOOST_TEST(cold.is_right(32));
          BOOST_TEST_MESSAGE(completed() - so_far << " of " << blocks << " reads by the ring, procs " << procs);
        },
        {.procs = procs});
}

BOOST_AUTO_TEST_CASE(files_past_the_page_cache, *where_there_is_a_ring()) {
  heddle::run(
      [&] {
        cold_file cold(O_DIRECT);
        if (!cold.f.is_open()) return;  // a file system without
        const std::size_t so_far = completed();
        BOOST_TEST(cold.is_right(8));
        const aligned_block b;
        b.fill(9);
        BOOST_TEST(cold.f.write_at(b.bytes(), 9 * block) == block);
        const file again = file::adopt(::open(cold.path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC), "again");
        BOOST_TEST(again.read_at(b.bytes(), 9 * block) == block);
        BOOST_TEST(b.is_block(9));
        cold.f.sync();
        BOOST_TEST(completed() == so_far + blocks + 3);
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(plain_threads_and_idle_processors_make_calls, *where_there_is_a_ring()) {
  cold_file cold(O_DIRECT);
  if (!cold.f.is_open()) return;
  const std::size_t so_far = completed();
  const aligned_block b;
  BOOST_TEST(cold.f.read_at(b.bytes(), 0) == block);
  cold.f.sync();
  heddle::run([&] { BOOST_TEST(!file_ring::helps()); }, {.procs = 64});
  heddle::run([&] { BOOST_TEST(file_ring::helps()); }, {.procs = 1});
  BOOST_TEST(completed() == so_far);
}

BOOST_AUTO_TEST_CASE(runtimes_end_after_their_operations, *where_there_is_a_ring()) {
  const cold_file cold;
  for (int i = 0; i < times(50); ++i) {
    std::atomic<std::size_t> right{0};
    std::vector<aligned_block> buffers(40);
    heddle::run(
        [&] {
          for (std::size_t n = 0; n != buffers.size(); ++n)
            heddle::go([&, n] {
              const auto got = file_ring::instance()->read(cold.f.native_handle(), buffers[n].bytes(),
                                                           static_cast<off_t>(n * block));
              if (got == std::ptrdiff_t{block} && buffers[n].is_block(n)) ++right;
            });
        },
        {.procs = 1 + static_cast<unsigned>(i) % 2});
    BOOST_TEST(right == buffers.size());
  }
}

// In a forked child ThreadSanitizer has threads of its own that look like the program's.
BOOST_AUTO_TEST_CASE(a_child_has_its_own,
                     *where_there_is_a_ring() * boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const cold_file cold;
  file_ring* const parents = file_ring::instance();
  const auto child = death_of([&] {
    heddle::run(
        [&] {
          if (!cold.is_right(16)) ::_exit(1);
          const aligned_block b;
          file_ring* const own = file_ring::instance();
          if (own == nullptr || own == parents) ::_exit(2);
          if (own->read(cold.f.native_handle(), b.bytes(), 5 * block) != std::ptrdiff_t{block} || !b.is_block(5))
            ::_exit(3);
        },
        {.procs = 1});
  });
  BOOST_TEST(child.signal == 0);
  BOOST_TEST(child.status == 0);
  BOOST_TEST(file_ring::instance() == parents);
  heddle::run([&] { BOOST_TEST(cold.is_right(16)); }, {.procs = 1});
}

// In a child AddressSanitizer may wait for a lock of its own that another thread held.
BOOST_AUTO_TEST_CASE(a_child_of_one_whose_operations_are_under_way,
                     *where_there_is_a_ring() * boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  const cold_file cold;
  heddle::run([&] {
    std::atomic<bool> enough{false};
    std::atomic<std::size_t> reads{0};
    std::vector<heddle::join_handle<void>> all;
    for (std::size_t i = 0; i != 16; ++i)
      all.push_back(heddle::spawn([&, i] {
        const aligned_block b;
        for (std::size_t n = i; !enough; n = (n + 16) % blocks, ++reads) {
          const auto offset = static_cast<off_t>(n * block);
          expect(file_ring::instance()->read(cold.f.native_handle(), b.bytes(), offset) == std::ptrdiff_t{block});
          expect(b.is_block(n));
        }
      }));
    for (int i = 0; i < 3; ++i) {
      heddle::testing::death child;
      heddle::blocking([&] {
        std::thread([&] {
          child = death_of([&] { heddle::run([&] { ::_exit(cold.is_right(16) ? 7 : 1); }, {.procs = 1}); });
        }).join();
      });
      expect(child.status == 7);
      const std::size_t so_far = reads;
      while (reads < so_far + 100) heddle::this_fiber::yield();
    }
    enough = true;
    for (auto& f : all) f.join();
  });
}

BOOST_AUTO_TEST_CASE(systems_that_do_not_allow_it) {
  for (const unsigned call : {SYS_io_uring_setup, SYS_io_uring_enter}) {
    const auto child = death_of([call] {
      forbid(call);
      heddle::run(
          [call] {
            const cold_file cold;
            file_ring* const ring = file_ring::instance();
            if ((call == SYS_io_uring_setup) != (ring == nullptr) && has_ring()) ::_exit(1);
            if (!cold.is_right(16)) ::_exit(2);
            if (ring != nullptr && ring->completed() != 0) ::_exit(3);
          },
          {.procs = 1});
    });
    BOOST_TEST(child.signal == 0);
    BOOST_TEST(child.status == 0);
    BOOST_TEST(child.text == "");
  }
}

BOOST_AUTO_TEST_CASE(options) {
  using heddle::parse_net_options;
  BOOST_TEST(parse_net_options("").ring);
  BOOST_TEST(!parse_net_options("ring=0").ring);
  BOOST_TEST(parse_net_options("ring=0").cares);
  BOOST_TEST(!parse_net_options("cares=0").cares);
  BOOST_TEST(parse_net_options(",ring=0,ring,").ring);
  const auto child = death_of([] {
    if (!parse_net_options("rings=1").ring || !parse_net_options("ring=2").ring) ::_exit(1);
    ::setenv("HEDDLE_NET", "ring=0", 1);
    // The settings of this process have been read before, those of another program have not.
    if (parse_net_options(::secure_getenv("HEDDLE_NET")).ring) ::_exit(2);
  });
  BOOST_TEST(child.status == 0);
  BOOST_TEST(child.says("heddle: HEDDLE_NET: unknown key \"rings\" (known: cares, ring, help)\n"));
  BOOST_TEST(child.says("heddle: HEDDLE_NET: bad value \"2\" for ring (on or off)\n"));
}

BOOST_AUTO_TEST_SUITE_END()
