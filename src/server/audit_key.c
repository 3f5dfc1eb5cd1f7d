/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that signs audit checkpoints: 64 hex digits in a file of its own, outside the store, so that whoever can change
 * the store cannot sign for it.
 */
#include "base/failpoint.h"
#include "base/file.h"
#include "model/audit.h"
#include "server/care.h"
#include "server/parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIGITS (2 * ED25519_PRIVATE_SIZE)

static int read_key(const struct str *text, const char *path, uint8_t ret[ED25519_PRIVATE_SIZE], struct err *err) {
    if (audit_key_from_text(str_slice(text), ret)) return 0;
    int r = err_set(err, ERR_FILE, "the audit key file does not hold %d lower-case hex digits", DIGITS);
    err_at(err, "%s", path);
    err_remedy(err,
               "Restore the file; moving it away makes a new key, and old checkpoints then need the old public key");
    return r;
}

static int write_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return -1;
        bytes += done;
        len -= (size_t)done;
    }
    return fsync(fd);
}

static int write_key(const char *path, const char *text, size_t len, struct err *err) {
    int fd;
    int r = care_new_file(path, &fd, err);
    if (r < 0) return r;
    FAILPOINT(audit_key_made);
    if (write_all(fd, text, len) < 0) r = care_file_error(err, errno, "cannot write there", path);
    close(fd);
    return r;
}

/* It gets its name when it is whole and durable: a first start that is cut off must not leave half a key behind. */
static int place_key(const char *path, const char *text, size_t len, struct err *err) {
    _cleanup_(freep) char *partial = care_beside(path, ".partial");
    if (!partial) return err_no_memory(err);
    int r = write_key(partial, text, len, err);
    FAILPOINT(audit_key_written);
    if (r == 0 && rename(partial, path) < 0) r = care_file_error(err, errno, "cannot name it", path);
    if (r < 0) {
        unlink(partial);
        return r;
    }
    FAILPOINT(audit_key_named);
    return care_sync_folder(path, err);
}

static int make_key(const char *path, uint8_t ret[ED25519_PRIVATE_SIZE], struct err *err) {
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    int r = ed25519_new(ret, public_key, err);
    if (r < 0) return r;

    char text[DIGITS + 1];
    hex_encode(ret, ED25519_PRIVATE_SIZE, text);
    text[DIGITS] = '\n';
    r = place_key(path, text, sizeof(text), err);
    secret_clear(text, sizeof(text));
    if (r == 0) return 0;
    err_prefix(err, "the audit key file cannot be made: ");
    err_at(err, "%s", path);
    err_remedy(err, "Make its folder writable, or name another file with --audit-key-file");
    return r;
}

char *audit_key_path(const struct config *config) {
    static const char sqlite[] = "sqlite:";
    const char *path = config_text(config, SETTING_AUDIT_KEY_FILE), *store = config_text(config, SETTING_STORE);
    struct str beside = STR_INIT;
    if (*path) return strdup(path);
    bool is_file = !strncmp(store, sqlite, sizeof(sqlite) - 1);
    str_printf(&beside, "%s.audit-key", is_file ? store + sizeof(sqlite) - 1 : "serin");
    return str_take(&beside);
}

int audit_key_load(const char *path, uint8_t ret[ED25519_PRIVATE_SIZE], struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    bool missing = false;
    int r = file_read(path, 4096, &text, &missing, err);
    if (missing) return make_key(path, ret, err);
    if (r == 0) r = read_key(&text, path, ret, err);
    if (text.data) secret_clear(text.data, text.len);
    return r;
}
