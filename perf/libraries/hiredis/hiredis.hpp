// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string>

#include "common/arguments.hpp"

namespace perf::libraries {

/// A connection to Redis, where a list that stays empty is waited for a millisecond.
class hiredis {
 public:
  explicit hiredis(const std::string& socket) : connection_(redisConnectUnix(socket.c_str())) {
    require(connection_ != nullptr && connection_->err == 0, "no connection");
  }
  void ask() {
    const std::unique_ptr<redisReply, freeing> answer(
        static_cast<redisReply*>(redisCommand(connection_.get(), "BLPOP none 0.001")));
    require(answer != nullptr && answer->type == REDIS_REPLY_NIL, "another answer than none");
  }

 private:
  struct freeing {
    void operator()(redisContext* c) const { redisFree(c); }
    void operator()(redisReply* r) const { freeReplyObject(r); }
  };
  std::unique_ptr<redisContext, freeing> connection_;
};

}  // namespace perf::libraries
