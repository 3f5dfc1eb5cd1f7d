/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts: String(value), joining and cutting. What is made lies in the scratch.
 *
 * JavaScript counts a text in units of UTF-16, so that is how positions count here: two for a character past U+FFFF. A cut through such a character leaves it out,
 * because UTF-8 cannot write half of it.
 */
#include "logic/logic_impl.h"

#include <math.h>
#include <string.h>

#define BYTES_A_STEP 16

static void put(struct machine *machine, struct slice bytes) {
    if (bytes.len > (size_t)(machine->high - machine->low)) {
        if (!machine->outcome) machine->outcome = LOGIC_NO_ROOM;
        return;
    }
    if (bytes.len) memcpy(machine->low, bytes.ptr, bytes.len);
    machine->low += bytes.len;
}

static void put_text(struct machine *machine, const struct logic_value *value);

/* As Array.join(): null is nothing. */
static void put_items(struct machine *machine, const struct logic_value *items, size_t count, struct slice between) {
    for (size_t i = 0; i < count && !machine->outcome; i++) {
        if (i) put(machine, between);
        if (items[i].type != LOGIC_NULL) put_text(machine, items + i);
    }
}

static void put_text(struct machine *machine, const struct logic_value *value) {
    char digits[LOGIC_NUMBER_ROOM];
    switch (value->type) {
    case LOGIC_NULL:
        put(machine, SLICE_LIT("null"));
        break;
    case LOGIC_BOOL:
        put(machine, value->truth ? SLICE_LIT("true") : SLICE_LIT("false"));
        break;
    case LOGIC_NUMBER:
        put(machine, (struct slice){digits, number_text(value->number, digits)});
        break;
    case LOGIC_TEXT:
        put(machine, logic_slice(value));
        break;
    case LOGIC_LIST:
        put_items(machine, value->items, value->count, SLICE_LIT(","));
        break;
    default:
        put(machine, SLICE_LIT("[object Object]"));
    }
}

/* What was made since `begin`, which costs steps. */
static struct slice made(struct machine *machine, const char *begin) {
    struct slice text = {begin, (size_t)(machine->low - begin)};
    (void)machine_spend(machine, text.len / BYTES_A_STEP);
    return text;
}

struct slice machine_text(struct machine *machine, const struct logic_value *value) {
    if (value->type == LOGIC_TEXT) return logic_slice(value);
    const char *begin = machine->low;
    put_text(machine, value);
    return made(machine, begin);
}

struct logic_value machine_join(struct machine *machine, const struct logic_value *values, size_t count) {
    const char *begin = machine->low;
    put_items(machine, values, count, SLICE_LIT(""));
    return logic_text(made(machine, begin));
}

/* ---- parts ---- */

/* Of the character at `at`; what is no UTF-8 may end early. */
static size_t character_len(struct slice text, size_t at) {
    unsigned char byte = (unsigned char)text.ptr[at];
    size_t len = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return len < text.len - at ? len : text.len - at;
}

static size_t units_of(size_t character) {
    return character == 4 ? 2 : 1;
}

static size_t units_in(struct slice text) {
    size_t units = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = character_len(text, at);
        units += units_of(len);
    }
    return units;
}

/* The characters that lie wholly in the units from `from` up to `to`. */
static struct slice units_between(struct slice text, size_t from, size_t to) {
    size_t begin = text.len, end = begin, unit = 0;
    for (size_t at = 0, len; at < text.len && end == text.len; at += len) {
        len = character_len(text, at);
        if (unit >= from && begin == text.len) begin = at;
        unit += units_of(len);
        if (unit > to) end = at;
    }
    return begin < end ? (struct slice){text.ptr + begin, end - begin} : SLICE_LIT("");
}

/* As JavaScript takes a place in a text of `units`: what is no number is 0, below 0 it counts from the end. */
static size_t place_of(double number, size_t units) {
    if (isnan(number)) return 0;
    number = trunc(number);
    if (number < 0) number += (double)units;
    return number < 0 ? 0 : number > (double)units ? units : (size_t)number;
}

/* {"substr": [text, start, length]}; a length below 0 leaves out so many at the end. */
struct logic_value machine_part(struct machine *machine, const struct logic_value *arguments, size_t count) {
    struct slice text = machine_text(machine, arguments);
    if (!machine_spend(machine, text.len / BYTES_A_STEP)) return logic_text(SLICE_LIT(""));
    size_t units = units_in(text), from = place_of(value_number(arguments + 1), units), to = units;
    double len = count > 2 ? value_number(arguments + 2) : (double)units, left = (double)(units - from);
    len = isnan(len) ? 0 : trunc(len < 0 ? left + len : len);
    if (len < left) to = from + (len > 0 ? (size_t)len : 0);
    return logic_text(from < to ? units_between(text, from, to) : SLICE_LIT(""));
}

bool logic_result_text(const struct logic_value *result, char room[LOGIC_NUMBER_ROOM], struct slice *ret) {
    switch (result->type) {
    case LOGIC_BOOL:
        *ret = result->truth ? SLICE_LIT("true") : SLICE_LIT("false");
        return true;
    case LOGIC_NUMBER:
        *ret = (struct slice){room, number_text(result->number, room)};
        return true;
    case LOGIC_TEXT:
        *ret = logic_slice(result);
        return true;
    default:
        return false;
    }
}
