// SPDX-License-Identifier: BSL-1.0
//
// Libraries come and go while threads allocate: the dynamic linker's lock and its thread-locals against the shim's.
// (gperftools#1080: row 23.)
#define BOOST_TEST_MODULE shim_dlopen
#include <filesystem>
#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

/// Copies of the plugin under other names, each of which is a library of its own to the dynamic linker.
struct plugins {
  std::filesystem::path folder;
  std::vector<std::string> paths;

  explicit plugins(int count) {
    char name[] = "/tmp/heddle_shim_XXXXXX";
    folder = ::mkdtemp(name);
    for (int i = 0; i != count; ++i) {
      paths.push_back(folder / ("plugin" + std::to_string(i) + ".so"));
      std::filesystem::copy_file(HEDDLE_SHIM_PLUGIN, paths.back());
    }
  }
  ~plugins() { std::filesystem::remove_all(folder); }
};

/// Loads, calls, unloads; false if one of them failed.
bool use(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return false;
  const auto call = reinterpret_cast<void* (*)()>(::dlsym(library, "plugin_call"));
  void* block = call ? call() : nullptr;
  std::thread([&] { std::free(call ? call() : nullptr); }).join();
  const bool closed = ::dlclose(library) == 0;
  if (block) std::memset(block, 1, 500);
  std::free(block);
  return block && closed;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loading)

BOOST_AUTO_TEST_CASE(a_storm_of_libraries_while_threads_allocate) {
  plugins all(4);
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t != 2; ++t)
    threads.emplace_back([&, t] {
      dice d(t);
      while (!stop) std::free(opaque(std::malloc(some_size(d, 18))));
    });
  for (unsigned t = 0; t != 3; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i != static_cast<unsigned>(times(100, 1000)); ++i)
        failures += !use(all.paths[(i + t) % all.paths.size()]);
    });
  for (std::size_t t = threads.size(); t-- > 0; threads[t].join())
    if (t < 2) stop = true;
  BOOST_TEST(failures == 0);
}

BOOST_AUTO_TEST_CASE(threads_from_before_get_the_thread_locals_too) {
  plugins one(1);
  std::atomic<void* (*)()> call{nullptr};
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t != 20; ++t)
    threads.emplace_back([&] {
      while (!call) std::this_thread::yield();
      void* p = call.load()();
      right += p != nullptr;
      std::free(p);
    });
  void* library = ::dlopen(one.paths[0].c_str(), RTLD_NOW);
  BOOST_REQUIRE(library);
  call = reinterpret_cast<void* (*)()>(::dlsym(library, "plugin_call"));
  for (auto& t : threads) t.join();
  BOOST_TEST(right == 20);
  ::dlclose(library);
}

namespace {

template <class F>
F* function_of(void* library, const char* name) {
  F* const f = reinterpret_cast<F*>(::dlsym(library, name));
  BOOST_REQUIRE(f != nullptr);
  return f;
}

/// Blocks go to a library, and come from it.
void exchange_blocks(void* library) {
  BOOST_REQUIRE_MESSAGE(library != nullptr, ::dlerror());
  for (std::size_t n : {10, 1'000, 300'000})
    function_of<void(char*)>(library, "plugin_take")(static_cast<char*>(opaque(std::malloc(n))));
  std::free(function_of<void*()>(library, "plugin_call")());
  if (without_shim()) return;
  Dl_info found{};
  BOOST_REQUIRE(::dladdr(::dlsym(RTLD_DEFAULT, "malloc"), &found) != 0);
  BOOST_TEST(function_of<void*()>(library, "plugin_home")() == found.dli_fbase);
}

}  // namespace

// Debian's php opens its modules so.
BOOST_AUTO_TEST_CASE(a_library_that_would_bind_to_what_it_was_linked_with) {
  plugins all(2);
  void* const library = ::dlopen(all.paths[0].c_str(), RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
  exchange_blocks(library);
  ::dlclose(library);
  void* const in_base = ::dlmopen(LM_ID_BASE, all.paths[1].c_str(), RTLD_NOW | RTLD_DEEPBIND);
  exchange_blocks(in_base);
  ::dlclose(in_base);
}

BOOST_AUTO_TEST_CASE(a_library_is_looked_for_where_its_opener_says) {
  plugins all(2);
  std::filesystem::create_directory(all.folder / "inner");
  std::filesystem::rename(all.paths[1], all.folder / "inner" / "heddle-inner.so");
  BOOST_TEST(::dlopen("heddle-inner.so", RTLD_NOW) == nullptr);
  void* const outer = ::dlopen(all.paths[0].c_str(), RTLD_NOW);
  BOOST_REQUIRE(outer != nullptr);
  // It has a RUNPATH of $ORIGIN/inner.
  void* const inner = function_of<void*(const char*, int)>(outer, "plugin_open")("heddle-inner.so", RTLD_NOW);
  exchange_blocks(inner);
  ::dlclose(inner);
  ::dlclose(outer);
}

BOOST_AUTO_TEST_CASE(what_dlopen_says_as_ever) {
  BOOST_TEST(::dlopen(nullptr, RTLD_NOW) != nullptr);
  BOOST_TEST(::dlopen("/nowhere.so", RTLD_NOW | RTLD_DEEPBIND) == nullptr);
  BOOST_TEST(std::string(::dlerror()).find("/nowhere.so") != std::string::npos);
  plugins all(1);
  BOOST_TEST(::dlopen(all.paths[0].c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_DEEPBIND) == nullptr);
  BOOST_TEST(::dlopen(all.paths[0].c_str(), 0) == nullptr);  // neither lazy nor now
  void* const apart = ::dlmopen(LM_ID_NEWLM, all.paths[0].c_str(), RTLD_NOW | RTLD_DEEPBIND);
  BOOST_REQUIRE(apart != nullptr);
  Lmid_t space = LM_ID_BASE;
  BOOST_TEST(::dlinfo(apart, RTLD_DI_LMID, &space) == 0);
  BOOST_TEST(space != LM_ID_BASE);
  ::dlclose(apart);
}

BOOST_AUTO_TEST_SUITE_END()
