/* SPDX-License-Identifier: Apache-2.0 */
/* The machine under the store: disk, clock, limits, versions. The only thing written is a file without a name, to time its sync. */
#include "base/hash.h"
#include "http/http.h"
#include "server/doctor.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SPACE_LOW (INT64_C(1) << 30)
#define SPACE_GONE (INT64_C(64) << 20)
#define INODES_LOW 1000
#define SYNC_TRIES 9
#define SYNC_SLOW_US 20000
#define DESCRIPTORS_BESIDE 256 /* the store, workers, listening; the server itself counts them exactly */
#define MEMORY_LOW (INT64_C(128) << 20)

/* ---- disk ---- */

void check_space(struct doctor *doctor, struct finding *ret) {
    struct statvfs fs;
    struct stat st;
    char free_text[CARE_SIZE_TEXT];
    if (statvfs(doctor->folder, &fs) < 0) return;
    int64_t space = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    int64_t store = stat(doctor->path, &st) == 0 ? st.st_size : 0;
    care_size_text(space, free_text);
    if (space < SPACE_GONE)
        finding_problem(ret, "Free space now: without it changes are refused with store_full", "%s are free",
                        free_text);
    else if (space < SPACE_LOW || space < store)
        finding_warn(ret, "Free space: a restore beside the store needs its size again", "%s are free", free_text);
    else
        finding_ok(ret, "%s are free", free_text);
}

void check_inodes(struct doctor *doctor, struct finding *ret) {
    struct statvfs fs;
    if (statvfs(doctor->folder, &fs) < 0 || !fs.f_files) return; /* some file systems do not count them */
    if (fs.f_favail < INODES_LOW)
        finding_warn(ret, "Remove files: without inodes the log cannot be made", "only %llu are free",
                     (unsigned long long)fs.f_favail);
    else
        finding_ok(ret, "%llu are free", (unsigned long long)fs.f_favail);
}

static const struct {
    unsigned long magic;
    const char *name;
    enum finding_state state;
} file_systems[] = {
    {NFS_SUPER_MAGIC, "NFS", FINDING_PROBLEM},
    {0xff534d42, "CIFS", FINDING_PROBLEM},
    {0xfe534d42, "SMB", FINDING_PROBLEM},
    {SMB_SUPER_MAGIC, "SMB", FINDING_PROBLEM},
    {V9FS_MAGIC, "9p", FINDING_PROBLEM},
    {AFS_SUPER_MAGIC, "AFS", FINDING_PROBLEM},
    {0x00c36400, "Ceph", FINDING_PROBLEM},
    {0x65735546, "FUSE", FINDING_WARNING},
    {TMPFS_MAGIC, "tmpfs", FINDING_WARNING},
    {RAMFS_MAGIC, "ramfs", FINDING_WARNING},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs", FINDING_WARNING},
    {EXT4_SUPER_MAGIC, "ext4", FINDING_OK},
    {XFS_SUPER_MAGIC, "XFS", FINDING_OK},
    {BTRFS_SUPER_MAGIC, "btrfs", FINDING_OK},
    {0x2fc12fc1, "ZFS", FINDING_OK},
    {F2FS_SUPER_MAGIC, "F2FS", FINDING_OK},
};

void check_file_system(struct doctor *doctor, struct finding *ret) {
    struct statfs fs;
    if (statfs(doctor->folder, &fs) < 0) return;
    unsigned long magic = (unsigned long)fs.f_type & 0xffffffff;
    for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
        if (file_systems[i].magic != magic) continue;
        if (file_systems[i].state == FINDING_PROBLEM)
            finding_problem(ret, "Move the store to a local disk; a write-ahead log over the network corrupts stores",
                            "%s is no local file system", file_systems[i].name);
        else if (file_systems[i].state == FINDING_WARNING)
            finding_warn(ret, "Keep the store on a local disk or a volume that lasts",
                         "%s: what lies there may not last, or not be synced", file_systems[i].name);
        else
            finding_ok(ret, "%s", file_systems[i].name);
        return;
    }
    finding_ok(ret, "type %lx, about which nothing bad is known", magic);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median, or -1. */
static int64_t time_sync(int fd) {
    static const char page[4096];
    int64_t times[SYNC_TRIES];
    for (int i = 0; i < SYNC_TRIES; i++) {
        int64_t began = clock_monotonic(&clock_system);
        if (pwrite(fd, page, sizeof(page), (off_t)i * (off_t)sizeof(page)) != sizeof(page) || fdatasync(fd) < 0)
            return -1;
        times[i] = clock_monotonic(&clock_system) - began;
    }
    qsort(times, SYNC_TRIES, sizeof(times[0]), compare);
    return times[SYNC_TRIES / 2];
}

