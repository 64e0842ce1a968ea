// SPDX-License-Identifier: BSL-1.0
#include "asio_tls.hpp"

#include <stdio.h>
#include <stdlib.h>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "asio_server.hpp"
#include "heddle/blocking.hpp"
#include "heddle/run.hpp"

namespace {

namespace net = boost::asio;
namespace ssl = boost::asio::ssl;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;
using examples::asio_server;
using examples::dial_tls;
using examples::tls_session;
using examples::tls_stream;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using net::ip::tcp;

const tcp::endpoint free_port(net::ip::address_v4::loopback(), 0);
std::string port_of(const asio_server& s) { return std::to_string(s.endpoint().port()); }

/// A key and a certificate for `localhost` that nobody has signed but itself, made for this run.
class certificate {
 public:
  certificate() {
    char name[] = "/tmp/heddle_tls_XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout " +
        key() + " -out " + file() + " 2>/dev/null";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl req failed");
  }
  certificate(const certificate&) = delete;
  certificate& operator=(const certificate&) = delete;
  ~certificate() { std::filesystem::remove_all(folder_); }
  std::string key() const { return folder_ + "/key.pem"; }
  std::string file() const { return folder_ + "/certificate.pem"; }

 private:
  std::string folder_;
};

struct contexts {
  certificate made;
  ssl::context server{ssl::context::tls_server}, client{ssl::context::tls_client},
      trusts_nobody{ssl::context::tls_client};
  contexts() {
    server.use_certificate_chain_file(made.file());
    server.use_private_key_file(made.key(), ssl::context::pem);
    client.load_verify_file(made.file());
  }
};

/// Sends lines back.
void echo(tls_stream& s, const std::stop_token& stop) {
  std::string line;
  for (error_code e;;) {
    const std::size_t n = net::async_read_until(s, net::dynamic_buffer(line), '\n', use_fiber[e].stopped_by(stop));
    if (e) return;
    net::async_write(s, net::buffer(line, n), use_fiber[e]);
    line.erase(0, n);
  }
}

/// Lines of the output of a program, which is given twenty seconds.
class program {
 public:
  explicit program(const std::string& command) : output_(::popen(("timeout 20 " + command).c_str(), "r")) {}
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    heddle::blocking([this] { ::pclose(output_); });
  }
  std::string line() {
    char text[1000] = "";
    heddle::blocking([&] { return ::fgets(text, sizeof text, output_); });
    return text;
  }

 private:
  FILE* output_;
};

auto says(const char* words) {
  return [words](const system_error& e) { return e.code().message().find(words) != std::string::npos; };
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls, contexts)

BOOST_AUTO_TEST_CASE(carries_bytes_both_ways) {
  reactor r;
  heddle::run([&] {
    asio_server listener(r, free_port, tls_session(server, echo, 10s));
    heddle::group clients;
    for (int i = 0; i != 20; ++i)
      clients.spawn([&, i] {
        tls_stream s = dial_tls(r, client, "localhost", port_of(listener), 20s);
        const std::string sent = std::string(20'000, static_cast<char>('a' + i)) + '\n';
        net::async_write(s, net::buffer(sent), use_fiber);
        std::string received(sent.size(), ' ');
        net::async_read(s, net::buffer(received), use_fiber);
        if (received != sent) throw std::runtime_error("other bytes came back");
        s.async_shutdown(use_fiber);
      });
    clients.wait();
    listener.stop();
  });
}

BOOST_AUTO_TEST_CASE(refuses_those_that_do_not_prove_their_name) {
  reactor r;
  heddle::run([&] {
    asio_server listener(r, free_port, tls_session(server, echo, 10s));
    BOOST_CHECK_EXCEPTION(dial_tls(r, client, "127.0.0.1", port_of(listener), 20s), system_error,
                          says("certificate verify failed"));
    BOOST_CHECK_EXCEPTION(dial_tls(r, trusts_nobody, "localhost", port_of(listener), 20s), system_error,
                          says("certificate verify failed"));
    listener.stop();
  });
}

BOOST_AUTO_TEST_CASE(tells_an_end_from_a_cut) {
  reactor r;
  heddle::run([&] {
    const auto end_of = [&](const asio_server& listener) {
      tls_stream s = dial_tls(r, client, "localhost", port_of(listener), 20s);
      char byte = 0;
      error_code e;
      s.async_read_some(net::buffer(&byte, 1), use_fiber[e].within(20s));
      return e;
    };
    asio_server ends(r, free_port,
                     tls_session(
                         server, [](tls_stream&, const std::stop_token&) {}, 1s));
    BOOST_TEST(end_of(ends) == net::error::eof);
    ends.stop();
    asio_server cuts(r, free_port,
                     tls_session(
                         server, [](tls_stream& s, const std::stop_token&) { s.next_layer().close(); }, 1s));
    BOOST_TEST(end_of(cuts) == ssl::error::stream_truncated);
    cuts.stop();
  });
}

BOOST_AUTO_TEST_CASE(loses_patience_with_those_that_say_nothing) {
  reactor r;
  heddle::run([&] {
    tcp::acceptor mute(r.get_executor(), free_port);
    BOOST_CHECK_EXCEPTION(dial_tls(r, client, "localhost", std::to_string(mute.local_endpoint().port()), 300ms),
                          system_error, [](const system_error& e) { return e.code() == net::error::timed_out; });
    asio_server listener(r, free_port, tls_session(server, echo, 50ms));
    tcp::socket plain = examples::dial(r, "localhost", port_of(listener), 20s);
    char byte = 0;
    error_code e;
    BOOST_TEST(plain.async_read_some(net::buffer(&byte, 1), use_fiber[e].within(20s)) == 0u);
    BOOST_TEST(e == net::error::eof);
    listener.stop();
  });
}

BOOST_AUTO_TEST_CASE(serves_the_client_of_openssl) {
  reactor r;
  heddle::run([&] {
    asio_server listener(r, free_port, tls_session(server, echo, 10s));
    program s_client(
        "sh -c \"printf 'over TLS\\n' | openssl s_client -quiet -verify_return_error -verify_hostname "
        "localhost -CAfile " +
        made.file() + " -connect 127.0.0.1:" + port_of(listener) + " 2>/dev/null\"");
    BOOST_TEST(s_client.line() == "over TLS\n");
    listener.stop();
  });
}

BOOST_AUTO_TEST_CASE(talks_to_the_server_of_openssl) {
  reactor r;
  heddle::run([&] {
    program s_server("openssl s_server -rev -naccept 1 -accept 127.0.0.1:0 -cert " + made.file() + " -key " +
                     made.key() + " 2>/dev/null");
    std::string line = s_server.line();
    while (!line.empty() && line.find("ACCEPT") != 0) line = s_server.line();
    BOOST_TEST_REQUIRE(line.find(':') != std::string::npos, "it said '" << line << "'");
    const std::string port = line.substr(line.rfind(':') + 1);
    tls_stream s = dial_tls(r, client, "localhost", std::to_string(std::stoi(port)), 20s);
    net::async_write(s, net::buffer("olleh\n", 6), use_fiber);
    std::string answer(6, ' ');
    net::async_read(s, net::buffer(answer), use_fiber.within(20s));
    BOOST_TEST(answer == "hello\n");
  });
}

BOOST_AUTO_TEST_SUITE_END()
