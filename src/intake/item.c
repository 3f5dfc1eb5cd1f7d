/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One outcome. Its fields are found by fields.def. A sender writes them in the same order each time, so the field that stood in this place of the
 * item before is tried first, and times, which mostly lie in the same minute, are read from their seconds on.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "intake/read_impl.h"

#include <string.h>

#define COUNT_MAX INT64_C(1000000000)
#define SIZE_MAX_ 1e9 /* milliseconds or dollars */
#define SECOND INT64_C(1000000)

typedef bool read_field(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret);

static read_field read_NAME, read_VERSION, read_ARM, read_TEXT, read_UNIT, read_TIME, read_BOOL, read_SIZE, read_COUNT,
    read_SCORES, read_FEEDBACK, read_REASON;

static const struct field {
    struct slice name;
    read_field *read;
} fields[OUTCOME_FIELD_COUNT_] = {
#define OUTCOME_FIELD(id, name, kind, doc) {SLICE_LIT(name), read_##kind},
#include "intake/fields.def"
#undef OUTCOME_FIELD
};

static const struct {
    const char *code, *message, *remedy;
} fault_texts[OUTCOME_FAULT_COUNT_] = {
#define FAULT(id, code, message, remedy) {code, message, remedy},
#include "intake/faults.def"
#undef FAULT
};

const char *outcome_fault_code(enum outcome_fault fault) {
    return fault_texts[fault].code;
}

/* ---- faults ---- */

void reading_fault_at(struct reading *reading, enum outcome_fault fault, const char *at) {
    struct fault *told = faults_add(&reading->out->faults, at, "%s", fault_texts[fault].message);
    reading->out->fault_counts[fault]++;
    if (!told) return;
    told->code = fault_texts[fault].code;
    told->remedy = fault_texts[fault].remedy;
    told->line = reading->line;
}

void reading_fault(struct reading *reading, enum outcome_fault fault, const char *field) {
    _cleanup_(str_deinit) struct str at = STR_INIT;
    str_printf(&at, "%s/%zu%s%s", reading->list, reading->out->count, *field ? "/" : "", field);
    reading_fault_at(reading, fault, at.data);
}

/* ---- values ---- */

bool reading_shown(struct slice text) {
    if (!text.len || text.len > OUTCOME_TEXT_MAX) return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) return false;
    return true;
}

