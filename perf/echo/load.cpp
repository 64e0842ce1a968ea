// SPDX-License-Identifier: BSL-1.0
//
// The clients: each answer is compared with what was sent.
#include <cstring>

#include "common/net/load_main.hpp"

namespace {

/// Messages of one size: their number, then bytes that are the same in all.
class echo {
 public:
  explicit echo(std::size_t size) : message_(size) {
    perf::require(size >= sizeof(std::uint64_t), "--size must be at least 8");
    for (std::size_t i = 0; i < size; ++i) message_[i] = static_cast<char>(i * 7);
  }
  std::span<const char> request(const perf::net::exchange& e) {
    std::memcpy(message_.data(), &e.number, sizeof e.number);
    return message_;
  }
  bool take(perf::net::exchange& e, std::span<const char> part) {
    perf::require(part.size() <= message_.size() - e.got, "an answer is longer than what was sent");
    const std::span<const char> expected = request(e).subspan(e.got, part.size());
    perf::require(std::memcmp(part.data(), expected.data(), part.size()) == 0, "an answer is not what was sent");
    e.got += part.size();
    return e.got == message_.size();
  }

 private:
  std::vector<char> message_;
};

}  // namespace

int main(int argc, char** argv) {
  const perf::arguments args = perf::net::load_arguments(argc, argv);
  return perf::net::load_main(args, echo(args["size"]));
}
