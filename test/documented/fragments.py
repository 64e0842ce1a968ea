# SPDX-License-Identifier: BSL-1.0
"""What blocks of code in documentation leave out. Keys: the file, and which of its blocks, from 0.

before, after: declarations that it needs. first, last: statements around it. declares: it stands in a namespace (globally:
in the outermost), not in a function, and `last` is what runs; declares_first: so many lines of it do. left_out, compiled_only: why it is not compiled, or not run. Blocks without an entry are
complete; those that do not call heddle::run() run on a fiber.
"""

A, R, N, S, G = (f"{m}/include/heddle/" for m in ("alloc", "runtime", "runtime/net", "sync", "gc"))
IO, NET, GC = N + "io/", N + "net/", G + "gc/"
OUTSIDE = "it needs what is outside of the machine"

FRAGMENTS = {
    (A + "allocator.hpp", 0): dict(
        before="struct order { int number; }; using text = std::string;",
        last="orders.push_back({1}); texts[1] = \"a\";"),
    (A + "arena.hpp", 0): dict(
        before="struct request {}; struct node { explicit node(const request&) {} }; struct item {};"
               "std::vector<request> requests(2); void answer(node&, std::pmr::vector<item>& i) { i.emplace_back(); }"),
    (A + "heap_profile.hpp", 0): dict(before="void serve() {}", last='std::remove("server.heap");'),
    (A + "memory_resource.hpp", 0): dict(last="v.push_back(1); std::pmr::set_default_resource(nullptr);"),
    (R + "blocking.hpp", 0): dict(
        first='char buffer[4]; const int fd = ::open("/dev/zero", O_RDONLY);', last="REQUIRE(n == 4); ::close(fd);"),
    (R + "large_stack.hpp", 0): dict(
        first='const char *host = "127.0.0.1", *service = nullptr; addrinfo hints{}, *found = nullptr;',
        last="if (found != nullptr) ::freeaddrinfo(found);"),
    (R + "no_preemption.hpp", 0): dict(
        first="std::recursive_mutex recursive; std::unordered_map<int, int> m;"
              "struct { std::unordered_map<int, int>& of; void rehash() { of.rehash(8); } } table{m};"),
    (R + "run.hpp", 0): dict(last="REQUIRE(answer == 42);"),
    (S + "barrier.hpp", 0): dict(before="int now = 0, next = 1; void compute(int) {} using std::swap;"),
    (S + "channel.hpp", 1): dict(left_out="it lists expressions, to say what each receives"),
    (S + "condition_variable_any.hpp", 0): dict(
        declares=True, before="bool has_row() { return true; }", last="REQUIRE(wait_for_row({}));"),
    (S + "fiber_local.hpp", 0): dict(declares_first=2),
    (S + "group.hpp", 0): dict(
        before="struct page {}; page fetch(const std::string&, std::stop_token) { return {}; }"
               "const std::vector<std::string> urls(20);"),
    (S + "latch.hpp", 0): dict(before="void prepare() {}"),
    (S + "mutex.hpp", 0): dict(last="REQUIRE(balance == 4950);"),
    (S + "mutex.hpp", 1): dict(before="void work() {}"),
    (S + "once.hpp", 0): dict(
        declares=True, before="using index = int; index load(const char*) { return 7; }",
        last="REQUIRE(the_index() == 7);"),
    (S + "received.hpp", 0): dict(first="heddle::channel<std::string> lines;"),
    (S + "recursive_mutex.hpp", 0): dict(
        declares=True, before="struct node { std::vector<node> children; };", last="visit({{{}, {}}});"),
    (S + "recursive_mutex.hpp", 1): dict(before="void work() {}"),
    (S + "select.hpp", 1): dict(
        before="void use(std::optional<int>&) {}",
        first="std::vector<heddle::channel<int>*> channels; heddle::channel<int> a(1), b(1), c(1);"
              "channels = {&a, &b}; a.send(1); heddle::send_case to_log(c, 1);"),
    (S + "semaphore.hpp", 0): dict(
        before="struct job { int mib; }; const std::vector<job> jobs{{400}, {700}, {1000}}; void run(const job&) {}"),
    (S + "semaphore.hpp", 1): dict(before="void work() {}"),
    (S + "shared_mutex.hpp", 0): dict(
        declares=True, last='ages["a"] = 1; birthday("a"); REQUIRE(age("a") == 2);'),
    (S + "shared_mutex.hpp", 1): dict(before="void look() {}"),
    (S + "ticker.hpp", 0): dict(before="bool done(std::chrono::steady_clock::time_point) { return true; }"),
    (S + "ticker.hpp", 1): dict(
        before="void give_up() {} void use(std::optional<int>) {}",
        first="heddle::channel<int> answers(1); answers.send(1);"),
    (S + "wait_group.hpp", 0): dict(before="void work() {}"),
    (GC + "atomic.hpp", 0): dict(declares=True, last="push(1); push(2); REQUIRE(top.load()->value == 2); top = nullptr;"),
    (GC + "cleanup.hpp", 0): dict(
        before="struct picture { int w, h; int texture = 0; };"
               "struct { void release(int) {} } driver; const int width = 1, height = 2;"),
    (GC + "counted_weak.hpp", 0): dict(
        before="struct node { int value = 0; }; void use(node&) {}", first="auto p = gc::make_counted<node>();"),
    (GC + "ephemeron_map.hpp", 0): dict(
        before="struct request { int n = 0; }; struct annotations { gc::string text; }; void print(const gc::string&) {}",
        first="auto r = gc::make<request>();"),
    (GC + "hash_map.hpp", 0): dict(before="struct session { int n = 0; void touch() { ++n; } };"),
    (GC + "layout.hpp", 0): dict(
        declares=True,
        before="struct named { gc::string name; static void trace(gc::layout<named>& l) { l(&named::name); } };",
        last="gc::make<node>();"),
    (GC + "layout.hpp", 1): dict(
        declares=True, globally=True,
        before="namespace other { struct pair { heddle::gc::ptr<int> first, second; pair() {} };"
               "struct number { long n; number() : n(0) {} }; }",
        last="gc::make<other::pair>(); gc::make<other::number>();"),
    (GC + "layout.hpp", 2): dict(
        declares=True, globally=True, before="struct node { ~node() {} };", last="gc::make<node>();"),
    (GC + "leaked_fibers.hpp", 0): dict(  # a fiber is left over, and the collector says so
        first='if (std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(3);', last="std::_Exit(0);"),
    (GC + "make_counted.hpp", 2): dict(first='const char* path = "/dev/null";'),
    (GC + "make_counted.hpp", 3): dict(
        declares=True, after="void session::serve() {}", last="gc::make_counted<session>()->start();"),
    (GC + "root.hpp", 0): dict(before="struct session { int n = 0; };"),
    (GC + "weak.hpp", 0): dict(
        before="struct session { int n = 0; void touch() { ++n; } };", first="auto current = gc::make<session>();"),
    (IO + "buffered.hpp", 0): dict(
        before="int lines_seen = 0; void count(std::string_view) { ++lines_seen; }",
        first='auto [in, out] = io::pipe(); out.write("a\\nb\\n"); out.close(); io::buffered_reader reader(in);',
        last="REQUIRE(lines_seen == 2);"),
    (IO + "buffered_reader.hpp", 0): dict(
        before="void answer(std::string_view) {}",
        first='auto [connection, out] = io::pipe(); out.write("a\\nb\\n"); out.close();'),
    (IO + "buffered_writer.hpp", 0): dict(
        first='auto [near, connection] = io::pipe(); const std::string headers = "a: b\\r\\n\\r\\n";'),
    (IO + "file.hpp", 0): dict(first='const std::array<std::byte, 16> record{};', last='std::remove("data");'),
    (IO + "limits.hpp", 0): dict(
        first='auto [stream, out] = io::pipe(); std::array<std::byte, 1> buffer; out.write("ab");'
              "const auto deadline = std::chrono::steady_clock::now() + 5s; std::stop_token stop;"),
    (IO + "process.hpp", 0): dict(
        before="using heddle::io::child_stream; void use(std::span<const std::byte>) {}",
        first='const std::string numbers = "2\\n1\\n"; std::array<std::byte, 64> buffer;'),
    (IO + "shared_stream.hpp", 0): dict(before="std::string answer(std::string_view s) { return std::string(s); }"),
    (IO + "signals.hpp", 0): dict(before="void serve() { ::kill(::getpid(), SIGTERM); }"),
    (IO + "splice.hpp", 0): dict(
        first="auto listener = net::tcp_listener::listen(net::endpoint::loopback_v4(0));"
              "auto c = net::tcp_stream::connect(listener.local_endpoint(), 5s); auto client = listener.accept();"
              "auto server = net::tcp_stream::connect(listener.local_endpoint(), 5s); auto s = listener.accept();"
              "c.shutdown_write(); s.shutdown_write();"),
    (NET + "dial.hpp", 0): dict(compiled_only=OUTSIDE),
    (NET + "memory.hpp", 0): dict(
        before="using net::endpoint;", first="std::stop_source ends; auto stop = ends.get_token();",
        last="std::array<std::byte, 5> b; s.read(b); ends.request_stop(); serving.join();"),
    (NET + "resolve.hpp", 0): dict(compiled_only=OUTSIDE),
    (NET + "udp.hpp", 0): dict(compiled_only=OUTSIDE),
    ("README.md", 1): dict(compiled_only="it serves for ever"),
}
# Those that need libraries which heddle may be built without.
for path, n in (("asio/reactor.hpp", 2), ("asio/use_fiber.hpp", 1), ("net/tls/context.hpp", 1), ("net/tls/dial.hpp", 1),
                ("net/tls/serve.hpp", 1), ("net/tls/stream.hpp", 1)):
    for i in range(n):
        FRAGMENTS[(N + path, i)] = dict(left_out="the modules asio and tls may be missing, and their peers are outside")
FRAGMENTS[("runtime/net/README.md", 1)] = dict(left_out="the module tls may be missing, and its peer is outside")
