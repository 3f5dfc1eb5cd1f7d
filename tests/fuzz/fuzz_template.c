/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prompt with mustache tags, beside inputs of several shapes (the first byte chooses). Every fault has words and a line within the
 * text; a text without two braces has none; what is declared and not used is only warned of.
 */
#include "fuzz.h"
#include "model/model_impl.h"

#include <string.h>

static const char *const inputs[] = {
    "null",
    "{\"properties\":{}}",
    "{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"object\",\"properties\":{\"c\":{}}}}}",
    "{\"properties\":{\"a\":{\"items\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}}}}}}",
    "{\"properties\":{\"a\":{\"type\":\"object\"},\"c\":true}}",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || !utf8_valid((const char *)data + 1, size - 1) || memchr(data + 1, 0, size - 1)) return 0;
    const char *shape = inputs[data[0] % (sizeof(inputs) / sizeof(inputs[0]))];
    _cleanup_(json_decrefp) json_t *declared = NULL, *used = json_object();
    struct slice text = {(const char *)data + 1, size - 1};
    struct faults faults = FAULTS_INIT;
    struct place place = {.key = "/system_prompt"};
    FUZZ_MUST(json_parse(shape, strlen(shape), JSON_DEPTH_MAX, &declared, NULL) == 0);

    struct template_check check = {
        .inputs = json_is_object(declared) ? declared : NULL, .used = used, .faults = &faults};
    FUZZ_MUST(template_check(&check, text, &place) == 0);
    if (!memmem(text.ptr, text.len, "{{", 2)) FUZZ_MUST(faults.count == 0 && json_object_size(used) == 0);
    for (size_t i = 0; i < faults.count; i++)
        FUZZ_MUST(faults.items[i].message[0] && utf8_valid(faults.items[i].message, strlen(faults.items[i].message)));
    const char *name;
    json_t *value;
    json_object_foreach(used, name, value) FUZZ_MUST(!check.inputs || json_get(json_get(declared, "properties"), name));
    faults_deinit(&faults);
    return 0;
}
