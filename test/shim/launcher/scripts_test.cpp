// SPDX-License-Identifier: BSL-1.0
//
// heddle-malloc and scripts: what the kernel loads for them is what must take the preload.
#include "installation.hpp"

using namespace heddle::testing;

BOOST_FIXTURE_TEST_SUITE(scripts, installation)

BOOST_AUTO_TEST_CASE(of_a_program) {
  const std::string script = write("script", "#! \t" + program() + "  one argument \t\nnothing else\n");
  const outcome o = launch({script, "more"});
  BOOST_TEST(o.status == 0);
  BOOST_TEST(o.taken(), o);
  BOOST_TEST(o.out.find("0: '" + program() + "'\n1: 'one argument'\n2: '" + script + "'\n3: 'more'\n") != o.out.npos,
             o);
  BOOST_TEST(launch({write("short", "#!" + program())}).taken());  // without an end of the line
}

BOOST_AUTO_TEST_CASE(of_scripts) {
  std::string last = program();
  for (int i = 1; i != 7; ++i) {
    last = write("script" + std::to_string(i), "#!" + last + "\n");
    const outcome o = launch({last}), truly = preload(last);
    BOOST_TEST((o.status == 0) == (truly.status == 0), i << " scripts: " << o << ", and truly " << truly);
    BOOST_TEST(o.taken() == (i <= 5), i << " scripts: " << o);
    if (i > 5) BOOST_TEST(o.status == 126);
    if (i > 5) BOOST_TEST(o.says(last + " leads to more than 5 scripts"), o);
  }
}

BOOST_AUTO_TEST_CASE(without_interpreter) {
  const std::string body = program() + " \"$@\"\nexit 5\n";
  for (const std::string& first : {std::string(), std::string("#!  \n"), std::string("\n")}) {
    const outcome o = launch({write("script", first + body), "two words"});
    BOOST_TEST(o.status == 5, o);
    BOOST_TEST(o.taken(), o);
    BOOST_TEST(o.out.find("1: 'two words'\n") != o.out.npos, o);
  }
  BOOST_TEST(launch({write("empty", "")}).status == 0);
  // The kernel takes the interpreter of a script for none if that has none, and so does the shell.
  const outcome nested = launch({write("nested", "#!" + write("plain", "exit 9\n") + "\n" + body)});
  BOOST_TEST(nested.status == 5, nested);
  BOOST_TEST(nested.taken(), nested);
}

BOOST_AUTO_TEST_CASE(too_long_for_the_kernel) {
  // It looks at 256 bytes; a path that may go on behind them is no interpreter.
  for (int length : {250, 256, 257, 300}) {
    std::string line = "#!" + program() + "/";
    while (static_cast<int>(line.size()) < length) line += line.size() % 2 ? "." : "/";
    const std::string script = write("script", line + "\nexit 4\n");
    const outcome o = launch({script}), truly = preload(script);
    const int expected = truly.status == 200 ? 4 : 126;  // else the interpreter is not there
    BOOST_TEST(o.status == expected, length << ": " << o << ", and truly " << truly);
  }
}

BOOST_AUTO_TEST_CASE(that_cannot_be_run) {
  const std::string dos = write("dos", "#!" + program() + "\r\n");
  const outcome o = launch({dos});
  BOOST_TEST(o.status == 126, o);
  BOOST_TEST(o.says(dos + ": its interpreter " + program() + "\r: No such file"), o);
  const std::string read = write("read", "exit\n", 0644);
  const outcome r = launch({write("script", "#!" + read + "\n")});
  BOOST_TEST(r.status == 126, r);
  BOOST_TEST(r.says("its interpreter " + read + ": not executable"), r);
  const outcome binary = launch({write("binary", std::string("MZ\0\1\2\n", 6))});
  BOOST_TEST(binary.status == 126, binary);
  BOOST_TEST(binary.says("binary is neither a program nor a script"), binary);
}

BOOST_AUTO_TEST_CASE(of_what_takes_no_preload) {
  const outcome o = launch({write("script", "#!" HEDDLE_SHIM_WITNESS_STATIC "\n")});
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says(HEDDLE_SHIM_WITNESS_STATIC " is linked statically"), o);
}

BOOST_AUTO_TEST_CASE(by_env) {
  const circumstances c{.environment = {"PATH=" + (at / "programs").string() + ":/usr/bin:/bin"}};
  for (const char* line : {"program", "-S program", "-S A=1 B=2 program one", "-vS -u HOME program",
                           "-S -uHOME program", "--split-string=program"}) {
    const outcome o = launch({write("script", std::string("#!/usr/bin/env ") + line + "\n")}, c);
    BOOST_TEST(o.status == 0, line << ": " << o);
    BOOST_TEST(o.taken(), line << ": " << o);
  }
  installation::copy(HEDDLE_SHIM_WITNESS_STATIC, at / "programs/fixed");
  for (const char* line : {"fixed", "-S fixed", "-S A=1 fixed one", "-S -u HOME fixed", "--split-string=fixed"}) {
    const outcome o = launch({write("script", std::string("#!/usr/bin/env ") + line + "\n")}, c);
    BOOST_TEST(o.refused(), line << ": " << o);
    BOOST_TEST(o.says("programs/fixed is linked statically"), line << ": " << o);
  }
  for (const char* line :
       {"-S -i program", "-iS program", "-S - program", "-S -u LD_PRELOAD program", "-S -uLD_PRELOAD program",
        "-S --unset=LD_PRELOAD program", "-S --ignore-environment program"}) {
    const outcome o = launch({write("script", std::string("#!/usr/bin/env ") + line + "\n")}, c);
    BOOST_TEST(o.refused(), line << ": " << o);
    BOOST_TEST(o.says("takes LD_PRELOAD out of the environment"), line << ": " << o);
  }
  const outcome missing = launch({write("script", "#!/usr/bin/env no-such-program\n")}, c);
  BOOST_TEST(missing.status == 127, missing);
  BOOST_TEST(missing.says("no-such-program: not found"), missing);
}

BOOST_AUTO_TEST_SUITE_END()
