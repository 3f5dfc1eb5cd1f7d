/* SPDX-License-Identifier: Apache-2.0 */
/* Truth, both equalities and order, as JsonLogic takes them from JavaScript. */
#include "logic/logic_impl.h"

#include <math.h>
#include <string.h>

bool value_truth(const struct logic_value *value) {
    switch (value->type) {
    case LOGIC_BOOL:
        return value->truth;
    case LOGIC_NUMBER:
        return value->number != 0 && !isnan(value->number);
    case LOGIC_TEXT:
    case LOGIC_LIST:
        return value->count > 0;
    case LOGIC_OBJECT:
        return true;
    default:
        return false;
    }
}

static bool same_bytes(const struct logic_value *a, const struct logic_value *b) {
    return a->count == b->count && bytes_equal(a->text, b->text, a->count);
}

/* Lists and objects are the same as themselves only. */
bool value_same(const struct logic_value *a, const struct logic_value *b) {
    if (a->type != b->type) return false;
    switch (a->type) {
    case LOGIC_BOOL:
        return a->truth == b->truth;
    case LOGIC_NUMBER:
        return a->number == b->number;
    case LOGIC_TEXT:
        return same_bytes(a, b);
    case LOGIC_LIST:
        return a->items == b->items && a->count == b->count;
    case LOGIC_OBJECT:
        return a->members == b->members && a->count == b->count;
    default:
        return true;
    }
}

/* Long texts cost what comparing them does. */
static void spend_on(struct machine *machine, const struct logic_value *a, const struct logic_value *b) {
    size_t len = a->type == LOGIC_TEXT ? a->count : 0;
    if (b->type == LOGIC_TEXT && b->count > len) len = b->count;
    if (len > LONG_TEXT) (void)machine_spend(machine, len / LONG_TEXT);
}

static bool is_made_of_values(const struct logic_value *value) {
    return value->type >= LOGIC_LIST;
}

/* Compared as a text with another that is, too. */
static bool is_like_text(const struct logic_value *value) {
    return value->type >= LOGIC_TEXT;
}

/* Both as texts; what is made for it is forgotten. */
static int compare_texts(struct machine *machine, const struct logic_value *a, const struct logic_value *b,
                         int (*compare)(struct slice, struct slice)) {
    char *low = machine->low;
    struct slice left = machine_text(machine, a), right = machine_text(machine, b);
    int order = compare(left, right);
    machine->low = low;
    return order;
}

static int differ(struct slice a, struct slice b) {
    return !slice_equal(a, b);
}

bool value_equal(struct machine *machine, const struct logic_value *a, const struct logic_value *b) {
    spend_on(machine, a, b);
    if (a->type == b->type) return value_same(a, b);
    if (a->type == LOGIC_NULL || b->type == LOGIC_NULL) return false;
    if (is_made_of_values(a) && is_made_of_values(b)) return false;
    if (is_like_text(a) && is_like_text(b)) return compare_texts(machine, a, b, differ) == 0;
    return value_number(a) == value_number(b); /* never of NaN */
}

/* Where a byte stands in the order of UTF-16: characters past U+FFFF (from F0) come before U+E000 … U+FFFF (EE, EF). */
static int utf16_rank(char c) {
    int byte = (unsigned char)c;
    if (byte >= 0xf0) return byte - 2;
    return byte >= 0xee ? byte + 5 : byte;
}

static int text_order(struct slice a, struct slice b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < shorter; i++)
        if (a.ptr[i] != b.ptr[i]) return utf16_rank(a.ptr[i]) - utf16_rank(b.ptr[i]);
    return (a.len > b.len) - (a.len < b.len);
}

bool value_less(struct machine *machine, const struct logic_value *a, const struct logic_value *b) {
    spend_on(machine, a, b);
    if (is_like_text(a) && is_like_text(b)) return compare_texts(machine, a, b, text_order) < 0;
    return value_number(a) < value_number(b);
}

bool value_less_equal(struct machine *machine, const struct logic_value *a, const struct logic_value *b) {
    spend_on(machine, a, b);
    if (is_like_text(a) && is_like_text(b)) return compare_texts(machine, a, b, text_order) <= 0;
    return value_number(a) <= value_number(b);
}
