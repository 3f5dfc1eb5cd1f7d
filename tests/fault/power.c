/* SPDX-License-Identifier: Apache-2.0 */
#include "fault/power.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define NAMES_MAX 8
#define INODES_MAX 64

/* Bytes written at an offset, or (data NULL) a new size. */
struct change {
    int64_t offset, len;
    char *data;
};

struct bytes {
    char *data;
    int64_t size, capacity;
};

struct inode {
    struct bytes durable;
    struct change *changes; /* since the last sync, in order */
    size_t count, capacity;
    int open;
};

/* A name and the file behind it: as the program sees it, and as the folder on the disk has it (NULL: there is none). */
struct name {
    char path[256];
    struct inode *now, *durable;
};

struct power_file {
    sqlite3_file base;
    struct inode *inode;
    bool log;
    sqlite3_file real[];
};

static struct {
    pthread_mutex_t mutex;
    enum power_fault fault;
    enum power_event wanted, cut_in;
    uint64_t left; /* events until the cut, 0 = none comes */
    bool cut;
    uint64_t random;
    struct name names[NAMES_MAX];
    struct inode *inodes[INODES_MAX];
    size_t name_count, inode_count;
} power = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *need(void *memory) {
    if (!memory) abort();
    return memory;
}

/* ---- chance ---- */

void power_seed(uint64_t seed) {
    power.random = seed;
}

/* splitmix64 */
static uint64_t next_random(uint64_t limit) {
    uint64_t z = (power.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

uint64_t power_random(uint64_t limit) {
    pthread_mutex_lock(&power.mutex);
    uint64_t number = next_random(limit);
    pthread_mutex_unlock(&power.mutex);
    return number;
}

/* ---- files ---- */

static void forget_changes(struct inode *inode) {
    for (size_t i = 0; i < inode->count; i++)
        free(inode->changes[i].data);
    inode->count = 0;
}

static void inode_free(struct inode *inode) {
    forget_changes(inode);
    free(inode->changes);
    free(inode->durable.data);
    free(inode);
}

static bool has_name(const struct inode *inode) {
    for (size_t i = 0; i < power.name_count; i++)
        if (power.names[i].now == inode || power.names[i].durable == inode) return true;
    return false;
}

static void forget_nameless(void) {
    size_t kept = 0;
    for (size_t i = 0; i < power.inode_count; i++) {
        struct inode *inode = power.inodes[i];
        if (inode->open || has_name(inode))
            power.inodes[kept++] = inode;
        else
            inode_free(inode);
    }
    power.inode_count = kept;
}

static struct inode *inode_new(void) {
    forget_nameless();
    if (power.inode_count == INODES_MAX) abort();
    return power.inodes[power.inode_count++] = need(calloc(1, sizeof(struct inode)));
}

static void bytes_resize(struct bytes *bytes, int64_t size) {
    if (size > bytes->capacity) {
        bytes->capacity = 2 * size;
        bytes->data = need(realloc(bytes->data, (size_t)bytes->capacity));
    }
    if (size > bytes->size) memset(bytes->data + bytes->size, 0, (size_t)(size - bytes->size));
    bytes->size = size;
}

static void bytes_write(struct bytes *bytes, int64_t offset, const char *data, int64_t len) {
    if (offset + len > bytes->size) bytes_resize(bytes, offset + len);
    memcpy(bytes->data + offset, data, (size_t)len);
}

static struct name *find_name(const char *path) {
    for (size_t i = 0; i < power.name_count; i++)
        if (strcmp(power.names[i].path, path) == 0) return &power.names[i];
    if (power.name_count == NAMES_MAX) abort();
    struct name *name = &power.names[power.name_count++];
    *name = (struct name){0};
    snprintf(name->path, sizeof name->path, "%s", path);
    return name;
}

static void read_file(const char *path, struct bytes *bytes) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) abort();
    bytes_resize(bytes, st.st_size);
    if (st.st_size && read(fd, bytes->data, (size_t)st.st_size) != st.st_size) abort();
    close(fd);
}

/* A database is made by its owner, not through us: what is empty and unknown was made just now. */
static struct inode *open_inode(const char *path) {
    struct name *name = find_name(path);
    if (!name->now) {
        name->now = inode_new();
        read_file(path, &name->now->durable);
    }
    return name->now;
}

