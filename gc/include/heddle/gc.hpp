// SPDX-License-Identifier: BSL-1.0
//
// The collector in one include: objects that are freed when nothing points to them any more, while fibers run.
#pragma once

#include "heddle/gc/atomic.hpp"
#include "heddle/gc/cleanup.hpp"
#include "heddle/gc/collect.hpp"
#include "heddle/gc/counted.hpp"
#include "heddle/gc/counted_weak.hpp"
#include "heddle/gc/ephemeron_map.hpp"
#include "heddle/gc/hash_map.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/leaked_fibers.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/make_counted.hpp"
#include "heddle/gc/metrics.hpp"
#include "heddle/gc/ptr.hpp"
#include "heddle/gc/root.hpp"
#include "heddle/gc/string.hpp"
#include "heddle/gc/vector.hpp"
#include "heddle/gc/weak.hpp"