uint64_t reading_hash(struct slice text) {
    uint64_t hash = (uint64_t)murmur3_32(text.ptr, text.len, 0) << 32 | murmur3_32(text.ptr, text.len, 1);
    return hash ? hash : 1;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool reading_unit(struct slice text, uint32_t *ret_hash, uint64_t *ret) {
    uint64_t value = 0;
    uint32_t hash = 0;
    int wrong = 0;
    if (text.len != 24) return false;
    for (size_t i = 0; i < 24; i++) {
        int digit = hex_value(text.ptr[i]);
        wrong |= digit;
        hash = i < 8 ? hash << 4 | (uint32_t)(digit & 15) : hash;
        value = value << 4 | (uint64_t)(digit & 15); /* the first 8 move out again */
    }
    *ret_hash = hash;
    *ret = value;
    return wrong >= 0;
}

/* "05.123456Z" behind a known minute. False: it is written in another way, not that it is wrong. */
static bool seconds(struct slice text, int64_t *ret) {
    int64_t value = 0, scale = SECOND;
    const char *p = text.ptr, *end = text.ptr + text.len;
    if (text.len < 3 || hex_value(p[0]) > 5 || hex_value(p[0]) < 0 || hex_value(p[1]) > 9 || hex_value(p[1]) < 0)
        return false;
    value = ((p[0] - '0') * 10 + (p[1] - '0')) * SECOND;
    p += 2;
    if (*p == '.') {
        const char *first = ++p;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            value += (*p - '0') * (scale /= 10);
        if (p == first || p - first > 9) return false;
    }
    *ret = value;
    return p + 1 == end && *p == 'Z';
}

bool reading_time(struct reading *reading, struct slice text, int64_t *ret) {
    int64_t within;
    char copy[CLOCK_TEXT_SIZE + 16];
    if (text.len > 17 && reading->minute_at >= 0 && !memcmp(text.ptr, reading->minute, 16) && text.ptr[16] == ':' &&
        seconds((struct slice){text.ptr + 17, text.len - 17}, &within)) {
        *ret = reading->minute_at + within;
        return true;
    }
    if (text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (!clock_from_text(copy, ret)) return false;
    if (copy[text.len - 1] != 'Z' || !seconds((struct slice){text.ptr + 17, text.len - 17}, &within)) return true;
    memcpy(reading->minute, text.ptr, 16);
    reading->minute_at = *ret - within;
    return true;
}

/* A value of another type is passed over. */
static bool other_type(struct reading *reading, struct scan *scan, enum outcome_field field) {
    reading_fault(reading, OUTCOME_FAULT_TYPE, fields[field].name.ptr);
    return scan_skip(scan);
}

static bool fault_of(struct reading *reading, enum outcome_field field, enum outcome_fault fault) {
    reading_fault(reading, fault, fields[field].name.ptr);
    return true;
}

/* Names and other texts are borrowed when they hold no escapes; else, and that is rare, they are kept in the batch's arena. */
static bool read_any_text(struct reading *reading, struct scan *scan, enum outcome_field field, struct slice *ret) {
    struct scan_text text;
    *ret = (struct slice){NULL, 0};
    if (scan_peek(scan) != SCAN_TEXT) return other_type(reading, scan, field);
    if (!scan_text(scan, &text)) return false;
    *ret = text.slice;
    if (text.slice.ptr != text.own) return true;
    ret->ptr = arena_strndup(&reading->out->arena, text.own, text.slice.len);
    if (!ret->ptr) reading->out->faults.failed = 1; /* told at the end */
    return true;
}

static bool read_NAME(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct slice *to = field == OUTCOME_AGENT ? &ret->place.agent : &ret->place.environment;
    return read_any_text(reading, scan, field, to);
}

static bool read_TEXT(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct slice text;
    if (!read_any_text(reading, scan, field, &text)) return false;
    if (!text.ptr) return true;
    if (!reading_shown(text)) return fault_of(reading, field, OUTCOME_FAULT_TEXT);
    if (field == OUTCOME_ROLLOUT)
        ret->place.rollout = text;
    else if (field == OUTCOME_SESSION)
        ret->session = text;
    else if (field == OUTCOME_ERROR_TYPE)
        ret->error_type = text;
    else
        ret->run = reading_hash(text);
    return true;
}

static bool read_UNIT(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct slice text;
    if (!read_any_text(reading, scan, field, &text)) return false;
    return !text.ptr || reading_unit(text, &ret->bucket_hash, &ret->unit) ||
           fault_of(reading, field, OUTCOME_FAULT_UNIT);
}

static bool read_TIME(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct slice text;
    if (!read_any_text(reading, scan, field, &text)) return false;
    return !text.ptr || reading_time(reading, text, &ret->at) || fault_of(reading, field, OUTCOME_FAULT_TIME);
}

static bool read_VERSION(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct scan_number number;
    if (scan_peek(scan) != SCAN_NUMBER) return other_type(reading, scan, field);
    if (!scan_number(scan, &number)) return false;
    ret->place.version = number.integer;
    return (number.whole && number.integer >= 1 && number.integer <= OUTCOME_BATCH_MAX) ||
           fault_of(reading, field, OUTCOME_FAULT_VERSION);
}

static bool read_BOOL(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    enum scan_kind kind = scan_peek(scan);
    if (kind != SCAN_TRUE && kind != SCAN_FALSE) return other_type(reading, scan, field);
    return scan_bool(scan, &ret->ok);
}

static bool read_SIZE(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct scan_number number;
    if (scan_peek(scan) != SCAN_NUMBER) return other_type(reading, scan, field);
    if (!scan_number(scan, &number)) return false;
    *(field == OUTCOME_COST ? &ret->cost_usd : &ret->latency_ms) = number.real;
    if (number.real < 0) return fault_of(reading, field, OUTCOME_FAULT_NEGATIVE);
    return number.real <= SIZE_MAX_ || fault_of(reading, field, OUTCOME_FAULT_TOO_LARGE);
}

static bool read_COUNT(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct scan_number number;
    if (scan_peek(scan) != SCAN_NUMBER) return other_type(reading, scan, field);
    if (!scan_number(scan, &number)) return false;
    *(field == OUTCOME_INPUT_TOKENS    ? &ret->input_tokens
      : field == OUTCOME_OUTPUT_TOKENS ? &ret->output_tokens
                                       : &ret->tool_errors) = number.integer;
    if (!number.whole) return fault_of(reading, field, OUTCOME_FAULT_TYPE);
    if (number.integer < 0) return fault_of(reading, field, OUTCOME_FAULT_NEGATIVE);
    return number.integer <= COUNT_MAX || fault_of(reading, field, OUTCOME_FAULT_TOO_LARGE);
}

/* ---- words ---- */

/* Which of the words it is, counted from 1; 0: none, which is noted. */
static bool read_word(struct reading *reading, struct scan *scan, enum outcome_field field, const struct slice *words,
                      size_t count, size_t *ret) {
    struct slice text;
    *ret = 0;
    if (!read_any_text(reading, scan, field, &text)) return false;
    for (size_t i = 0; i < count && text.ptr; i++)
        if (slice_equal(words[i], text)) *ret = i + 1;
    return *ret || !text.ptr || fault_of(reading, field, OUTCOME_FAULT_WORD);
}

static bool read_ARM(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    static const struct slice words[] = {SLICE_LIT("stable"), SLICE_LIT("candidate")};
    size_t word;
    bool read = read_word(reading, scan, field, words, ARRAY_LEN(words), &word);
    ret->arm = (enum outcome_arm)word;
    return read;
}

static bool read_REASON(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    static const struct slice words[] = {SLICE_LIT("DEPLOYED"), SLICE_LIT("ROLLOUT"), SLICE_LIT("OVERRIDE"),
                                         SLICE_LIT("SESSION"), SLICE_LIT("PANIC")};
    size_t word;
    bool read = read_word(reading, scan, field, words, ARRAY_LEN(words), &word);
    ret->reason = (enum outcome_reason)word;
    return read;
}

static bool read_FEEDBACK(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    static const struct slice words[] = {SLICE_LIT("up"), SLICE_LIT("down")};
    size_t word;
    bool read = read_word(reading, scan, field, words, ARRAY_LEN(words), &word);
    ret->feedback_up = word == 1;
    return read;
}

/* ---- scores ---- */

static void score_fault(struct reading *reading, enum outcome_fault fault, struct slice name) {
    char shown[OUTCOME_TEXT_MAX + 8];
    size_t len = name.len < OUTCOME_TEXT_MAX ? name.len : OUTCOME_TEXT_MAX;
    memcpy(shown, "scores/", 7);
    memcpy(shown + 7, name.ptr, len);
    shown[7 + len] = '\0';
    reading_fault(reading, fault, shown);
}

static bool has_score(const struct outcome *outcome, struct slice name) {
    for (size_t i = 0; i < outcome->score_count; i++)
        if (slice_equal(outcome->scores[i].name, name)) return true;
    return false;
}

static bool score_name_valid(struct slice name) {
    bool valid = name.len >= 1 && name.len <= NAME_MAX_LEN;
    for (size_t i = 0; i < name.len && valid; i++)
        valid = hex_value((char)(name.ptr[i] | 0x20)) >= 0 || strchr("ghijklmnopqrstuvwxyz_-.", name.ptr[i] | 0x20);
    return valid && !memchr(name.ptr, 0, name.len);
}

static bool read_score(struct reading *reading, struct scan *scan, const struct scan_text *key, struct outcome *ret) {
    struct scan_number number;
    struct slice name = key->slice;
    bool plain = score_name_valid(name) && name.ptr != key->own, twice = has_score(ret, name);
    if (!plain || twice) score_fault(reading, plain ? OUTCOME_FAULT_TWICE : OUTCOME_FAULT_NAME, name);
    if (scan_peek(scan) != SCAN_NUMBER) {
        score_fault(reading, OUTCOME_FAULT_TYPE, name);
        return scan_skip(scan);
    }
    if (!scan_number(scan, &number)) return false;
    if (!(number.real >= 0 && number.real <= 1)) score_fault(reading, OUTCOME_FAULT_SCORE, name);
    if (ret->score_count == OUTCOME_SCORES_MAX) return fault_of(reading, OUTCOME_SCORES, OUTCOME_FAULT_SCORES);
    ret->scores[ret->score_count++] = (struct outcome_score){name, number.real};
    return true;
}

static bool read_SCORES(struct reading *reading, struct scan *scan, enum outcome_field field, struct outcome *ret) {
    struct scan_text key;
    bool first = true, more;
    if (scan_peek(scan) != SCAN_OBJECT) return other_type(reading, scan, field);
    if (!scan_open(scan, '{')) return false;
    while (scan_member(scan, &first, &more, &key)) {
        if (!more) return true;
        if (!read_score(reading, scan, &key, ret)) return false;
    }
    return false;
}

/* ---- the whole of it ---- */

static bool is_field(size_t field, struct slice name) {
    return fields[field].name.len == name.len && !memcmp(fields[field].name.ptr, name.ptr, name.len);
}

static size_t find_field(struct reading *reading, size_t place, struct slice name) {
    size_t guess = place < OUTCOME_FIELD_COUNT_ ? reading->guess[place] : 0, field = 0;
    if (is_field(guess, name)) return guess;
    while (field < OUTCOME_FIELD_COUNT_ && !is_field(field, name))
        field++;
    if (field < OUTCOME_FIELD_COUNT_ && place < OUTCOME_FIELD_COUNT_) reading->guess[place] = (uint8_t)field;
    return field;
}

static void unknown_field(struct reading *reading, struct slice name) {
    char shown[OUTCOME_TEXT_MAX + 1];
    size_t len = name.len < OUTCOME_TEXT_MAX ? name.len : OUTCOME_TEXT_MAX;
    memcpy(shown, name.ptr, len);
    shown[len] = '\0';
    reading_fault(reading, OUTCOME_FAULT_UNKNOWN_FIELD, shown);
}

static bool read_member(struct reading *reading, struct scan *scan, size_t place, struct slice name,
                        struct outcome *outcome) {
    size_t field = find_field(reading, place, name);
    if (field == OUTCOME_FIELD_COUNT_) {
        unknown_field(reading, name);
        return scan_skip(scan);
    }
    if (outcome->has & 1u << field) {
        reading_fault(reading, OUTCOME_FAULT_TWICE, fields[field].name.ptr);
        return scan_skip(scan);
    }
    outcome->has |= 1u << field;
    return fields[field].read(reading, scan, (enum outcome_field)field, outcome);
}

bool reading_item(struct reading *reading, struct scan *scan) {
    struct outcome outcome;
    struct scan_text key;
    bool first = true, more;
    outcome_clear(&outcome);
    reading->errors = reading->out->faults.errors;
    if (scan_peek(scan) != SCAN_OBJECT) {
        reading_fault(reading, OUTCOME_FAULT_TYPE, "");
        reading->out->count++;
        return scan_skip(scan);
    }
    if (!scan_open(scan, '{')) return false;
    for (size_t place = 0; scan_member(scan, &first, &more, &key); place++) {
        if (!more) {
            reading_take(reading, &outcome);
            return true;
        }
        if (!read_member(reading, scan, place, key.slice, &outcome)) return false;
    }
    return false;
}

static void need(struct reading *reading, const struct outcome *outcome, enum outcome_field field) {
    if (!(outcome->has & 1u << field)) reading_fault(reading, OUTCOME_FAULT_MISSING, fields[field].name.ptr);
}

static void check_needed(struct reading *reading, const struct outcome *outcome) {
    bool ok = outcome->has & OUTCOME_HAS(OK);
    bool later = outcome->has & OUTCOME_HAS(RUN) && outcome->has & (OUTCOME_HAS(SCORES) | OUTCOME_HAS(FEEDBACK));
    need(reading, outcome, OUTCOME_AGENT);
    need(reading, outcome, OUTCOME_VERSION);
    need(reading, outcome, OUTCOME_AT);
    if (ok) need(reading, outcome, OUTCOME_UNIT);
    if (!ok && !later) reading_fault(reading, OUTCOME_FAULT_RUN, "ok");
    if (!reading->source->environment) need(reading, outcome, OUTCOME_ENVIRONMENT);
}

static void check_time(struct reading *reading, const struct outcome *outcome) {
    int64_t ahead = outcome->at - reading->source->now;
    if (ahead > OUTCOME_AHEAD) reading_fault(reading, OUTCOME_FAULT_FUTURE, "at");
    if (ahead < -OUTCOME_AGE_MAX && outcome->at) reading_fault(reading, OUTCOME_FAULT_TOO_OLD, "at");
}

void reading_take(struct reading *reading, struct outcome *outcome) {
    const char *environment = reading->source->environment;
    if (environment && !(outcome->has & OUTCOME_HAS(ENVIRONMENT))) outcome->place.environment = slice_of(environment);
    outcome->place.item = reading->out->count;
    check_needed(reading, outcome);
    if (outcome->has & OUTCOME_HAS(AT)) check_time(reading, outcome);
    if (reading->out->faults.errors == reading->errors && !outcome_pack_add(&reading->pack, outcome, reading->out))
        reading_fault(reading, OUTCOME_FAULT_PLACES, "");
    reading->out->count++;
}