static void names_are_durable(void) {
    if (power.fault == POWER_FOLDER_SYNC_LIES) return;
    for (size_t i = 0; i < power.name_count; i++)
        power.names[i].durable = power.names[i].now;
}

static void content_is_durable(struct inode *inode) {
    for (size_t i = 0; i < inode->count; i++) {
        const struct change *change = &inode->changes[i];
        if (change->data) bytes_write(&inode->durable, change->offset, change->data, change->len);
        if (!change->data) bytes_resize(&inode->durable, change->len);
    }
    forget_changes(inode);
}

static void note_change(struct inode *inode, int64_t offset, const void *data, int64_t len) {
    if (inode->count == inode->capacity) {
        inode->capacity = inode->capacity ? 2 * inode->capacity : 64;
        inode->changes = need(realloc(inode->changes, inode->capacity * sizeof(struct change)));
    }
    struct change *change = &inode->changes[inode->count++];
    *change = (struct change){.offset = offset, .len = len};
    if (data) {
        change->data = need(malloc((size_t)len));
        memcpy(change->data, data, (size_t)len);
    }
}

/* ---- the cut ---- */

/* True when the power is gone; it may go now. Under the lock. */
static bool pass(enum power_event event) {
    if (power.cut) return true;
    if (!power.left || (power.wanted != POWER_ANY && power.wanted != event) || --power.left) return false;
    power.cut = true;
    power.cut_in = event;
    return true;
}

void power_cut_at(enum power_event kind, uint64_t nth) {
    pthread_mutex_lock(&power.mutex);
    power.wanted = kind;
    power.left = nth;
    pthread_mutex_unlock(&power.mutex);
}

bool power_is_cut(void) {
    pthread_mutex_lock(&power.mutex);
    bool cut = power.cut;
    pthread_mutex_unlock(&power.mutex);
    return cut;
}

enum power_event power_cut_in(void) {
    return power.cut_in;
}

void power_faulty(enum power_fault fault) {
    power.fault = fault;
}

/* How likely a sector is kept, of 100. Often all or none: a disk that lost its cache, or had time to write it. */
static uint64_t choose_likelihood(void) {
    static const uint64_t likelihoods[] = {0, 0, 5, 50, 95, 100};
    return likelihoods[next_random(sizeof likelihoods / sizeof likelihoods[0])];
}

static void keep_sectors(struct bytes *bytes, const struct change *change, uint64_t likelihood) {
    for (int64_t done = 0; done < change->len;) {
        int64_t at = change->offset + done, part = SECTOR - at % SECTOR;
        if (part > change->len - done) part = change->len - done;
        bool kept = next_random(100) < likelihood, torn = next_random(50) == 0;
        if (kept) bytes_write(bytes, at, change->data + done, torn ? 1 + (int64_t)next_random((uint64_t)part) : part);
        done += part;
    }
}

static void lose(struct inode *inode) {
    uint64_t likelihood = choose_likelihood();
    for (size_t i = 0; i < inode->count; i++) {
        const struct change *change = &inode->changes[i];
        if (change->data) keep_sectors(&inode->durable, change, likelihood);
        if (!change->data && next_random(100) < likelihood) bytes_resize(&inode->durable, change->len);
    }
    forget_changes(inode);
}

static void put_file(const char *path, const struct bytes *bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || (bytes->size && pwrite(fd, bytes->data, (size_t)bytes->size, 0) != bytes->size)) abort();
    close(fd);
}

void power_restore(void) {
    pthread_mutex_lock(&power.mutex);
    for (size_t i = 0; i < power.inode_count; i++)
        lose(power.inodes[i]);
    for (size_t i = 0; i < power.name_count; i++) {
        struct name *name = &power.names[i];
        if (next_random(2)) name->durable = name->now;
        name->now = name->durable;
        if (name->now) put_file(name->path, &name->now->durable);
        if (!name->now) unlink(name->path);
    }
    power.left = 0;
    power.cut = false;
    pthread_mutex_unlock(&power.mutex);
}

void power_forget(void) {
    for (size_t i = 0; i < power.inode_count; i++)
        inode_free(power.inodes[i]);
    power.inode_count = power.name_count = 0;
    power.cut = false;
    power.left = 0;
}

