// SPDX-License-Identifier: BSL-1.0
//
// The resolver of an ifunc of the program allocates, before the loader has filled in thread-local variables. Its blocks
// are whole and can be freed later. Status 0: all was well.
#include <cstdlib>
#include <iterator>

namespace {

constexpr std::size_t sizes[] = {1, 100, 1'000, 9'000, 100'000, 2'000'000};
char* held[200 * std::size(sizes)];

int one() { return 1; }

void* block(std::size_t n) {
  void* p = std::malloc(n);
  asm volatile("" : "+r"(p) : : "memory");
  return p;
}

}  // namespace

extern "C" {
__attribute__((used)) static int (*resolve())() {
  for (std::size_t i = 0; i != std::size(held); ++i) {
    const std::size_t n = sizes[i % std::size(sizes)];
    if (n > 50'000 && i > 100) continue;
    std::free(block(n));
    held[i] = static_cast<char*>(block(n));
    if (held[i] == nullptr) std::abort();
    held[i][0] = held[i][n - 1] = 'r';
  }
  return one;
}
int resolved() __attribute__((ifunc("resolve")));
}

int main() {
  if (resolved() != 1) return 1;
  for (std::size_t i = 0; i != std::size(held); ++i) {
    if (held[i] == nullptr) continue;
    std::free(block(300));
    if (held[i][0] != 'r' || held[i][sizes[i % std::size(sizes)] - 1] != 'r') return 2;
    held[i] = static_cast<char*>(std::realloc(held[i], 200));
    std::free(held[i]);
  }
  return 0;
}
