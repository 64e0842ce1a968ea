// SPDX-License-Identifier: BSL-1.0
//
// heddle-malloc: its words, its options, and what it says of programs that it cannot run.
#define BOOST_TEST_MODULE shim_launcher
#include <elf.h>

#include "installation.hpp"

using namespace heddle::testing;

BOOST_FIXTURE_TEST_SUITE(launcher, installation)

BOOST_AUTO_TEST_CASE(runs_a_program) {
  const outcome o = launch({program(), "exit", "7", "", "two words", "--quiet"});
  BOOST_TEST(o.status == 7);
  BOOST_TEST(o.out == "taken\nlike any other\nLD_PRELOAD=" + library() + "\n0: '" + program() +
                          "'\n1: 'exit'\n2: '7'\n3: ''\n4: 'two words'\n5: '--quiet'\n");
  BOOST_TEST(o.err == "heddle-malloc: " + program() + " runs with " + library() + "\n");
}

BOOST_AUTO_TEST_CASE(quietly) {
  const outcome o = launch({"--quiet", "--", program(), "-h"});
  BOOST_TEST(o.taken(), o);
  BOOST_TEST(o.err.empty(), o);
  BOOST_TEST(o.out.find("1: '-h'\n") != o.out.npos, o);
}

BOOST_AUTO_TEST_CASE(by_name) {
  const circumstances c{.environment = {"PATH=/nowhere:" + (at / "bin").string() + ":" + (at / "programs").string()}};
  const outcome o = launch({"program"}, c);
  BOOST_TEST(o.taken(), o);
  BOOST_TEST(o.out.find("0: 'program'\n") != o.out.npos, o);
  write("only_read", "echo ran\n", 0644);
  BOOST_TEST(launch({"only_read"}, c).status == 126);
  BOOST_TEST(launch({"only_read"}, c).says(write("only_read", "", 0644) + ": not executable"));
}

BOOST_AUTO_TEST_CASE(options_are_added) {
  circumstances c;
  c.environment.push_back("HEDDLE_MALLOC=zero");
  c.environment.push_back("LD_PRELOAD=libdl.so.2");
  const outcome o = launch({"--option", "pace=5", "--option=scavenger=off", program()}, c);
  BOOST_TEST(o.out.find("HEDDLE_MALLOC=zero,pace=5,scavenger=off\n") != o.out.npos, o);
  BOOST_TEST(o.out.find("LD_PRELOAD=" + library() + ":libdl.so.2\n") != o.out.npos, o);
  const outcome alone = launch({"--option", "zero", program()});
  BOOST_TEST(alone.out.find("HEDDLE_MALLOC=zero\n") != o.out.npos, alone);
}

BOOST_AUTO_TEST_CASE(wrong_usage) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"--"}, {"--option"}, {"--quiet"}, {"--unknown", program()}}) {
    const outcome o = launch(words);
    BOOST_TEST(o.refused(), o);
    BOOST_TEST(o.says("see heddle-malloc --help"), o);
  }
  BOOST_TEST(launch({"--unknown"}).says("'--unknown'"));
  const outcome help = launch({"--help", program()});
  BOOST_TEST(help.status == 0);
  BOOST_TEST(help.out.rfind("Usage: heddle-malloc ", 0) == 0);
}

BOOST_AUTO_TEST_CASE(the_library_is_missing) {
  std::filesystem::rename(library(), at / "lib/other.so");
  const outcome o = launch({program()});
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says("libheddle_malloc.so is neither beside "), o);
  std::filesystem::rename(at / "lib/other.so", at / "bin/libheddle_malloc.so");
  BOOST_TEST(launch({program()}).taken());
}

BOOST_AUTO_TEST_CASE(the_library_cannot_be_named) {
  std::filesystem::create_directory(at / "a folder");
  for (const char* folder : {"bin", "lib"}) std::filesystem::rename(at / folder, at / "a folder" / folder);
  const outcome o = run({at / "a folder/bin/heddle-malloc", program()}, {});
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says("LD_PRELOAD cannot name a path with a blank or a colon"), o);
}

BOOST_AUTO_TEST_CASE(the_library_is_broken) {
  std::ofstream(library(), std::ios::trunc) << "no library";
  const outcome o = launch({program()});
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says(library() + " is not taken by " + program()), o);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_run) {
  BOOST_TEST(launch({"no-such-program"}).status == 127);
  BOOST_TEST(launch({"no-such-program"}).says("heddle-malloc: no-such-program: not found"));
  BOOST_TEST(launch({""}).status == 127);
  BOOST_TEST(launch({at / "nothing"}).status == 127);
  BOOST_TEST(launch({at / "nothing"}).says((at / "nothing").string() + ": No such file"));
  BOOST_TEST(launch({at / "programs"}).status == 126);
  BOOST_TEST(launch({at / "programs"}).says("not a file"));
  const std::string read = write("read", "echo ran\n", 0644);
  BOOST_TEST(launch({read}).status == 126);
  BOOST_TEST(launch({read}).says(read + ": not executable"));
}

BOOST_AUTO_TEST_CASE(what_takes_no_preload) {
  const outcome fixed = launch({HEDDLE_SHIM_WITNESS_STATIC});
  BOOST_TEST(fixed.refused(), fixed);
  BOOST_TEST(fixed.says(HEDDLE_SHIM_WITNESS_STATIC " is linked statically"), fixed);

  // As for another machine, and of another C library: the same file with a word changed.
  std::ifstream file(program());
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::string other = bytes;
  other[offsetof(Elf64_Ehdr, e_machine)] = static_cast<char>(EM_AARCH64);
  const outcome machine = launch({write("machine", other)});
  BOOST_TEST(machine.refused(), machine);
  BOOST_TEST(machine.says("machine is no program for x86-64"), machine);
  other = bytes;
  const std::size_t loader = other.find("ld-linux-x86-64.so.2");
  BOOST_REQUIRE(loader != other.npos);
  other.replace(loader, 2, "no");
  const outcome libc = launch({write("libc", other)});
  BOOST_TEST(libc.refused(), libc);
  BOOST_TEST(libc.says("is loaded by /lib64/no-linux-x86-64.so.2, which is not glibc's"), libc);
  const outcome stub = launch({write("stub", bytes.substr(0, 20))});
  BOOST_TEST(stub.refused(), stub);
  BOOST_TEST(stub.says("stub is no program for x86-64"), stub);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_read) {
  if (::getuid() != 0) return skip("only root can be two users");
  ::chmod(program().c_str(), 0711);
  const outcome o = launch({program()}, {.user = 65534});
  BOOST_TEST(o.refused(), o);
  BOOST_TEST(o.says(program() + " cannot be read (Permission denied)"), o);
}

BOOST_AUTO_TEST_SUITE_END()
