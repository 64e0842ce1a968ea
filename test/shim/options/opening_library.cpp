// SPDX-License-Identifier: BSL-1.0
//
// A library of own_files, the constructor of which opens the file; the dynamic linker may call it before the shim's.
#include <fcntl.h>

#include <cstring>

int opened_by_library = -1;

__attribute__((constructor)) static void open_own(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "opens_in_library") == 0)
    opened_by_library = ::open("own", O_WRONLY | O_CREAT | O_TRUNC, 0600);
}
