// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/test/unit_test.hpp>

#include "heddle/io/file.hpp"
#include "heddle/run.hpp"
#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"

namespace heddle::testing {

/// Before all tests: lets the process make what it keeps for files, which no test leaves behind then. That is the ring;
/// the poller waits for it only if an operation takes long, so poller_in_use sees to that.
struct file_ring_in_use {
  file_ring_in_use() {
    const temporary_folder folder;
    // One processor is never idle while a fiber runs, so the fiber does not block its thread. A monitor might take it.
    heddle::run([&] { io::file::open(folder.path("f"), O_RDWR | O_CREAT).sync(); }, {.procs = 1, .monitor = false});
  }
};

BOOST_TEST_GLOBAL_FIXTURE(file_ring_in_use);

}  // namespace heddle::testing
