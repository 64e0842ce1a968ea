// SPDX-License-Identifier: BSL-1.0
#include "roots/globals.hpp"

#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <thread>

#include "gc/finder.hpp"
#include "gc/loaded_module.hpp"
#include "heddle/detail/own_tables.hpp"
#include "roots/copied_words.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::gc::detail::scan_globals;
using heddle::gc::detail::tell_copied;
using heddle::testing::finder;
using heddle::testing::hidden_word;
using heddle::testing::loaded_module;

constexpr std::size_t page = 4096;

void* zeroed;            // in .bss
void* filled = &zeroed;  // in .data
alignas(page) char pages[5 * page];

std::size_t found_in_globals(const hidden_word& w) {
  finder f(w);
  scan_globals(f);
  BOOST_TEST(f.unaligned == 0u);
  return f.found;
}

/// Of all libraries and the program, without what is read-only after relocation. Whole words.
std::size_t writable_bytes() {
  std::size_t sum = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* out) {
        std::uintptr_t constant = 0, constant_end = 0;
        for (int i = 0; i != library->dlpi_phnum; ++i)
          if (const auto& h = library->dlpi_phdr[i]; h.p_type == PT_GNU_RELRO) {
            constant = library->dlpi_addr + h.p_vaddr;
            constant_end = (constant + h.p_memsz) & ~(page - 1);
          }
        for (int i = 0; i != library->dlpi_phnum; ++i) {
          const auto& h = library->dlpi_phdr[i];
          if (h.p_type != PT_LOAD || (h.p_flags & PF_W) == 0) continue;
          for (std::uintptr_t at = (library->dlpi_addr + h.p_vaddr + 7) & ~std::uintptr_t{7};
               at + 8 <= library->dlpi_addr + h.p_vaddr + h.p_memsz; at += 8)
            if (at < constant || at >= constant_end) *static_cast<std::size_t*>(out) += 8;
        }
        return 0;
      },
      &sum);
  return sum;
}

