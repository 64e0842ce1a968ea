// SPDX-License-Identifier: BSL-1.0
#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <functional>
#include <memory>

#include "common/switching.hpp"
#include "common/threads.hpp"

namespace context = boost::context::detail;

namespace {

// The other party: runs `turn` each time it is switched to, for ever. Nothing on its stack needs a
// destructor.
class party {
 public:
  explicit party(std::function<void()> turn) : turn_(std::move(turn)) {
    stack_ = boost::context::fixedsize_stack().allocate();
    context_ = context::make_fcontext(stack_.sp, stack_.size, body);
  }
  ~party() { boost::context::fixedsize_stack().deallocate(stack_); }
  party(const party&) = delete;
  party& operator=(const party&) = delete;

  void switch_to() { context_ = context::jump_fcontext(context_, this).fctx; }

 private:
  static void body(context::transfer_t from) {
    auto* self = static_cast<party*>(from.data);
    for (;;) {
      if (self->turn_) self->turn_();
      from = context::jump_fcontext(from.fctx, nullptr);
    }
  }

  std::function<void()> turn_;
  boost::context::stack_context stack_;
  context::fcontext_t context_;
};

}  // namespace

// Boost.Context's assembly alone, without any scheduler: the floor of what a fiber switch built upon it can
// cost.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  perf::use_processors(1);
  const auto memory = std::make_unique<perf::cold_watch>();
  perf::cold_watch& watch = *memory;
  perf::report report;
  const auto direct = [](std::uint64_t n) {
    party other({});
    return perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) other.switch_to();
    });
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    party other([&] {
      watch.arrive();
      watch.leave(evict);
    });
    for (std::uint64_t i = 0; i < n; ++i) {
      watch.leave(evict);
      other.switch_to();
      watch.arrive();
    }
  };
  perf::report_switch(report, args, watch, direct, cold);
  report.print();
}
