// SPDX-License-Identifier: BSL-1.0
#include "mark/word_filter.hpp"

#include <immintrin.h>

#include <bit>

// A stack is read as a whole: a sanitizer may count words of it as nobody's, and their owner may change them.
#define HEDDLE_READS_ANY_WORD __attribute__((no_sanitize("address", "thread")))

namespace heddle::gc::detail {
namespace {

HEDDLE_READS_ANY_WORD std::size_t filter_one(const char* from, std::size_t count, std::uintptr_t least,
                                             std::uintptr_t extent, std::uintptr_t* to) noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i != count; ++i) {
    const std::uintptr_t w =
        __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(from + i * sizeof(std::uintptr_t)), __ATOMIC_RELAXED);
    to[found] = w;  // the next one overwrites it, if it is none
    found += w - least < extent;
  }
  return found;
}

/// w - least < extent for unsigned numbers, by a comparison of signed ones: both sides are moved by the least of those.
__attribute__((target("avx2"))) HEDDLE_READS_ANY_WORD std::size_t filter_four(const char* from, std::size_t count,
                                                                              std::uintptr_t least,
                                                                              std::uintptr_t extent,
                                                                              std::uintptr_t* to) noexcept {
  constexpr std::uintptr_t low = std::uintptr_t{1} << 63;
  const __m256i moved = _mm256_set1_epi64x(static_cast<long long>(least + low));
  const __m256i end = _mm256_set1_epi64x(static_cast<long long>(extent ^ low));
  alignas(32) std::uintptr_t words[4];
  std::size_t found = 0;
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from + i * sizeof(std::uintptr_t)));
    const __m256i below = _mm256_cmpgt_epi64(end, _mm256_sub_epi64(w, moved));
    auto bits = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(below)));
    if (bits == 0) continue;
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), w);
    for (; bits != 0; bits &= bits - 1) to[found++] = words[std::countr_zero(bits)];
  }
  return found + filter_one(from + i * sizeof(std::uintptr_t), count - i, least, extent, to + found);
}

__attribute__((target("avx512f"))) HEDDLE_READS_ANY_WORD std::size_t filter_eight(const char* from, std::size_t count,
                                                                                  std::uintptr_t least,
                                                                                  std::uintptr_t extent,
                                                                                  std::uintptr_t* to) noexcept {
  const __m512i begin = _mm512_set1_epi64(static_cast<long long>(least));
  const __m512i length = _mm512_set1_epi64(static_cast<long long>(extent));
  alignas(64) std::uintptr_t words[8];
  std::size_t found = 0;
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m512i w = _mm512_loadu_si512(from + i * sizeof(std::uintptr_t));
    unsigned bits = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(w, begin), length);
    if (bits == 0) continue;
    _mm512_store_si512(words, w);
    for (; bits != 0; bits &= bits - 1) to[found++] = words[std::countr_zero(bits)];
  }
  return found + filter_one(from + i * sizeof(std::uintptr_t), count - i, least, extent, to + found);
}

}  // namespace

std::size_t word_filters(word_filter (&all)[3]) noexcept {
  std::size_t n = 0;
  if (__builtin_cpu_supports("avx512f")) all[n++] = filter_eight;
  if (__builtin_cpu_supports("avx2")) all[n++] = filter_four;
  all[n++] = filter_one;
  return n;
}

word_filter best_word_filter() noexcept {
  word_filter all[3];
  word_filters(all);
  return all[0];
}

}  // namespace heddle::gc::detail
