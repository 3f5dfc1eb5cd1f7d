/* SPDX-License-Identifier: Apache-2.0 */
/* The small languages: version references, positions, times. What is read and written again reads the same. */
#include "base/clock.h"
#include "fuzz.h"
#include "model/names.h"
#include "model/nouns.h"

#include <string.h>

static void time_of(const char *text) {
    char written[CLOCK_TEXT_SIZE];
    int64_t at, again;
    if (!clock_from_text(text, &at)) return;
    clock_text(at, written);
    FUZZ_MUST(clock_from_text(written, &again) && again == at);
}

static void position_of(const char *text) {
    char written[POSITION_TEXT_SIZE];
    struct position position, again;
    if (!position_from_text(text, &position)) return;
    position_text(position, written);
    FUZZ_MUST(position_from_text(written, &again) && position_compare(position, again) == 0);
}

static void version_of(const char *text) {
    struct version_ref ref;
    char agent[NAME_MAX_LEN + 1];
    bool is_explicit;
    struct err err = ERR_INIT;
    if (version_ref_parse(text, &ref, &err) < 0) FUZZ_MUST(err.code != ERR_NONE && err.message[0]);
    if (version_spec_parse(text, agent, &ref, &is_explicit, &err) == 0)
        FUZZ_MUST(name_valid((struct slice){agent, strlen(agent)}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    time_of(text);
    position_of(text);
    version_of(text);
    free(text);
    return 0;
}
