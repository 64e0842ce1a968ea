// SPDX-License-Identifier: BSL-1.0
//
// file_server DIRECTORY [PORT [CHAIN KEY]]: serves it on loopback, with a log on stdout; by https if it is given a
// certificate chain and a key in the PEM format. SIGINT and SIGTERM end it: requests under way have ten seconds.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <heddle/heddle.hpp>
#include <heddle/net/serve.hpp>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "directory.hpp"
#include "net_stream.hpp"
#include "server.hpp"
#ifdef HEDDLE_EXAMPLE_TLS
#include <heddle/net/tls.hpp>

#include "tls_stream.hpp"
#endif

namespace http = examples::http;
namespace net = heddle::net;

namespace {

/// Blocked in all threads, which are made later, so that the watcher gets them.
sigset_t signals_to_end() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// The arguments of the command line.
struct task {
  const char* directory = nullptr;
  std::uint16_t port = 8080;
  const char* chain = nullptr;  ///< null: http
  const char* key = nullptr;
};

bool understood(int argc, char** argv, task& t) {
  if (argc != 2 && argc != 3 && argc != 5) return false;
  t.directory = argv[1];
  if (argc == 5) {
    t.chain = argv[3];
    t.key = argv[4];
  }
  if (argc == 2) return true;
  const char* const all = argv[2] + std::strlen(argv[2]);
  const auto [end, error] = std::from_chars(argv[2], all, t.port);
  return error == std::errc{} && end == all;
}

int serve(const task& t, const std::stop_token& stop) {
  const http::directory files(t.directory);
  const http::server_options options{.limits = {}, .log = http::log_to(STDOUT_FILENO)};
#ifdef HEDDLE_EXAMPLE_TLS
  std::optional<net::tls::context> secure;
  if (t.chain != nullptr)
    secure =
        net::tls::context::server({net::tls::pem::file(t.chain), net::tls::pem::file(t.key)}, {.alpn = {"http/1.1"}});
#else
  if (t.chain != nullptr) throw std::runtime_error("built without OpenSSL");
#endif
  auto listener = net::tcp_listener::listen(net::endpoint::loopback_v4(t.port));
  std::printf("%s://%s/\n", t.chain != nullptr ? "https" : "http", listener.local_endpoint().to_string().c_str());
  std::fflush(stdout);
#ifdef HEDDLE_EXAMPLE_TLS
  if (secure) {
    const auto talk = [&](net::tls::stream& connection, const std::stop_token& ending) {
      http::tls_stream stream(connection);
      http::serve(stream, std::cref(files), options, ending, connection.name());
    };
    net::tls::serve(listener, *secure, talk, stop, {.connections = {.fiber = http::resting}});
    return 0;
  }
#endif
  const auto talk = [&](net::tcp_stream& connection, const std::stop_token& ending) {
    http::net_stream stream(connection);
    http::serve(stream, std::cref(files), options, ending, connection.peer_endpoint().address_string());
  };
  net::serve(listener, talk, stop, {.fiber = http::resting});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  task t;
  if (!understood(argc, argv, t)) {
    std::fprintf(stderr, "usage: %s DIRECTORY [PORT [CHAIN KEY]]\n", argv[0]);
    return 2;
  }
  const sigset_t signals = signals_to_end();
  std::stop_source stop;
  std::thread([signals, stop]() mutable {
    int which = 0;
    ::sigwait(&signals, &which);
    stop.request_stop();
  }).detach();
  try {
    return heddle::run([&] { return serve(t, stop.get_token()); });
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", argv[0], problem.what());
    return 1;
  }
}
