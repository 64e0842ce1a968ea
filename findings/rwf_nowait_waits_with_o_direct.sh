#!/bin/bash
# preadv2() with RWF_NOWAIT waits for the disk if the file is opened with O_DIRECT.
#
# The flag is "Do not wait for data which is not immediately available" (preadv2(2)). Without O_DIRECT such a read fails
# with EAGAIN unless the page cache has the data. With O_DIRECT nothing is ever immediately available, but ext4 only
# refuses to wait for locks and for room in the queue of the disk: it begins the read, and the call returns when the disk
# has answered. So an event loop that tries with RWF_NOWAIT stands still for as long as each read takes. The script counts
# how often the thread slept in the kernel while it made 200 such reads, each of which returned its data.
#
# Seen with Linux 6.18 on ext4. Writes 4 MiB to /var/tmp, which must be on a disk; needs a C compiler; leaves nothing
# behind. Fails if what is seen is not this any more.
set -euo pipefail

work=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >subject.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void) {
  enum { block = 4096, blocks = 1024, reads = 200 };
  char* memory = aligned_alloc(block, block);
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  for (int i = 0; i < blocks; ++i)
    if (write(fd, memory, block) != block) return 2;
  fsync(fd);
  fd = open("file", O_RDONLY | O_DIRECT);
  struct rusage before, after;
  int done = 0;
  getrusage(RUSAGE_THREAD, &before);
  for (int i = 0; i < reads; ++i) {
    struct iovec part = {memory, block};
    done += preadv2(fd, &part, 1, (off_t)(i * 977 % blocks) * block, RWF_NOWAIT) == block;
  }
  getrusage(RUSAGE_THREAD, &after);
  printf("%d of %d reads done, the thread slept %ld times\n", done, reads, after.ru_nvcsw - before.ru_nvcsw);
  return done < reads / 2 || after.ru_nvcsw - before.ru_nvcsw < done / 2;
}
C
cc -O2 -Wall -o subject subject.c
./subject
