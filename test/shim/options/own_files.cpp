// SPDX-License-Identifier: BSL-1.0
//
// A program that has a file of its own, named "own" in the folder where it runs, under numbers that others may write
// to. What it does is its argument.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>

extern int opened_by_library;

namespace {

int open_own() { return ::open("own", O_WRONLY | O_CREAT | O_TRUNC, 0600); }

/// The numbers from `first` on all lead to it, but one, without which nobody could open anything.
void take_from(int first, int file) {
  constexpr int last = 1023;
  for (int n = first; n <= last; ++n)
    if (n != file) ::dup2(file, n);
  ::close(STDERR_FILENO + 5);
}

bool chatters;

}  // namespace

/// Instead of libc's, for all of this process: as if another thread wrote meanwhile.
extern "C" ssize_t write(int to, const void* bytes, std::size_t n) {
  if (chatters)
    for (const int output : {STDOUT_FILENO, STDERR_FILENO}) ::syscall(SYS_write, output, "chatter\n", 8);
  return ::syscall(SYS_write, to, bytes, n);
}

int main(int count, char** words) {
  const char* const what = count == 2 ? words[1] : "";
  int file = -1;
  if (std::strcmp(what, "opens") == 0) {  // under the smallest number that is closed
    file = open_own();
  } else if (std::strcmp(what, "opens_in_library") == 0) {
    file = opened_by_library;
  } else if (std::strcmp(what, "chatters") == 0) {  // on stdout and stderr, as the process ends
    file = open_own();
    chatters = true;
  } else if (std::strcmp(what, "reopens") == 0) {
    ::close(STDERR_FILENO);
    file = open_own();
    if (file != STDERR_FILENO) return 3;
  } else if (std::strcmp(what, "takes_others") == 0) {
    file = open_own();
    take_from(STDERR_FILENO + 1, file);
  } else if (std::strcmp(what, "takes_all") == 0) {
    file = open_own();
    take_from(0, file);
  }
  return file < 0 || ::write(file, "own\n", 4) != 4;
}