/// From now on the kernel refuses to copy memory by address, as in some containers.
bool forbid_copies_by_address() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{sizeof program / sizeof program[0], program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(globals, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(variables_of_the_program) {
  const hidden_word first(1), second(2), nowhere(3);
  first.plant(&zeroed);
  second.plant(&filled);
  BOOST_TEST(found_in_globals(first) == 1u);
  BOOST_TEST(found_in_globals(second) == 1u);
  BOOST_TEST(found_in_globals(nowhere) == 0u);
  zeroed = filled = nullptr;
  BOOST_TEST(found_in_globals(first) == 0u);
}

BOOST_AUTO_TEST_CASE(variables_of_a_library_while_it_is_loaded) {
  const hidden_word w(4);
  {
    const loaded_module module;
    w.plant(module.variable());
    BOOST_TEST(found_in_globals(w) == 1u);
  }
  BOOST_TEST(found_in_globals(w) == 0u);
}

/// Relocated constants are left out, variables that share a page with them are not.
BOOST_AUTO_TEST_CASE(constants_are_left_out) {
  const loaded_module module;
  struct here : heddle::gc::detail::root_sink {
    const std::uintptr_t address;
    bool found = false;
    explicit here(const void* p) : address(reinterpret_cast<std::uintptr_t>(p)) {}
    void words(const void* from, const void* to) noexcept override {
      for (auto* at = static_cast<const std::uintptr_t*>(from); at != to; ++at) found = found || *at == address;
    }
  } sink(*module.constant());
  scan_globals(sink);
  BOOST_TEST(!sink.found);

  const hidden_word in_read_only_segment(99);
  BOOST_TEST(*module.read_only() == in_read_only_segment.reveal());
  BOOST_TEST(found_in_globals(in_read_only_segment) == 0u);
}

/// heddle's tables are left out, to the byte.
BOOST_AUTO_TEST_CASE(tables_are_left_out) {
  using heddle::detail::own_tables;
  struct extents : heddle::gc::detail::root_sink {
    std::size_t bytes = 0;
    void words(const void* from, const void* to) noexcept override {
      bytes += static_cast<std::size_t>(static_cast<const char*>(to) - static_cast<const char*>(from));
    }
  } all;
  scan_globals(all);
  std::size_t tables = 0;
  for (const auto& t : own_tables()) tables += t.bytes;
  BOOST_TEST(tables > 300'000u);
  BOOST_TEST(all.bytes + tables == writable_bytes());
}

/// What the program has made unreadable is left out, and nothing else.
BOOST_AUTO_TEST_CASE(pages_that_cannot_be_read) {
  const hidden_word w(5);
  for (std::size_t i = 0; i != 5; ++i) w.plant(pages + i * page + page - sizeof(void*));
  BOOST_TEST(found_in_globals(w) == 5u);
  BOOST_REQUIRE(::mprotect(pages + page, page, PROT_NONE) == 0);
  BOOST_REQUIRE(::mprotect(pages + 3 * page, page, PROT_NONE) == 0);
  BOOST_TEST(found_in_globals(w) == 3u);
  BOOST_REQUIRE(::mprotect(pages, sizeof pages, PROT_READ | PROT_WRITE) == 0);
  BOOST_TEST(found_in_globals(w) == 5u);
  for (char& c : pages) c = 0;
}

BOOST_AUTO_TEST_CASE(parts_of_words_at_the_ends_are_left_out) {
  const hidden_word w(6);
  alignas(8) char words[4 * sizeof(void*)] = {};
  for (std::size_t i = 0; i != 4; ++i) w.plant(words + i * sizeof(void*));
  const auto found = [&](std::size_t from, std::size_t to) {
    finder f(w);
    tell_copied(f, words + from, to - from);
    return f.found;
  };
  BOOST_TEST(found(0, 32) == 4u);
  BOOST_TEST(found(1, 31) == 2u);
  BOOST_TEST(found(8, 25) == 2u);
  BOOST_TEST(found(3, 8) == 0u);
  BOOST_TEST(found(3, 13) == 0u);
  BOOST_TEST(found(5, 5) == 0u);
}

/// A library is not unmapped while it is scanned.
BOOST_AUTO_TEST_CASE(libraries_come_and_go_meanwhile) {
  const hidden_word w(7);
  std::atomic<bool> over{false};
  std::thread loads([&] {
    while (!over) {
      const loaded_module module;
      w.plant(module.variable());
    }
  });
  std::size_t sometimes = 0;
  const auto end = std::chrono::steady_clock::now() + heddle::testing::late;
  for (int i = 0; i < heddle::testing::times(2000) || (sometimes == 0 && std::chrono::steady_clock::now() < end); ++i) {
    finder f(w);
    scan_globals(f);
    sometimes += f.found;
    if (f.found > 1 || f.seen == 0) BOOST_ERROR("told wrongly");
    std::this_thread::sleep_for(std::chrono::microseconds(1));  // else the loader's lock is never free for long
  }
  over = true;
  loads.join();
  BOOST_TEST(sometimes > 0u);
}

BOOST_AUTO_TEST_CASE(where_the_kernel_refuses_to_copy_by_address) {
  const hidden_word w(8);
  w.plant(pages);
  w.plant(pages + 4 * page);
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_copies_by_address()) ::_exit(100);
    ::mprotect(pages + page, page, PROT_NONE);
    finder f(w);
    scan_globals(f);
    ::mprotect(pages + page, page, PROT_READ | PROT_WRITE);
    const rlimit no_descriptor{0, 0};
    if (::setrlimit(RLIMIT_NOFILE, &no_descriptor) != 0) ::_exit(101);
    scan_globals(f);
    ::_exit(static_cast<int>(f.found));
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 4);
  for (char& c : pages) c = 0;
}

BOOST_AUTO_TEST_SUITE_END()
