/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way of a configuration: bytes that somebody wrote, read as YAML, JSON or Markdown (the first byte
 * chooses), brought to the stored form, checked and sealed. What comes out without errors reads again to the same hashes.
 */
#include "fuzz.h"
#include "model/config.h"
#include "model/source.h"

#include <string.h>

static int read_input(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err) {
    const struct slice *input = ctx;
    if (strncmp(path, "agent.", 6) != 0) return err_set(err, ERR_FILE, "does not exist");
    char *copy = arena_strndup(arena, input->ptr, input->len);
    if (!copy) return err_no_memory(err);
    *ret = (struct slice){copy, input->len};
    return 0;
}

/* Every fault has a place that is known, and words. */
static void check_faults(const struct faults *faults, const struct source_map *map) {
    const char *file;
    unsigned line, column;
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        FUZZ_MUST(fault->message[0] && utf8_valid(fault->message, strlen(fault->message)));
        FUZZ_MUST(source_map_find(map, fault->at, &file, &line, &column) && line > 0);
    }
}

static void check_sealed(const struct config_sealed *sealed) {
    _cleanup_(json_decrefp) json_t *again = NULL, *config = NULL;
    struct faults faults = FAULTS_INIT;
    struct config_sealed second;

    FUZZ_MUST(json_parse(sealed->bytes, sealed->len, CONFIG_DEPTH_MAX, &again, NULL) == 0);
    FUZZ_MUST(config_normalise(again, &faults, &config, NULL) == 0 && faults.count == 0);
    FUZZ_MUST(config_seal(config, &second, NULL) == 0);
    FUZZ_MUST(memcmp(&sealed->content_hash, &second.content_hash, sizeof(second.content_hash)) == 0);
    FUZZ_MUST(memcmp(&sealed->config_hash, &second.config_hash, sizeof(second.config_hash)) == 0);
    config_sealed_deinit(&second);
}

static void check_document(const struct source_document *document, struct faults *faults) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    struct config_sealed sealed;

    FUZZ_MUST(config_normalise(document->config, faults, &config, NULL) == 0);
    FUZZ_MUST(config_validate(config, faults, NULL) == 0);
    check_faults(faults, document->map);
    if (faults->errors > 0) return;
    FUZZ_MUST(config_seal(config, &sealed, NULL) == 0);
    check_sealed(&sealed);
    config_sealed_deinit(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"agent.yaml", "agent.json", "agent.md"};
    struct slice input = {(const char *)data + 1, size - 1};
    struct source_reader reader = {.ctx = &input, .read = read_input};
    struct source_document document;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    if (size == 0) return 0;
    if (source_read(&reader, names[data[0] % 3], &faults, &document, &err) < 0) {
        FUZZ_MUST(err.code != ERR_NONE && err.message[0] && utf8_valid(err.message, strlen(err.message)));
    } else {
        check_document(&document, &faults);
        source_document_deinit(&document);
    }
    faults_deinit(&faults);
    return 0;
}