/* Linked in the place of fsync(): the driver makes its new file's name durable with it. The disk here is ours, so nothing real is done. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
    struct stat st;
    pthread_mutex_lock(&power.mutex);
    bool cut = pass(POWER_NAME);
    if (!cut && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) names_are_durable();
    pthread_mutex_unlock(&power.mutex);
    return cut ? -1 : 0;
}

/* ---- the VFS ---- */

static struct power_file *file_of(sqlite3_file *file) {
    return (struct power_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file) {
    return file_of(file)->real;
}

static int file_close(sqlite3_file *file) {
    pthread_mutex_lock(&power.mutex);
    file_of(file)->inode->open--;
    pthread_mutex_unlock(&power.mutex);
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *buffer, int len, sqlite3_int64 offset) {
    return real_of(file)->pMethods->xRead(real_of(file), buffer, len, offset);
}

/* A write in which the power goes is among those of which some is kept. */
static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset) {
    int rc = SQLITE_IOERR_WRITE;
    pthread_mutex_lock(&power.mutex);
    bool before = power.cut, cut = pass(file_of(file)->log ? POWER_LOG_WRITE : POWER_FILE_WRITE);
    if (!before) note_change(file_of(file)->inode, offset, data, len);
    if (!cut) rc = real_of(file)->pMethods->xWrite(real_of(file), data, len, offset);
    pthread_mutex_unlock(&power.mutex);
    return rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int rc = SQLITE_IOERR_TRUNCATE;
    pthread_mutex_lock(&power.mutex);
    bool before = power.cut, cut = pass(POWER_SIZE);
    if (!before) note_change(file_of(file)->inode, 0, NULL, size);
    if (!cut) rc = real_of(file)->pMethods->xTruncate(real_of(file), size);
    pthread_mutex_unlock(&power.mutex);
    return rc;
}

/* SQLite's own VFS makes a new log's name durable with its first sync; more often does no harm here. */
static int file_sync(sqlite3_file *file, int flags) {
    pthread_mutex_lock(&power.mutex);
    bool cut = pass(file_of(file)->log ? POWER_LOG_SYNC : POWER_FILE_SYNC);
    if (!cut && power.fault != POWER_SYNC_LIES) {
        content_is_durable(file_of(file)->inode);
        if (file_of(file)->log) names_are_durable();
    }
    pthread_mutex_unlock(&power.mutex);
    return cut ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}

static int file_control(sqlite3_file *file, int op, void *arg) {
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector_size(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_traits(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret);
}

static int shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shm_barrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shm_unmap(sqlite3_file *file, int remove) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static sqlite3_vfs *unix_vfs;

static int vfs_open_locked(const char *path, struct power_file *file, int flags, int *ret_flags) {
    bool made = access(path, F_OK) < 0;
    if (power.cut || (made && pass(POWER_NAME))) return SQLITE_CANTOPEN;
    int rc = unix_vfs->xOpen(unix_vfs, path, file->real, flags, ret_flags);
    if (rc != SQLITE_OK) return rc;
    file->inode = open_inode(path);
    file->inode->open++;
    file->log = !(flags & SQLITE_OPEN_MAIN_DB);
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    if (!path) abort(); /* the store keeps nothing in temporary files */
    file->pMethods = NULL;
    pthread_mutex_lock(&power.mutex);
    int rc = vfs_open_locked(path, file_of(file), flags, ret_flags);
    pthread_mutex_unlock(&power.mutex);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync) {
    int rc = SQLITE_IOERR_DELETE;
    pthread_mutex_lock(&power.mutex);
    bool before = power.cut, cut = pass(POWER_NAME);
    if (!before) find_name(path)->now = NULL;
    if (!cut) rc = unix_vfs->xDelete(unix_vfs, path, 0);
    if (!cut && sync && rc == SQLITE_OK) names_are_durable();
    pthread_mutex_unlock(&power.mutex);
    return rc;
}

void power_install(void) {
    static sqlite3_vfs vfs;
    unix_vfs = sqlite3_vfs_find("unix");
    vfs = *unix_vfs;
    vfs.zName = "power";
    vfs.szOsFile = (int)sizeof(struct power_file) + unix_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) abort();
}
