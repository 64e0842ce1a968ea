// SPDX-License-Identifier: BSL-1.0
#include "directory.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "date_text.hpp"
#include "net/http/conversation.hpp"
#include "support/leak_check.hpp"

namespace fs = std::filesystem;
namespace http = examples::http;
using heddle::testing::answers_to;
using heddle::testing::joined;

namespace {

/// A folder with something in it, beside a secret.
struct folder {
  folder() {
    std::string name = (fs::temp_directory_path() / "heddle-http-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    top = name;
    fs::create_directories(top / "www/sub");
    fs::create_directory(top / "www/empty");
    put("secret", "secret");
    put("www/index.html", "front\n");
    put("www/digits.txt", "0123456789");
    put("www/sub/index.html", "sub\n");
    put("www/two words%.bin", "words\n");
    put("www/nothing.css", "");
    fs::create_symlink("../secret", top / "www/out");
    fs::create_symlink(top / "secret", top / "www/absolute");
    fs::create_directory_symlink("..", top / "www/up");
    fs::create_symlink("digits.txt", top / "www/inside.txt");
    ::mkfifo((top / "www/pipe").c_str(), 0600);
  }
  ~folder() { fs::remove_all(top); }

  void put(const std::string& name, const std::string& content) const { std::ofstream(top / name) << content; }
  std::string ask(std::string_view request_line, std::string_view fields = "") const {
    const http::directory files((top / "www").string());
    return answers_to(joined({request_line, " HTTP/1.1\r\nHost: a\r\n", fields, "\r\n"}), std::cref(files));
  }
  static std::string status(const std::string& answer) { return answer.substr(9, 3); }
  static std::string body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
  static std::string field(const std::string& answer, std::string_view name) {
    const std::string start = joined({"\r\n", name, ": "});
    const std::size_t at = answer.find(start);
    if (at == std::string::npos || at > answer.find("\r\n\r\n")) return "none";
    return answer.substr(at + start.size(), answer.find("\r\n", at + 2) - at - start.size());
  }

  fs::path top;
};

struct site : folder, heddle::testing::leak_check {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(directory, site)

BOOST_AUTO_TEST_CASE(files) {
  const std::string answer = ask("GET /digits.txt");
  BOOST_TEST(status(answer) == "200");
  BOOST_TEST(body(answer) == "0123456789");
  BOOST_TEST(field(answer, "Content-Length") == "10");
  BOOST_TEST(field(answer, "Content-Type") == "text/plain; charset=utf-8");
  BOOST_TEST(field(answer, "Accept-Ranges") == "bytes");
  BOOST_TEST(body(ask("GET /digits.txt?a=b#c")) == "0123456789");
  BOOST_TEST(body(ask("GET http://a/digits.txt")) == "0123456789");
  BOOST_TEST(body(ask("GET ///sub/../digits.txt")) == "0123456789");
  BOOST_TEST(body(ask("GET /inside.txt")) == "0123456789");
  BOOST_TEST(body(ask("GET /%74wo%20words%25.bin")) == "words\n");
  BOOST_TEST(field(ask("GET /%74wo%20words%25.bin"), "Content-Type") == "application/octet-stream");
  BOOST_TEST(ask("GET /nothing.css").ends_with("Content-Length: 0\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(directories) {
  BOOST_TEST(body(ask("GET /")) == "front\n");
  BOOST_TEST(body(ask("GET http://a")) == "front\n");
  BOOST_TEST(body(ask("GET /sub/")) == "sub\n");
  BOOST_TEST(field(ask("GET /"), "Content-Type") == "text/html; charset=utf-8");
  BOOST_TEST(status(ask("GET /sub?x")) == "301");
  BOOST_TEST(field(ask("GET /sub?x"), "Location") == "/sub/");
  BOOST_TEST(field(ask("GET //sub"), "Location") == "/sub/");  // not the host "sub"
  BOOST_TEST(status(ask("GET /empty/")) == "404");
}

BOOST_AUTO_TEST_CASE(nothing_leads_out) {
  for (const char* path : {"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub/../../secret", "/out", "/absolute",
                           "/up/secret", "//../secret", "/sub/..//../secret", "/./../secret"}) {
    const std::string answer = ask(joined({"GET ", path}));
    BOOST_TEST(status(answer) == "404", path);
    BOOST_TEST(answer.find("secret\r\n\r\nsecret") == std::string::npos, path);
    BOOST_TEST(body(answer) == "", path);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_there) {
  BOOST_TEST(status(ask("GET /none")) == "404");
  BOOST_TEST(status(ask("GET /digits.txt/")) == "404");
  BOOST_TEST(status(ask(joined({"GET /", std::string(300, 'x')}))) == "404");
  BOOST_TEST(status(ask("GET /pipe")) == "403");
  for (const char* target : {"*", "digits.txt", "/%", "/%4", "/%zz", "/a%00b", "/%-1"})
    BOOST_TEST(status(ask(joined({"GET ", target}))) == "400", target);
}

BOOST_AUTO_TEST_CASE(methods) {
  BOOST_TEST(ask("HEAD /digits.txt").ends_with("Content-Length: 10\r\n\r\n"));
  const std::string answer = ask("POST /digits.txt", "Content-Length: 0\r\n");
  BOOST_TEST(status(answer) == "405");
  BOOST_TEST(field(answer, "Allow") == "GET, HEAD");
}

BOOST_AUTO_TEST_CASE(parts) {
  const std::string answer = ask("GET /digits.txt", "Range: bytes=2-4\r\n");
  BOOST_TEST(status(answer) == "206");
  BOOST_TEST(field(answer, "Content-Range") == "bytes 2-4/10");
  BOOST_TEST(field(answer, "Content-Length") == "3");
  BOOST_TEST(body(answer) == "234");
  BOOST_TEST(body(ask("GET /digits.txt", "Range: bytes=-1\r\n")) == "9");
  const std::string none = ask("GET /digits.txt", "Range: bytes=10-\r\n");
  BOOST_TEST(status(none) == "416");
  BOOST_TEST(field(none, "Content-Range") == "bytes */10");
  BOOST_TEST(status(ask("GET /digits.txt", "Range: lines=1-2\r\n")) == "200");
  BOOST_TEST(status(ask("HEAD /digits.txt", "Range: bytes=2-4\r\n")) == "200");  // only of GET (section 14.2)
}

BOOST_AUTO_TEST_CASE(several_parts) {
  const std::string answer = ask("GET /digits.txt", "Range: bytes=0-0, 3-4, -2\r\n");
  BOOST_TEST(status(answer) == "206");
  const std::string type = field(answer, "Content-Type"), boundary = type.substr(type.find('=') + 1);
  BOOST_TEST(type.starts_with("multipart/byteranges; boundary="));
  const auto part = [&](std::string_view range, std::string_view text) {
    return joined({"\r\n--", boundary, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ", range,
                   "/10\r\n\r\n", text});
  };
  const std::string expected =
      joined({part("0-0", "0"), part("3-4", "34"), part("8-9", "89"), "\r\n--", boundary, "--\r\n"});
  BOOST_TEST(body(answer) == expected);
  BOOST_TEST(field(answer, "Content-Length") == std::to_string(expected.size()));
}

BOOST_AUTO_TEST_CASE(what_has_not_changed) {
  const std::string first = ask("GET /digits.txt");
  const std::string tag = field(first, "ETag"), date = field(first, "Last-Modified");
  BOOST_TEST(http::time_of(date) > 0);
  const auto asked = [&](std::string_view name, std::string_view value) {
    return status(ask("GET /digits.txt", joined({name, ": ", value, "\r\n"})));
  };
  BOOST_TEST(asked("If-None-Match", tag) == "304");
  BOOST_TEST(asked("If-None-Match", joined({"\"x\", W/", tag})) == "304");
  BOOST_TEST(asked("If-None-Match", "*") == "304");
  BOOST_TEST(asked("If-None-Match", "\"x\"") == "200");
  BOOST_TEST(asked("If-Modified-Since", date) == "304");
  BOOST_TEST(asked("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT") == "200");
  BOOST_TEST(asked("If-Modified-Since", "yesterday") == "200");
  BOOST_TEST(asked("Range", "bytes=0-0\r\nIf-Range: \"x\"") == "200");
  BOOST_TEST(asked("Range", joined({"bytes=0-0\r\nIf-Range: ", tag})) == "206");
  BOOST_TEST(asked("Range", joined({"bytes=0-0\r\nIf-Range: ", date})) == "200");
  put("www/digits.txt", "9876543210!");
  BOOST_TEST(asked("If-None-Match", tag) == "200");
}

BOOST_AUTO_TEST_CASE(dates) {
  BOOST_TEST(http::date_of(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  BOOST_TEST(http::time_of("Sun, 06 Nov 1994 08:49:37 GMT") == 784'111'777);
  for (const char* text :
       {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GM", "Sun Nov  6 08:49:37 1994 GMT."})
    BOOST_TEST(http::time_of(text) == -1, text);
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_not_there) {
  BOOST_CHECK_EXCEPTION(http::directory((top / "none").string()), std::system_error, [&](const std::system_error& e) {
    return std::string(e.what()).find((top / "none").string()) != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