void check_fsync(struct doctor *doctor, struct finding *ret) {
    int fd = open(doctor->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int64_t median = fd >= 0 ? time_sync(fd) : -1;
    if (fd >= 0) close(fd);
    if (fd < 0 && access(doctor->folder, W_OK) < 0)
        finding_problem(ret, "Let the server's user write there", "%s cannot be written", doctor->folder);
    else if (median < 0)
        return; /* a file system without files that have no name */
    else if (median > SYNC_SLOW_US)
        finding_warn(ret, "Use a disk that syncs faster: each change waits for one", "%.1f ms in the median",
                     (double)median / 1e3);
    else
        finding_ok(ret, "%.2f ms in the median", (double)median / 1e3);
}

/* ---- clock ---- */

void check_clock(struct doctor *doctor, struct finding *ret) {
    if (!doctor->sound) return;
    int64_t behind = doctor->head.at - clock_wall(&clock_system);
    if (behind > 1000000)
        finding_warn(ret,
                     "Set the clock; until it has caught up, times of changes go on from the newest one in steps of a "
                     "microsecond",
                     "it is %.1f s behind the newest change in the store", (double)behind / 1e6);
    else
        finding_ok(ret, "it is past the newest change in the store");
}

void check_time_source(struct doctor *doctor, struct finding *ret) {
    struct timex state = {0};
    if (adjtimex(&state) < 0) return;
    if (state.status & STA_UNSYNC)
        finding_warn(ret, "Run chrony or systemd-timesyncd, here or on the host",
                     "the kernel says that the clock is not synchronised");
    else
        finding_ok(ret, "synchronised");
}

/* ---- limits ---- */

void check_descriptors(struct doctor *doctor, struct finding *ret) {
    struct rlimit limit;
    const struct config *config = doctor->care->config;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    long long needed = (long long)config_int(config, SETTING_CONNECTIONS) + DESCRIPTORS_BESIDE,
              has = (long long)limit.rlim_max; /* up to which the server raises it by itself */
    if (limit.rlim_max != RLIM_INFINITY && has < needed)
        finding_warn(ret, "Raise it (LimitNOFILE= in the unit, ulimit -Hn), or lower `connections`",
                     "at most %lld may be open here, but %lld connections are allowed", has,
                     (long long)config_int(config, SETTING_CONNECTIONS));
    else
        finding_ok(ret, "%lld are enough, and as many may be open", needed);
}

/* The first number in the file behind `label`, or -1. */
static int64_t read_number(const char *path, const char *label) {
    _cleanup_(freep) char *line = NULL;
    size_t size = 0, len = strlen(label);
    int64_t number = -1;
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    while (number < 0 && getline(&line, &size, file) > 0) {
        char *start = line + len;
        if (strncmp(line, label, len) != 0) continue;
        start += strspn(start, " ");
        start[strspn(start, "0123456789")] = '\0';
        if (!text_to_int(start, 0, INT64_MAX, &number)) break;
    }
    (void)fclose(file);
    return number;
}

/* Of the group of this process; -1: none. */
static int64_t memory_limit(void) {
    _cleanup_(freep) char *line = NULL;
    char path[512] = "";
    size_t size = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return -1;
    while (getline(&line, &size, file) > 0)
        if (!strncmp(line, "0::", 3))
            snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.max", (int)strcspn(line + 3, "\n"), line + 3);
    (void)fclose(file);
    int64_t limit = *path ? read_number(path, "") : -1;
    return limit >= 0 ? limit : read_number("/sys/fs/cgroup/memory.max", "");
}

void check_memory(struct doctor *doctor, struct finding *ret) {
    int64_t available = read_number("/proc/meminfo", "MemAvailable:"), limit = memory_limit();
    char available_text[CARE_SIZE_TEXT], limit_text[CARE_SIZE_TEXT];
    if (available < 0) return;
    available *= 1024;
    care_size_text(available, available_text);
    care_size_text(limit, limit_text);
    if (available < MEMORY_LOW || (limit >= 0 && limit < MEMORY_LOW))
        finding_warn(ret, "Give it more: all that is served is kept in memory", "%s are available%s%s", available_text,
                     limit >= 0 ? "; the group's limit is " : "", limit >= 0 ? limit_text : "");
    else
        finding_ok(ret, "%s are available%s%s", available_text, limit >= 0 ? "; the group's limit is " : "",
                   limit >= 0 ? limit_text : "");
}

void check_cores(struct doctor *doctor, struct finding *ret) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long long workers = (long long)config_int(doctor->care->config, SETTING_WORKERS);
    if (workers > cores)
        finding_warn(ret, "Set `workers` to 0 for one each core", "%ld, but %lld workers are asked for", cores,
                     workers);
    else if (workers)
        finding_ok(ret, "%ld, of which %lld get a worker", cores, workers);
    else
        finding_ok(ret, "%ld, each with a worker", cores);
}

/* ---- versions ---- */

void check_sqlite(struct doctor *doctor, struct finding *ret) {
    const char *version = db_library();
    int major_number = 0, minor_number = 0, patch = 0;
    if (sscanf(version, "%d.%d.%d", &major_number, &minor_number, &patch) != 3) return; /* NOLINT(cert-err34-c) */
    bool mended = major_number > 3 || minor_number > 51 || (minor_number == 51 && patch >= 3);
    if (mended)
        finding_ok(ret, "%s", version);
    else
        finding_ok(
            ret, "%s; before 3.51.3 a log can be corrupted when two connections write and checkpoint it: here one does",
            version);
}

void check_versions(struct doctor *doctor, struct finding *ret) {
    struct utsname system;
    if (uname(&system) < 0) return;
    finding_ok(ret, "serin %s, libmicrohttpd %s, %s, %s %s", SERIN_VERSION, http_library(), crypto_library(),
               system.sysname, system.release);
}
