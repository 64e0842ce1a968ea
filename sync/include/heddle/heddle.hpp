// SPDX-License-Identifier: BSL-1.0
//
// All of heddle in one include.
#pragma once

#include "heddle/blocking.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/large_stack.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
