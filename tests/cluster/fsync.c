/* fsync and fdatasync that fail as a test wants it: loaded before the C library (LD_PRELOAD). While the file $TESTS_FSYNC_FAILS is there, they answer
   EDQUOT (as a quota or a network file system does, and no broken device) for every file whose path has in it what stands in that file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int file) {
    char link[64], path[4096], part[256];
    const char *told = getenv("TESTS_FSYNC_FAILS");
    int opened = told ? open(told, O_RDONLY | O_CLOEXEC) : -1;
    if (opened < 0) return 0;
    ssize_t length = read(opened, part, sizeof part - 1);
    close(opened);
    if (length <= 0) return 0;
    part[length] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

static int flush(int file, long call) {
    if (fails(file)) {
        errno = EDQUOT;
        return -1;
    }
    return syscall(call, file) ? -1 : 0;
}

int fsync(int file) { return flush(file, SYS_fsync); }
int fdatasync(int file) { return flush(file, SYS_fdatasync); }
