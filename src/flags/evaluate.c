/* SPDX-License-Identifier: Apache-2.0 */
#include "flags/flags.h"

#include <string.h>

const char *flag_reason_name(enum flag_reason reason) {
    static const char *const names[] = {"STATIC", "DEFAULT", "TARGETING_MATCH", "DISABLED", "ERROR"};
    return names[reason];
}

const char *flag_error_name(enum flag_error error) {
    static const char *const names[] = {"", "GENERAL", "PARSE_ERROR", "TARGETING_KEY_MISSING"};
    return names[error];
}

struct slice flag_context_key(const struct logic_context *context) {
    const struct logic_value *key = logic_get(&context->data, SLICE_LIT("targetingKey"));
    return key && key->type == LOGIC_TEXT ? logic_slice(key) : (struct slice){"", 0};
}

static void fall_back(const struct flag *flag, const struct logic_context *context, struct flag_result *ret) {
    bool misses_key = flag->default_variant == FLAG_NO_VARIANT && flag->targeting &&
                      logic_reads(flag->targeting)->key && !flag_context_key(context).len;
    ret->reason = misses_key ? FLAG_IS_ERROR : flag->targeting ? FLAG_IS_DEFAULT : FLAG_IS_STATIC;
    ret->error = misses_key ? FLAG_KEY_MISSING : FLAG_NO_ERROR;
    ret->variant = (int16_t)flag->default_variant;
    if (!flag->targeting && flag->default_variant == FLAG_NO_VARIANT) ret->reason = FLAG_IS_DEFAULT;
}

static void tell_strange(struct slice name, char room[FLAG_RESULT_ROOM]) {
    size_t len = name.len < FLAG_RESULT_ROOM - 1 ? name.len : FLAG_RESULT_ROOM - 1;
    if (!room) return;
    memcpy(room, name.ptr, len);
    room[len] = '\0';
}

static void take_variant(const struct flag *flag, const struct logic_value *value, char room[FLAG_RESULT_ROOM],
                         struct flag_result *ret) {
    char number[LOGIC_NUMBER_ROOM];
    struct slice name = SLICE_LIT("a list or an object");
    if (logic_result_text(value, number, &name)) {
        for (uint32_t i = 0; i < flag->variant_count; i++) {
            struct slice other = flag->variants[i].name;
            if (other.len != name.len || !bytes_equal(other.ptr, name.ptr, name.len)) continue;
            *ret = (struct flag_result){FLAG_IS_TARGETED, FLAG_NO_ERROR, (int16_t)i};
            return;
        }
    }
    tell_strange(name, room);
    *ret = (struct flag_result){FLAG_IS_ERROR, FLAG_GENERAL, FLAG_NO_VARIANT};
}

void flag_evaluate(const struct flag *flag, const struct logic_context *context, struct logic_scratch *scratch,
                   struct logic_trace *trace, char room[FLAG_RESULT_ROOM], struct flag_result *ret) {
    *ret = (struct flag_result){FLAG_IS_DISABLED, FLAG_NO_ERROR, FLAG_NO_VARIANT};
    if (!flag->enabled) return;
    if (!flag->targeting) {
        fall_back(flag, context, ret);
        return;
    }
    struct slice key = flag->split && !trace ? flag_context_key(context) : (struct slice){"", 0};
    if (key.len) {
        flag_evaluate_split(flag->split, key, ret);
        return;
    }
    struct logic_context own = *context;
    struct logic_value value;
    own.flag_key = flag->key;
    if (logic_evaluate(flag->targeting, &own, scratch, trace, &value) != 0)
        *ret = (struct flag_result){FLAG_IS_ERROR, FLAG_PARSE_ERROR, FLAG_NO_VARIANT};
    else if (value.type == LOGIC_NULL)
        fall_back(flag, context, ret);
    else
        take_variant(flag, &value, room, ret);
}
