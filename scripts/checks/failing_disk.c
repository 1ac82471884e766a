/* A disk that fails once: preloaded (LD_PRELOAD), it lets the n-th call of one kind below a folder fail.

   fail_writes.py compiles it, and arms it in a forked process. Calls of threads are counted with the others. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { OPEN, WRITE, FSYNC, RENAME, UNLINK, MKDIR, NUM_KINDS };

static char folder[4096];
static atomic_long counts[NUM_KINDS];
static int armed_kind = -1, armed_errno;
static long armed_number;
static int is_short; /* the write is cut in half, and the disk is full from then on */

void arm(const char *path, int kind, long number, int error, int cut) {
    snprintf(folder, sizeof folder, "%s", path);
    armed_kind = kind, armed_number = number, armed_errno = error, is_short = cut;
    for (int k = 0; k < NUM_KINDS; k++) atomic_store(&counts[k], 0);
}

long count(int kind) { return atomic_load(&counts[kind]); }

static int is_below(const char *path) {
    return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_descriptor_below(int descriptor) {
    char link[64], path[4096];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* 0: go on; 1: fail with errno set; 2: the write is to be cut. */
static int strikes(enum kind kind, int is_ours) {
    if (!is_ours) return 0;
    long number = atomic_fetch_add(&counts[kind], 1) + 1;
    if (kind != armed_kind || (is_short ? number < armed_number : number != armed_number)) return 0;
    errno = armed_errno;
    return is_short && number == armed_number ? 2 : 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int descriptor, const void *bytes, size_t size) {
    REAL(write);
    int strike = strikes(WRITE, is_descriptor_below(descriptor));
    if (strike == 1 || (strike == 2 && size < 2)) return -1;
    return real(descriptor, bytes, strike == 2 ? size / 2 : size);
}

int fsync(int descriptor) {
    REAL(fsync);
    return strikes(FSYNC, is_descriptor_below(descriptor)) ? -1 : real(descriptor);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return strikes(RENAME, is_below(from)) ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    return strikes(UNLINK, is_below(path)) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return strikes(MKDIR, is_below(path)) ? -1 : real(path, mode);
}

#define OPENING(name)                                                                       \
    int name(const char *path, int flags, ...) {                                            \
        va_list arguments;                                                                  \
        va_start(arguments, flags);                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;      \
        va_end(arguments);                                                                  \
        REAL(name);                                                                         \
        int writes = (flags & O_ACCMODE) != O_RDONLY;                                       \
        return writes && strikes(OPEN, is_below(path)) ? -1 : real(path, flags, mode);      \
    }

OPENING(open)
OPENING(open64)
