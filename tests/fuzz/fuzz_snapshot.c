/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot file whose checksum is right but whose content may be anything: the input is all but the checksum. What is taken can be
 * walked to its end, and written again it is a file that gives the same bytes once more.
 */
#include "fuzz.h"
#include "snapshot/file.h"

#include <string.h>

static int collect(void *ctx, struct slice bytes, struct err *err) {
    str_add_slice(ctx, bytes);
    return 0;
}

static void write_file(const struct snapshot *snapshot, struct str *out) {
    FUZZ_MUST(snapshot_file_write(snapshot, collect, out, NULL) == 0 && !out->failed);
}

static int look(void *ctx, const struct snapshot_entry *entry) {
    str_clear(ctx);
    snapshot_entry_write(entry, ctx);
    for (uint32_t i = 0; i < entry->override_count; i++)
        if (entry->overrides[i].key_count)
            FUZZ_MUST(snapshot_entry_override(entry, slice_of(entry->overrides[i].keys)) != NULL);
    return 0;
}

static void walk(const struct snapshot *snapshot) {
    struct str text = STR_INIT;
    FUZZ_MUST(snapshot_each(snapshot, NULL, look, &text) == 0);
    str_deinit(&text);
}

static void check(const struct snapshot *snapshot) {
    struct str first = STR_INIT, second = STR_INIT;
    struct snapshot *again = NULL;
    walk(snapshot);
    write_file(snapshot, &first);
    FUZZ_MUST(snapshot_file_read(str_slice(&first), &again, NULL) == 0);
    write_file(again, &second);
    FUZZ_MUST(slice_equal(str_slice(&first), str_slice(&second)));
    snapshot_unref(again);
    str_deinit(&first);
    str_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sha256 sum;
    struct snapshot *snapshot = NULL;
    struct err err = ERR_INIT;
    char *file = malloc(size + SHA256_SIZE);
    if (!file || sha256_bytes(data, size, &sum) < 0) {
        free(file);
        return 0;
    }
    if (size) memcpy(file, data, size);
    memcpy(file + size, sum.bytes, SHA256_SIZE);
    if (snapshot_file_read((struct slice){file, size + SHA256_SIZE}, &snapshot, &err) == 0)
        check(snapshot);
    else
        FUZZ_MUST(err.code == ERR_SNAPSHOT_FILE && err.message[0]);
    snapshot_unref(snapshot);
    free(file);
    return 0;
}
