// SPDX-License-Identifier: BSL-1.0
//
// Compiled with -fno-rtti, against a library that has it: exceptions are caught, and resources know each other.
#include <cstdio>
#include <heddle/arena.hpp>
#include <heddle/heddle.hpp>
#include <heddle/memory_resource.hpp>
#include <memory_resource>

#ifdef __cpp_rtti
#error "this is about -fno-rtti"
#endif

namespace {

bool exceptions_arrive() {
  return heddle::run([] {
    heddle::channel<int> closed;
    closed.close();
    auto sender = heddle::spawn([&] { closed.send(1); });
    try {
      sender.join();
    } catch (const heddle::channel_closed&) {
      return true;
    }
    return false;
  });
}

bool resources_are_known() {
  heddle::alloc::memory_resource mine;
  heddle::alloc::arena arena;
  const std::pmr::memory_resource& ours = *heddle::alloc::default_resource();
  return mine == ours && ours == mine && mine != *std::pmr::new_delete_resource() && ours != arena && arena != ours;
}

}  // namespace

int main() {
  std::printf("exceptions %s, resources %s\n", exceptions_arrive() ? "arrive" : "are lost",
              resources_are_known() ? "are known" : "are confused");
}
