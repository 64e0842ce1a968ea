// SPDX-License-Identifier: BSL-1.0
#include "roots/thread_locals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "gc/finder.hpp"
#include "gc/loaded_module.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::gc::detail::thread_locals;
using heddle::testing::finder;
using heddle::testing::hidden_word;
using heddle::testing::loaded_module;

thread_local void* own_zeroed;
thread_local void* own_filled = &own_filled;

/// A thread that does as it is told, and stands still otherwise.
class puppet {
 public:
  puppet() : thread_([this](const std::stop_token&) { obey(); }) { id = thread_.native_handle(); }
  ~puppet() {
    next_ = nullptr;
    go_.release();
  }
  void does(std::function<void()> f) {
    next_ = std::move(f);
    go_.release();
    done_.acquire();
  }
  pthread_t id;

 private:
  void obey() {
    for (;; done_.release()) {
      go_.acquire();
      if (!next_) return;
      next_();
      next_ = [] {};
    }
  }
  std::function<void()> next_;
  std::binary_semaphore go_{0}, done_{0};
  std::jthread thread_;
};

std::size_t found_in(thread_locals& locals, pthread_t thread, const hidden_word& w) {
  locals.refresh();
  BOOST_TEST(locals.is_current());
  finder f(w);
  BOOST_TEST(locals.scan(f, thread));
  BOOST_TEST(f.unaligned == 0u);
  return f.found;
}
std::size_t found_in(pthread_t thread, const hidden_word& w) {
  thread_locals locals;
  return found_in(locals, thread, w);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(thread_locals_of_threads, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(variables_of_the_program) {
  const hidden_word first(11), second(12), own(13);
  puppet p;
  p.does([&] {
    first.plant(&own_zeroed);
    second.plant(&own_filled);
  });
  own.plant(&own_zeroed);
  BOOST_TEST(found_in(p.id, first) == 1u);
  BOOST_TEST(found_in(p.id, second) == 1u);
  BOOST_TEST(found_in(p.id, own) == 0u);
  BOOST_TEST(found_in(::pthread_self(), own) == 1u);
  BOOST_TEST(found_in(::pthread_self(), first) == 0u);
  own_zeroed = nullptr;
}

BOOST_AUTO_TEST_CASE(variables_of_a_library_that_was_loaded_later) {
  const hidden_word w(14);
  puppet p;
  thread_locals locals;
  {
    const loaded_module module;
    BOOST_TEST(found_in(locals, p.id, w) == 0u);  // the thread has no block yet
    p.does([&] { w.plant(module.own_variable()); });
    BOOST_TEST(found_in(locals, p.id, w) == 1u);
    BOOST_TEST(found_in(locals, ::pthread_self(), w) == 0u);
  }
  // The block stays the thread's until it looks, but it is no variable's any more.
  BOOST_TEST(found_in(locals, p.id, w) == 0u);
}

BOOST_AUTO_TEST_CASE(whether_an_address_is_of_a_variable) {
  puppet p;
  const loaded_module module;
  const void* in_program = nullptr;
  const void* in_library = nullptr;
  p.does([&] {
    in_program = &own_zeroed;
    in_library = module.own_variable();
  });
  const auto elsewhere = std::make_unique<void*>();
  thread_locals locals;
  locals.refresh();
  for (const void* const at : {in_program, in_library}) {
    BOOST_TEST(locals.holds(p.id, at));
    BOOST_TEST(!locals.holds(::pthread_self(), at));
  }
  BOOST_TEST(locals.holds(::pthread_self(), &own_zeroed));
  BOOST_TEST(!locals.holds(p.id, &own_zeroed));
  BOOST_TEST(!locals.holds(p.id, elsewhere.get()));
  BOOST_TEST(!locals.holds(::pthread_self(), &locals));
}

/// Copies of one library, each of which counts as another: the table of the thread grows.
BOOST_AUTO_TEST_CASE(variables_of_many_libraries) {
  std::vector<std::unique_ptr<hidden_word>> words;
  {
    std::vector<std::unique_ptr<loaded_module>> modules;
    puppet p;
    for (int i = 0; i != 150; ++i) {
      const auto copy = std::filesystem::temp_directory_path() /
                        ("roots_module_" + std::to_string(::getpid()) + "_" + std::to_string(i) + ".so");
      std::filesystem::copy_file(ROOTS_MODULE, copy, std::filesystem::copy_options::overwrite_existing);
      modules.push_back(std::make_unique<loaded_module>(copy.c_str()));
      std::filesystem::remove(copy);
      words.push_back(std::make_unique<hidden_word>(1000 + i));
      p.does([&] { words.back()->plant(modules.back()->own_variable()); });
    }
    for (const auto& w : words)
      if (const std::size_t found = found_in(p.id, *w); found != 1) BOOST_ERROR("found " << found << " times");
  }
}

/// They have their place in the room that every thread has from its start.
BOOST_AUTO_TEST_CASE(early_variables_of_a_library_that_was_loaded_later) {
  const hidden_word w(18);
  puppet p;
  const loaded_module module(ROOTS_MODULE_EARLY);
  p.does([&] { w.plant(module.own_variable()); });
  BOOST_TEST(found_in(p.id, w) == 1u);
  BOOST_TEST(found_in(::pthread_self(), w) == 0u);
}

BOOST_AUTO_TEST_CASE(a_library_loaded_since_is_noticed) {
  const hidden_word w(15);
  puppet p;
  thread_locals locals;
  locals.refresh();
  const loaded_module module;
  p.does([&] { w.plant(module.own_variable()); });
  BOOST_TEST(!locals.is_current());
  locals.refresh();
  BOOST_TEST(locals.is_current());
  finder f(w);
  BOOST_TEST(locals.scan(f, p.id));
  BOOST_TEST(f.found == 1u);
}

/// The first keys have their place in the thread's descriptor, later ones in blocks of their own.
BOOST_AUTO_TEST_CASE(values_of_keys) {
  const hidden_word w(16);
  std::array<pthread_key_t, 100> keys;
  for (pthread_key_t& k : keys) BOOST_REQUIRE(::pthread_key_create(&k, nullptr) == 0);
  {
    puppet p;
    for (std::size_t i : {0u, 40u, 70u, 99u}) {
      p.does([&, i] { ::pthread_setspecific(keys[i], reinterpret_cast<void*>(w.reveal())); });
      BOOST_TEST(found_in(p.id, w) == 1u, "key " << keys[i]);
      p.does([&, i] { ::pthread_setspecific(keys[i], nullptr); });
      BOOST_TEST(found_in(p.id, w) == 0u);
    }
  }
  for (pthread_key_t k : keys) ::pthread_key_delete(k);
}

/// The thread is not even suspended: its table and blocks come, move and go away, and nothing faults.
BOOST_AUTO_TEST_CASE(libraries_come_and_go_meanwhile) {
  const hidden_word w(17);
  std::atomic<bool> over{false};
  std::thread loads([&] {
    while (!over) {
      const loaded_module module;
      w.plant(module.own_variable());
    }
  });
  thread_locals locals;
  std::size_t sometimes = 0;
  const auto end = std::chrono::steady_clock::now() + heddle::testing::late;
  for (int i = 0; i < heddle::testing::times(4000) || (sometimes == 0 && std::chrono::steady_clock::now() < end); ++i) {
    if (!locals.is_current()) locals.refresh();
    finder f(w);
    locals.scan(f, loads.native_handle());
    sometimes += f.found;
    std::this_thread::sleep_for(std::chrono::microseconds(1));  // else the loader's lock is never free for long
  }
  over = true;
  loads.join();
  BOOST_TEST(sometimes > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
