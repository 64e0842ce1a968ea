// SPDX-License-Identifier: BSL-1.0
//
// Sockets and streams: everything under heddle/net and heddle/io.
#pragma once

#include "heddle/io/buffered.hpp"
#include "heddle/io/buffered_reader.hpp"
#include "heddle/io/buffered_writer.hpp"
#include "heddle/io/byte_streams.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/file.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/io/owned_descriptor.hpp"
#include "heddle/io/pipe.hpp"
#include "heddle/io/process.hpp"
#include "heddle/io/shared_stream.hpp"
#include "heddle/io/signals.hpp"
#include "heddle/io/splice.hpp"
#include "heddle/io/stream.hpp"
#include "heddle/net/dial.hpp"
#include "heddle/net/endpoint.hpp"
#include "heddle/net/memory.hpp"
#include "heddle/net/resolve.hpp"
#include "heddle/net/serve.hpp"
#include "heddle/net/tcp.hpp"
#include "heddle/net/udp.hpp"
#include "heddle/net/unix.hpp"
#include "heddle/net/unix_endpoint.hpp"
