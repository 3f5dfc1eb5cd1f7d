/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pushed document, all the way: the first byte says in which language it is written, the rest are its bytes; any file it
 * names holds the same bytes again. What is sealed can be read, is valid, and seals to the same bytes and hashes.
 */
#include "fuzz.h"
#include "model/config.h"
#include "model/source.h"

#include <string.h>

static int read_file(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err) {
    const struct slice *bytes = ctx;
    (void)path;
    (void)arena;
    (void)err;
    *ret = *bytes;
    return 0;
}

static void seal_again(const struct config_sealed *first) {
    _cleanup_(json_decrefp) json_t *value = NULL, *normal = NULL;
    _cleanup_(config_sealed_deinit) struct config_sealed second = {0};
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    FUZZ_MUST(json_parse(first->bytes, first->len, JSON_DEPTH_MAX, &value, &err) == 0);
    FUZZ_MUST(config_normalise(value, &faults, &normal, &err) == 0 && faults.errors == 0);
    FUZZ_MUST(config_validate(normal, &faults, &err) == 0 && faults.errors == 0);
    FUZZ_MUST(config_seal(normal, &second, &err) == 0);
    FUZZ_MUST(first->len == second.len && memcmp(first->bytes, second.bytes, first->len) == 0);
    FUZZ_MUST(memcmp(&first->config_hash, &second.config_hash, sizeof(first->config_hash)) == 0);
}

static void look_up_faults(const struct source_map *map, const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++) {
        const char *file;
        unsigned line, column;
        if (source_map_find(map, faults->items[i].at, &file, &line, &column)) FUZZ_MUST(line > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"agent.yaml", "agent.json", "agent.md"};
    _cleanup_(source_document_deinit) struct source_document document = {0};
    _cleanup_(config_sealed_deinit) struct config_sealed sealed = {0};
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    _cleanup_(json_decrefp) json_t *normal = NULL;
    struct err err = ERR_INIT;

    if (size == 0) return 0;
    struct slice bytes = {(const char *)data + 1, size - 1};
    const struct source_reader reader = {.ctx = &bytes, .read = read_file};
    if (source_read(&reader, names[data[0] % ARRAY_LEN(names)], &faults, &document, &err) < 0) {
        FUZZ_MUST(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    if (config_normalise(document.config, &faults, &normal, &err) < 0) return 0;
    if (config_validate(normal, &faults, &err) < 0) return 0;
    look_up_faults(document.map, &faults);
    if (faults.errors == 0 && config_seal(normal, &sealed, &err) == 0) seal_again(&sealed);
    return 0;
}
