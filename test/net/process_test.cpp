// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/io/error.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::child_stream;
using heddle::io::exit_status;
using heddle::io::process;

std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

/// f() until it is true, for ten seconds.
template <class F>
bool in_time(F f) {
  for (int i = 0; i != 10'000; ++i) {
    if (f()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

bool no_child_is_left() {
  siginfo_t any{};
  return ::waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

/// A test leaves no descriptor behind, and no child.
struct leaves_nothing {
  leaves_nothing() {
    // The reaper and the poller open here whatever they keep open.
    static_cast<void>(process::run("sleep", {"0.01"}));
    heddle::run([] { process::run("sleep", {"0.01"}).wait(); });
    BOOST_TEST_REQUIRE(in_time(no_child_is_left));
    before = open_descriptors();
  }
  void teardown() {
    BOOST_TEST(in_time([this] { return open_descriptors() == before; }), "descriptors left over");
    BOOST_TEST(in_time(no_child_is_left));
  }
  std::size_t before = 0;
};

std::string all_of(heddle::io::stream& s) {
  std::string all;
  std::vector<std::byte> part(50'000);
  while (const std::size_t n = s.read_some(part)) all.append(reinterpret_cast<const char*>(part.data()), n);
  return all;
}
/// The output of a program that must succeed.
std::string output_of(const std::string& program, const std::vector<std::string>& arguments,
                      heddle::io::process_options o = {}) {
  o.out = child_stream::pipe();
  process p = process::run(program, arguments, o);
  std::string all = all_of(p.out());
  BOOST_TEST(p.wait().success());
  return all;
}

/// The error that f throws.
template <class F>
heddle::io::error thrown_by(F f) {
  try {
    f();
  } catch (const heddle::io::error& e) {
    return e;
  }
  BOOST_FAIL("nothing was thrown");
  return {{}, ""};
}

class temporary_file {
 public:
  explicit temporary_file(int mode = 0600) {
    char name[] = "/tmp/heddle-process.XXXXXX";
    fd_ = ::mkostemp(name, O_CLOEXEC);
    BOOST_TEST_REQUIRE(fd_ >= 0);
    ::fchmod(fd_, static_cast<mode_t>(mode));
    path = name;
  }
  ~temporary_file() {
    close();
    ::unlink(path.c_str());
  }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  std::string path;

 private:
  int fd_ = -1;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(processes, leaves_nothing)

BOOST_AUTO_TEST_CASE(end_with_a_status) {
  heddle::run([] {
    BOOST_TEST((process::run("true").wait() == exit_status{0, 0}));
    BOOST_TEST((process::run("false").wait() == exit_status{1, 0}));
    BOOST_TEST((process::run("/bin/sh", {"-c", "exit 7"}).wait() == exit_status{7, 0}));
    BOOST_TEST((process::run("sh", {"-c", "kill -9 $$"}).wait() == exit_status{0, SIGKILL}));
    process p = process::run("sh", {"-c", "exit 3"});
    BOOST_TEST(p.id() > 0);
    BOOST_TEST(static_cast<bool>(p));
    for (int i = 0; i != 3; ++i) BOOST_TEST(p.wait().code == 3);
    BOOST_TEST(!p);
    std::error_code ec;
    p.send(SIGTERM, ec);
    BOOST_TEST((ec == std::errc::no_such_process));
    process none;
    none.wait({}, ec);
    BOOST_TEST((ec == std::errc::no_child_process));
  });
}

BOOST_AUTO_TEST_CASE(of_plain_threads) {
  BOOST_TEST(output_of("echo", {"hello", "there"}) == "hello there\n");
  BOOST_TEST(process::run("sh", {"-c", "sleep 0.01; exit 4"}).wait().code == 4);
}

BOOST_AUTO_TEST_CASE(sort_what_they_are_given) {
  heddle::run([] {
    process p = process::run("sort", {"-n"}, {.in = child_stream::pipe(), .out = child_stream::pipe()});
    p.in().write("10\n9\n100\n1\n");
    p.in().close();
    BOOST_TEST(all_of(p.out()) == "1\n9\n10\n100\n");
    BOOST_TEST(p.wait().success());
    BOOST_TEST(!p.err().is_open());
  });
}

BOOST_AUTO_TEST_CASE(take_and_give_much_at_once) {
  heddle::run([] {
    process p = process::run("cat", {}, {.in = child_stream::pipe(), .out = child_stream::pipe()});
    std::string bytes(8'000'000, '\0');
    for (std::size_t i = 0; i != bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 9);
    auto writer = heddle::spawn([&] {
      p.in().write(bytes);
      p.in().close();
    });
    BOOST_TEST((all_of(p.out()) == bytes));
    writer.join();
    BOOST_TEST(p.wait().success());
  });
}

BOOST_AUTO_TEST_CASE(hundred_at_once) {
  heddle::run([] {
    std::vector<heddle::join_handle<int>> all;
    for (int i = 0; i != 100; ++i)
      all.push_back(heddle::spawn([i] {
        process p = process::run("sh", {"-c", "read n; echo $n; exit " + std::to_string(i)},
                                 {.in = child_stream::pipe(), .out = child_stream::pipe()});
        heddle::this_fiber::yield();
        p.in().write(std::to_string(i) + "\n");
        if (all_of(p.out()) != std::to_string(i) + "\n") return -1;
        return p.wait().code;
      }));
    for (int i = 0; i != 100; ++i) BOOST_TEST(all[static_cast<std::size_t>(i)].join() == i);
  });
}

BOOST_AUTO_TEST_CASE(are_awaited_by_several) {
  heddle::run([] {
    process p = process::run("sh", {"-c", "read n; exit 5"}, {.in = child_stream::pipe()});
    std::vector<heddle::join_handle<int>> all;
    for (int i = 0; i != 10; ++i) all.push_back(heddle::spawn([&] { return p.wait().code; }));
    heddle::this_fiber::sleep_for(2ms);
    p.in().close();
    for (auto& f : all) BOOST_TEST(f.join() == 5);
  });
}

BOOST_AUTO_TEST_CASE(that_cannot_be_run_say_why) {
  heddle::run([] {
    const auto why = [](const std::string& program, const std::string& directory = {}) {
      return thrown_by([&] { process::run(program, {}, {.out = child_stream::pipe(), .directory = directory}); });
    };
    BOOST_TEST((why("heddle-nonsense").code() == std::errc::no_such_file_or_directory));
    BOOST_TEST(why("heddle-nonsense").what() == std::string("run heddle-nonsense: No such file or directory"));
    BOOST_TEST((why("/etc/passwd").code() == std::errc::permission_denied));
    BOOST_TEST(why("/etc/passwd").what() == std::string("run /etc/passwd: Permission denied"));
    BOOST_TEST(why("true", "/nonsense").what() == std::string("run true in /nonsense: No such file or directory"));
    BOOST_TEST((why("").code() == std::errc::no_such_file_or_directory));
    const auto closed = thrown_by([] { process::run("true", {}, {.in = child_stream::of(-1)}); });
    BOOST_TEST((closed.code() == std::errc::bad_file_descriptor));
    const auto wrong = thrown_by([] { process::run("true", {}, {.out = child_stream::same_as_out()}); });
    BOOST_TEST((wrong.code() == std::errc::invalid_argument));
  });
}

BOOST_AUTO_TEST_CASE(have_their_own_directory_and_environment) {
  heddle::run([] {
    BOOST_TEST(output_of("pwd", {}, {.directory = "/usr/bin"}) == "/usr/bin\n");
    BOOST_TEST(output_of("./true", {}, {.directory = "/usr/bin"}).empty());
    BOOST_TEST(output_of("env", {}, {.environment = {{"A=1", "B=two words"}}}) == "A=1\nB=two words\n");
    BOOST_TEST(output_of("env", {}, {.environment = std::vector<std::string>()}).empty());
    ::setenv("HEDDLE_TEST_OF_PROCESSES", "inherited", 1);
    BOOST_TEST(output_of("printenv", {"HEDDLE_TEST_OF_PROCESSES"}) == "inherited\n");
    ::unsetenv("HEDDLE_TEST_OF_PROCESSES");
  });
}

BOOST_AUTO_TEST_CASE(have_streams_of_all_kinds) {
  heddle::run([] {
    const std::vector<std::string> both{"-c", "echo out; echo err >&2"};
    process separate = process::run("sh", both, {.out = child_stream::pipe(), .err = child_stream::pipe()});
    BOOST_TEST(all_of(separate.err()) == "err\n");
    BOOST_TEST(all_of(separate.out()) == "out\n");
    BOOST_TEST(separate.wait().success());
    BOOST_TEST(output_of("sh", both, {.err = child_stream::same_as_out()}) == "out\nerr\n");
    BOOST_TEST(output_of("sh", both, {.err = child_stream::null()}) == "out\n");
    BOOST_TEST(output_of("cat", {}, {.in = child_stream::null()}).empty());
    // The two swapped: each is what the other was.
    temporary_file out, err;
    const int usual_out = ::dup(1), usual_err = ::dup(2);
    ::dup2(out.fd(), 1);
    ::dup2(err.fd(), 2);
    const exit_status how = process::run("sh", both, {.out = child_stream::of(2), .err = child_stream::of(1)}).wait();
    ::dup2(usual_out, 1);
    ::dup2(usual_err, 2);
    ::close(usual_out);
    ::close(usual_err);
    BOOST_TEST(how.success());
    BOOST_TEST(output_of("cat", {out.path}) == "err\n");
    BOOST_TEST(output_of("cat", {err.path}) == "out\n");
  });
}

BOOST_AUTO_TEST_CASE(begin_when_our_own_input_is_closed) {
  const auto pass = [](child_stream out) {
    process p = process::run("cat", {}, {.in = child_stream::pipe(), .out = out});
    p.in().write("a line\n");
    p.in().close();
    const std::string got = out.what == child_stream::kind::pipe ? all_of(p.out()) : "";
    BOOST_TEST(p.wait().success());
    return got;
  };
  heddle::run([&] {
    const temporary_file file;
    const int usual = ::dup(0);
    ::close(0);  // new descriptors stand where the child's are to be
    BOOST_TEST(pass(child_stream::pipe()) == "a line\n");
    pass(child_stream::of(file.fd()));
    BOOST_TEST(output_of("cat", {file.path}) == "a line\n");
    BOOST_TEST(output_of("cat", {}, {.in = child_stream::null()}).empty());
    ::dup2(usual, 0);
    ::close(usual);
  });
}

BOOST_AUTO_TEST_CASE(inherit_nothing_of_others) {
  heddle::run([] {
    const std::string usual = output_of("ls", {"/proc/self/fd"});
    process other = process::run("cat", {}, {.in = child_stream::pipe(), .out = child_stream::pipe()});
    BOOST_TEST(output_of("ls", {"/proc/self/fd"}) == usual);
    other.in().close();
    BOOST_TEST(other.wait().success());
  });
}

BOOST_AUTO_TEST_CASE(begin_without_our_signal_masks) {
  heddle::run([] {
    sigset_t all, mask;
    ::sigfillset(&all);
    const auto usual = ::signal(SIGPIPE, SIG_IGN);
    std::string text;
    heddle::blocking([&] {  // on one thread
      ::pthread_sigmask(SIG_SETMASK, &all, &mask);
      text = output_of("grep", {"-E", "SigBlk|SigIgn", "/proc/self/status"});
      ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    });
    ::signal(SIGPIPE, usual);
    BOOST_TEST(text.find("SigBlk:\t0000000000000000") != std::string::npos, text);
    const std::string ignored = text.substr(text.find("SigIgn:\t") + 8, 16);
    BOOST_TEST((std::stoull(ignored, nullptr, 16) & (1ull << (SIGPIPE - 1))) == 0u, text);
  });
}

BOOST_AUTO_TEST_CASE(are_awaited_within_limits) {
  heddle::run([] {
    process p = process::run("cat", {}, {.in = child_stream::pipe()});
    std::error_code ec;
    p.wait(5ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    std::stop_source stop;
    auto stopper = heddle::spawn([&] { stop.request_stop(); });
    p.wait(stop.get_token(), ec);
    BOOST_TEST((ec == std::errc::operation_canceled));
    stopper.join();
    p.in().close();
    BOOST_TEST(p.wait().success());
  });
}

BOOST_AUTO_TEST_CASE(are_stopped) {
  heddle::run([] {
    std::stop_source stop;
    process mild = process::run("sleep", {"1000"});
    auto stopper = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
    });
    BOOST_TEST((mild.wait_or_stop(stop.get_token(), 1h) == exit_status{0, SIGTERM}));
    stopper.join();
    process deaf = process::run("sh", {"-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"},
                                {.out = child_stream::pipe(), .err = child_stream::null()});
    std::array<std::byte, 6> ready;
    deaf.out().read(ready);
    BOOST_TEST((deaf.stop(20ms) == exit_status{0, SIGKILL}));
    process over = process::run("true");
    BOOST_TEST(in_time([&] {
      return output_of("cat", {"/proc/" + std::to_string(over.id()) + "/stat"}).find(") Z ") != std::string::npos;
    }));
    BOOST_TEST(over.wait_or_stop(stop.get_token(), 0s).success());  // it had ended before
  });
}

BOOST_AUTO_TEST_CASE(get_signals) {
  heddle::run([] {
    process p = process::run("sh", {"-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done"},
                             {.out = child_stream::pipe(), .err = child_stream::null()});
    std::array<std::byte, 6> ready;
    p.out().read(ready);
    p.send(SIGUSR1);
    BOOST_TEST(p.wait().code == 9);
    BOOST_TEST((thrown_by([&] { p.send(SIGKILL); }).code() == std::errc::no_such_process));
  });
}

BOOST_AUTO_TEST_CASE(that_nobody_awaits_are_no_zombies) {
  std::vector<pid_t> ids;
  heddle::run([&] {
    for (int i = 0; i != 20; ++i) {
      const process dropped = process::run("sh", {"-c", "sleep 0.0" + std::to_string(i % 4)});
      ids.push_back(dropped.id());
    }
    process waits = process::run("cat", {}, {.in = child_stream::pipe()});
    ids.push_back(waits.id());
    waits = process();  // its pipe is closed, so it ends
  });
  for (const pid_t id : ids) BOOST_TEST(in_time([id] { return ::kill(id, 0) != 0 && errno == ESRCH; }));
}

BOOST_AUTO_TEST_CASE(that_others_wait_for_are_not_mistaken) {
  heddle::run([] {
    process p = process::run("true");
    BOOST_TEST(::waitpid(-1, nullptr, 0) == p.id());  // a theft
    std::error_code ec;
    p.send(SIGKILL, ec);
    BOOST_TEST((ec == std::errc::no_such_process));
    p.wait({}, ec);
    BOOST_TEST((ec == std::errc::no_child_process));
    ::signal(SIGCHLD, SIG_IGN);
    process q = process::run("true");
    q.wait({}, ec);
    BOOST_TEST((ec == std::errc::no_child_process));
    ::signal(SIGCHLD, SIG_DFL);
  });
}

BOOST_AUTO_TEST_CASE(that_have_gone_raise_no_signal) {
  BOOST_TEST((::signal(SIGPIPE, SIG_DFL) != SIG_ERR));
  heddle::run([] {
    process p = process::run("true", {}, {.in = child_stream::pipe()});
    BOOST_TEST(p.wait().success());
    std::error_code ec;
    p.in().write(std::as_bytes(std::span("some bytes")), ec);
    BOOST_TEST((ec == std::errc::broken_pipe));
    BOOST_TEST(p.in().name() == "the input of true");
    sigset_t waiting;
    ::sigpending(&waiting);
    BOOST_TEST(::sigismember(&waiting, SIGPIPE) == 0);
  });
}

BOOST_AUTO_TEST_CASE(whose_program_is_being_written) {
  heddle::run([] {
    temporary_file program(0700);
    std::filesystem::copy_file("/bin/true", program.path, std::filesystem::copy_options::overwrite_existing);
    BOOST_TEST((thrown_by([&] { process::run(program.path); }).code() == std::errc::text_file_busy));
    auto writer = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(10ms);
      program.close();
    });
    BOOST_TEST(process::run(program.path).wait().success());
    writer.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
