// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "common/digest/listing.hpp"
#include "common/digest/tree.hpp"

namespace perf::digest {

/// Hashes files through one buffer and one context, and keeps the results. `blocking(f)` is how the contender
/// runs a function that may block; hashing itself happens outside of it.
template <class Blocking>
class file_hasher {
 public:
  // Fits the second-level cache: what was just copied is still there when it is hashed. 16 and 512 KiB cost 6 % more.
  static constexpr std::size_t buffer_size = 128 * 1024;

  file_hasher(Blocking blocking, complaints& failed) : blocking_(blocking), failed_(failed) {
    if (buffer_ == nullptr) throw std::bad_alloc();
  }

  void hash(const batch& files) {
    for (std::size_t at = 0; at < files.names.size();) {
      const std::string_view name = files.names.data() + at;
      hash_file(*files.where, name);
      at += name.size() + 1;
    }
  }
  /// The results in order of their paths.
  std::vector<entry> sorted() && {
    std::sort(results_.begin(), results_.end());
    return std::move(results_);
  }

 private:
  struct filled {
    std::size_t size = 0;
    bool at_end = false;
    int error = 0;
  };

  void hash_file(const directory& where, std::string_view name) {
    int descriptor = -1;
    // A small file is opened, read and closed in one blocking section.
    filled part = blocking_([&] {
      descriptor = ::openat(where.descriptor(), name.data(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
      if (descriptor < 0) return filled{0, true, errno};
      const filled first = fill(descriptor);
      if (!first.at_end) ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
      return first;
    });
    for (;;) {
      hasher_.update(buffer_.get(), part.size);
      if (part.at_end) break;
      part = blocking_([&] { return fill(descriptor); });
    }
    const sum hash = hasher_.finish();
    if (part.error != 0) return failed_.add(where.path_of(name), part.error);
    results_.push_back({where.path_of(name), hash});
  }

  // Fills the buffer, and closes the file at its end. Only a read of zero bytes says that the end is there.
  filled fill(int descriptor) {
    filled part;
    while (!part.at_end && part.size < buffer_size) {
      const ssize_t n = ::read(descriptor, buffer_.get() + part.size, buffer_size - part.size);
      if (n < 0 && errno == EINTR) continue;
      part.error = n < 0 ? errno : 0;
      part.at_end = n <= 0;
      if (n > 0) part.size += static_cast<std::size_t>(n);
    }
    if (part.at_end) ::close(descriptor);
    return part;
  }

  Blocking blocking_;
  complaints& failed_;
  // At the begin of a page, as the pages that are copied into it: 16 bytes behind it, where malloc puts so large a
  // block, each load of the kernel's copy seems to follow the store just before, and the copy costs 60 % more.
  struct deleter {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<std::byte[], deleter> buffer_{static_cast<std::byte*>(std::aligned_alloc(4096, buffer_size))};
  sha256 hasher_;
  std::vector<entry> results_;
};

}  // namespace perf::digest
