/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets chosen calls of the C library fail, as the kernel might. Preloaded into the real server by tests/harness/calls.py; no
 * product knows of it. Which call fails, and how, stands in a file that both have mapped: a test counts a story's calls
 * in it and arms one of them, or lets all fail for a while.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define CALLS(CALL)                                                                                                    \
    CALL(open)                                                                                                         \
    CALL(write)                                                                                                        \
    CALL(pread)                                                                                                        \
    CALL(pwrite)                                                                                                       \
    CALL(fsync)                                                                                                        \
    CALL(fdatasync)                                                                                                    \
    CALL(ftruncate)                                                                                                    \
    CALL(rename)                                                                                                       \
    CALL(unlink)                                                                                                       \
    CALL(mmap)                                                                                                         \
    CALL(accept4)                                                                                                      \
    CALL(epoll_ctl)                                                                                                    \
    CALL(send)                                                                                                         \
    CALL(recv)                                                                                                         \
    CALL(getrandom)                                                                                                    \
    CALL(pthread_create)

enum call {
#define NUMBER(name) CALL_##name,
    CALLS(NUMBER)
#undef NUMBER
        CALL_COUNT
};

/* As the test has it: 24 bytes a call, in the order above. */
struct armed {
    _Atomic uint64_t calls;
    _Atomic uint64_t fail_at; /* 1 = the first; 0 = none */
    _Atomic int32_t errnum;   /* 0 = half of the bytes are written */
    _Atomic int32_t times;    /* how many fail, from that one on */
};

static struct armed *armed;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void map_armed(void) {
    const char *path = getenv("SERIN_FAIL_CALLS");
    int fd = path ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) abort();
    void *map = REAL(mmap)(NULL, CALL_COUNT * sizeof(struct armed), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) abort();
    close(fd);
    armed = map;
}

static bool is_due(enum call call) {
    if (!armed) return false; /* a library's constructor that runs before ours */
    struct armed *a = &armed[call];
    uint64_t number = atomic_fetch_add(&a->calls, 1) + 1, from = atomic_load(&a->fail_at);
    return from > 0 && number >= from && number - from < (uint64_t)atomic_load(&a->times);
}

static bool fails(enum call call) {
    if (!is_due(call)) return false;
    errno = atomic_load(&armed[call].errnum);
    return true;
}

/* Whether the call fails; else how many of `len` bytes it may take. */
static bool fails_bytes(enum call call, size_t *len) {
    if (!is_due(call)) return false;
    errno = atomic_load(&armed[call].errnum);
    if (errno != 0) return true;
    *len = *len > 1 ? *len / 2 : *len;
    return false;
}

static mode_t mode_of(int flags, va_list *arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(*arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, &arguments);                                                                      \
        va_end(arguments);                                                                                             \
        return fails(CALL_open) ? -1 : REAL(name)(path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)

/* What the kernel keeps in memory alone (an eventfd) has no such way to fail, and libmicrohttpd ends the process over it. */
static bool is_elsewhere(int fd) {
    struct stat stat;
    return fstat(fd, &stat) != 0 || (stat.st_mode & S_IFMT) != 0;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    return is_elsewhere(fd) && fails_bytes(CALL_write, &len) ? -1 : REAL(write)(fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t at) {
    return fails_bytes(CALL_pread, &len) ? -1 : REAL(pread)(fd, bytes, len, at);
}

ssize_t pread64(int fd, void *bytes, size_t len, off64_t at) {
    return fails_bytes(CALL_pread, &len) ? -1 : REAL(pread64)(fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    return fails_bytes(CALL_pwrite, &len) ? -1 : REAL(pwrite)(fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    return fails_bytes(CALL_pwrite, &len) ? -1 : REAL(pwrite64)(fd, bytes, len, at);
}

int fsync(int fd) {
    return fails(CALL_fsync) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return fails(CALL_fdatasync) ? -1 : REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t len) {
    return fails(CALL_ftruncate) ? -1 : REAL(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len) {
    return fails(CALL_ftruncate) ? -1 : REAL(ftruncate64)(fd, len);
}

int rename(const char *from, const char *to) {
    return fails(CALL_rename) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path) {
    return fails(CALL_unlink) ? -1 : REAL(unlink)(path);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t at) {
    return fails(CALL_mmap) ? MAP_FAILED : REAL(mmap)(address, len, protection, flags, fd, at);
}

void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t at) {
    return fails(CALL_mmap) ? MAP_FAILED : REAL(mmap64)(address, len, protection, flags, fd, at);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
    return fails(CALL_accept4) ? -1 : REAL(accept4)(fd, address, len, flags);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
    /* To take something out needs nothing that could be missing. */
    return op != EPOLL_CTL_DEL && fails(CALL_epoll_ctl) ? -1 : REAL(epoll_ctl)(epoll, op, fd, event);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags) {
    return fails_bytes(CALL_send, &len) ? -1 : REAL(send)(fd, bytes, len, flags);
}

/* Half of a message is half of its first part. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct msghdr part = *message;
    struct iovec first = part.msg_iovlen > 0 ? part.msg_iov[0] : (struct iovec){0};
    size_t len = first.iov_len;
    if (fails_bytes(CALL_send, &len)) return -1;
    if (len == first.iov_len) return REAL(sendmsg)(fd, message, flags);
    first.iov_len = len;
    part.msg_iov = &first;
    part.msg_iovlen = 1;
    return REAL(sendmsg)(fd, &part, flags);
}

ssize_t recv(int fd, void *bytes, size_t len, int flags) {
    return fails(CALL_recv) ? -1 : REAL(recv)(fd, bytes, len, flags);
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags) {
    return fails(CALL_getrandom) ? -1 : REAL(getrandom)(bytes, len, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *ctx) {
    return fails(CALL_pthread_create) ? errno : REAL(pthread_create)(thread, attributes, run, ctx);
}
