// SPDX-License-Identifier: BSL-1.0
//
// All of heddle in one include.
#pragma once

#include "heddle/barrier.hpp"
#include "heddle/blocking.hpp"
#include "heddle/channel.hpp"
#include "heddle/condition_variable.hpp"
#include "heddle/condition_variable_any.hpp"
#include "heddle/fiber.hpp"
#include "heddle/fiber_local.hpp"
#include "heddle/future.hpp"
#include "heddle/group.hpp"
#include "heddle/large_stack.hpp"
#include "heddle/latch.hpp"
#include "heddle/mutex.hpp"
#include "heddle/once.hpp"
#include "heddle/received.hpp"
#include "heddle/recursive_mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/select.hpp"
#include "heddle/semaphore.hpp"
#include "heddle/shared_mutex.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/ticker.hpp"
#include "heddle/wait_group.hpp"
