/* SPDX-License-Identifier: Apache-2.0 */
/* Settings files: every fault has its place, every entry is well-formed, no key comes twice. */
#include "config/toml.h"
#include "fuzz.h"

#include "base/str.h"

#include <string.h>

static void check(const struct toml_file *file, const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        FUZZ_MUST(faults->items[i].line > 0 && !strcmp(faults->items[i].at, "a.toml"));
    for (size_t i = 0; i < file->count; i++) {
        const struct toml_entry *entry = &file->entries[i];
        FUZZ_MUST(*entry->key && entry->line > 0 && entry->column > 0 && utf8_valid(entry->text, strlen(entry->text)));
        int64_t number;
        if (entry->type == TOML_INT)
            FUZZ_MUST(text_to_int(entry->text, INT64_MIN, INT64_MAX, &number) && number == entry->number);
        for (size_t j = 0; j < i; j++)
            FUZZ_MUST(strcmp(entry->key, file->entries[j].key));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    struct toml_file file;
    if (toml_parse((struct slice){(const char *)data, size}, "a.toml", &arena, &faults, &file, &err) == 0)
        check(&file, &faults);
    faults_deinit(&faults);
    arena_deinit(&arena);
    return 0;
}
