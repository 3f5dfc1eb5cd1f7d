/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP traces as JSON (opentelemetry-proto, "JSON Protobuf Encoding"): each span that carries a decision's agent, version and unit is an outcome
 * of it; all others are passed over. Fields that are not known are passed over too, as that page wants it. A span begins when the
 * decision was made, and lasts as long as the run.
 *
 * What a resource says goes for all its spans, but may stand behind them: its object is read twice, first for the resource, then for the spans.
 *
 * The values of attributes are gathered as the fields of an outcome written as JSON, and read by the reader of items, so that one rule goes for both.
 */
#include "base/clock.h"
#include "base/jw.h"
#include "intake/read_impl.h"

#include <string.h>

#define SCORE_PREFIX "serin.score."
#define NANO INT64_C(1000)

struct value {
    enum scan_kind kind; /* TEXT, NUMBER, TRUE, FALSE, or NOTHING: a list or such */
    struct scan_text text;
    struct scan_number number;
};

struct given {
    int rank; /* -1: nothing */
    struct value value;
};

struct span {
    struct given fields[OUTCOME_FIELD_COUNT_];
    struct outcome_score scores[OUTCOME_SCORES_MAX + 1];
    char score_names[OUTCOME_SCORES_MAX + 1][NAME_MAX_LEN + 2];
    size_t score_count;
    int64_t begin, end; /* nanoseconds */
    bool failed;
    struct scan_text trace;
};

static const struct attribute {
    struct slice key;
    enum outcome_field field;
    int rank;
} attributes[] = {
#define ATTRIBUTE(key, field, rank, doc) {SLICE_LIT(key), OUTCOME_##field, rank},
#include "intake/otlp.def"
#undef ATTRIBUTE
};

typedef bool member_reader(struct reading *reading, struct scan *scan, struct slice key, struct span *span);
typedef bool item_reader(struct reading *reading, struct scan *scan, struct span *span);

static bool each_member(struct reading *reading, struct scan *scan, struct span *span, member_reader *read) {
    struct scan_text key;
    bool first = true, more;
    if (scan_peek(scan) != SCAN_OBJECT) return scan_skip(scan);
    if (!scan_open(scan, '{')) return false;
    while (scan_member(scan, &first, &more, &key)) {
        if (!more) return true;
        if (!read(reading, scan, key.slice, span)) return false;
    }
    return false;
}

static bool each_item(struct reading *reading, struct scan *scan, struct span *span, item_reader *read) {
    bool first = true, more;
    if (scan_peek(scan) != SCAN_ARRAY) return scan_skip(scan);
    if (!scan_open(scan, '[')) return false;
    while (scan_item(scan, &first, &more)) {
        if (!more) return true;
        if (!read(reading, scan, span)) return false;
    }
    return false;
}

/* ---- values ---- */

/* 64-bit integers are texts in this encoding, but numbers are taken too. */
static bool text_number(const struct scan_text *text, struct scan_number *ret) {
    struct scan scan;
    return !text->cut && text->slice.len && scan_begin(&scan, text->slice) && scan_number(&scan, ret) &&
           scan_end(&scan);
}

static bool read_plain(struct scan *scan, struct value *ret) {
    bool truth;
    ret->kind = scan_peek(scan);
    switch (ret->kind) {
    case SCAN_TEXT:
        return scan_text(scan, &ret->text);
    case SCAN_NUMBER:
        return scan_number(scan, &ret->number);
    case SCAN_TRUE:
    case SCAN_FALSE:
        return scan_bool(scan, &truth);
    default:
        ret->kind = SCAN_NOTHING;
        return scan_skip(scan);
    }
}

/* {"stringValue": …} and its like. */
static bool read_value(struct scan *scan, struct value *ret) {
    struct scan_text key;
    bool first = true, more;
    ret->kind = SCAN_NOTHING;
    if (scan_peek(scan) != SCAN_OBJECT) return scan_skip(scan);
    if (!scan_open(scan, '{')) return false;
    while (scan_member(scan, &first, &more, &key)) {
        if (!more) return true;
        if (!read_plain(scan, ret)) return false;
        if (slice_equal_text(key.slice, "intValue") && ret->kind == SCAN_TEXT && text_number(&ret->text, &ret->number))
            ret->kind = SCAN_NUMBER;
    }
    return false;
}

static bool read_nanoseconds(struct scan *scan, int64_t *ret) {
    struct value value;
    if (!read_plain(scan, &value)) return false;
    if (value.kind == SCAN_TEXT && text_number(&value.text, &value.number)) value.kind = SCAN_NUMBER;
    if (value.kind == SCAN_NUMBER && value.number.whole && value.number.integer >= 0) *ret = value.number.integer;
    return true;
}

/* ---- attributes ---- */

static void give(struct span *span, const struct attribute *attribute, const struct value *value) {
    struct given *given = &span->fields[attribute->field];
    if (attribute->rank < given->rank) return;
    given->rank = attribute->rank;
    given->value = *value;
    if (value->kind == SCAN_TEXT && value->text.slice.ptr == value->text.own)
        given->value.text.slice.ptr = given->value.text.own;
}

static void give_score(struct span *span, struct slice key, const struct value *value) {
    struct slice name = {key.ptr + sizeof(SCORE_PREFIX) - 1, key.len - (sizeof(SCORE_PREFIX) - 1)};
    if (span->score_count > OUTCOME_SCORES_MAX || value->kind != SCAN_NUMBER) return;
    size_t len = name.len <= NAME_MAX_LEN ? name.len : NAME_MAX_LEN + 1;
    char *copy = span->score_names[span->score_count];
    memcpy(copy, name.ptr, len);
    copy[len] = '\0';
    span->scores[span->score_count++] = (struct outcome_score){{copy, len}, value->number.real};
}

static bool is_agent_flag(struct value *value) {
    static const char prefix[] = "agent.";
    struct slice *text = &value->text.slice;
    if (value->kind != SCAN_TEXT || text->len < sizeof(prefix) || memcmp(text->ptr, prefix, sizeof(prefix) - 1) != 0)
        return false;
    memmove(value->text.own, text->ptr + sizeof(prefix) - 1,
            text->len < SCAN_TEXT_MAX ? text->len - sizeof(prefix) + 1 : 0);
    *text = (struct slice){value->text.own, text->len < SCAN_TEXT_MAX ? text->len - sizeof(prefix) + 1 : 0};
    return true;
}

/* "42" and "support@42". */
static void version_of(struct value *value) {
    const char *at = value->kind == SCAN_TEXT ? memchr(value->text.slice.ptr, '@', value->text.slice.len) : NULL;
    if (at)
        value->text.slice = (struct slice){at + 1, (size_t)(value->text.slice.ptr + value->text.slice.len - at - 1)};
    if (value->kind == SCAN_TEXT && text_number(&value->text, &value->number)) value->kind = SCAN_NUMBER;
}

static void take_attribute(struct span *span, struct slice key, struct value *value) {
    if (key.len > sizeof(SCORE_PREFIX) - 1 && !memcmp(key.ptr, SCORE_PREFIX, sizeof(SCORE_PREFIX) - 1)) {
        give_score(span, key, value);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (!slice_equal(attributes[i].key, key) || value->kind == SCAN_NOTHING) continue;
        if (slice_equal_text(key, "feature_flag.key") && !is_agent_flag(value)) return;
        if (attributes[i].field == OUTCOME_VERSION) version_of(value);
        give(span, &attributes[i], value);
        return;
    }
}

static bool read_attribute(struct reading *reading, struct scan *scan, struct span *span) {
    struct scan_text name, key = {.slice = {"", 0}};
    struct value value = {.kind = SCAN_NOTHING};
    bool first = true, more;
    if (scan_peek(scan) != SCAN_OBJECT) return scan_skip(scan);
    if (!scan_open(scan, '{')) return false;
    while (scan_member(scan, &first, &more, &name)) {
        if (!more) {
            take_attribute(span, key.slice, &value);
            return true;
        }
        if (slice_equal_text(name.slice, "value")) {
            if (!read_value(scan, &value)) return false;
        } else if (slice_equal_text(name.slice, "key") && scan_peek(scan) == SCAN_TEXT) {
            if (!scan_text(scan, &key)) return false;
        } else if (!scan_skip(scan)) {
            return false;
        }
    }
    return false;
}

static bool read_attributes_of(struct reading *reading, struct scan *scan, struct slice key, struct span *span) {
    if (slice_equal_text(key, "attributes")) return each_item(reading, scan, span, read_attribute);
    return scan_skip(scan);
}

/* ---- spans ---- */

static bool read_event(struct reading *reading, struct scan *scan, struct span *span) {
    return each_member(reading, scan, span, read_attributes_of);
}

static bool read_status(struct reading *reading, struct scan *scan, struct slice key, struct span *span) {
    struct value value;
    if (!slice_equal_text(key, "code")) return scan_skip(scan);
    if (!read_plain(scan, &value)) return false;
    span->failed = (value.kind == SCAN_NUMBER && value.number.integer == 2) ||
                   (value.kind == SCAN_TEXT && slice_equal_text(value.text.slice, "STATUS_CODE_ERROR"));
    return true;
}

static bool read_span_member(struct reading *reading, struct scan *scan, struct slice key, struct span *span) {
    if (slice_equal_text(key, "startTimeUnixNano")) return read_nanoseconds(scan, &span->begin);
    if (slice_equal_text(key, "endTimeUnixNano")) return read_nanoseconds(scan, &span->end);
    if (slice_equal_text(key, "status")) return each_member(reading, scan, span, read_status);
    if (slice_equal_text(key, "events")) return each_item(reading, scan, span, read_event);
    if (slice_equal_text(key, "traceId") && scan_peek(scan) == SCAN_TEXT) return scan_text(scan, &span->trace);
    return read_attributes_of(reading, scan, key, span);
}

static void write_value(struct jw *jw, const char *name, const struct value *value) {
    if (value->kind == SCAN_TEXT)
        jw_slice(jw, name, value->text.slice);
    else if (value->kind == SCAN_NUMBER && value->number.whole)
        jw_int(jw, name, value->number.integer);
    else if (value->kind == SCAN_NUMBER)
        jw_double(jw, name, value->number.real);
    else
        jw_bool(jw, name, value->kind == SCAN_TRUE);
}

static void write_times(struct jw *jw, const struct span *span) {
    char text[CLOCK_TEXT_SIZE];
    if (span->begin) {
        clock_text(span->begin / NANO, text);
        jw_text(jw, "at", text);
    }
    if (span->begin && span->end >= span->begin) jw_double(jw, "latency_ms", (double)(span->end - span->begin) / 1e6);
}

/* The span as an item, as if it had been sent so. */
static void write_item(const struct span *span, struct str *out) {
    static const char *const names[] = {
#define OUTCOME_FIELD(id, name, kind, doc) name,
#include "intake/fields.def"
#undef OUTCOME_FIELD
    };
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    for (size_t i = 0; i < OUTCOME_FIELD_COUNT_; i++)
        if (span->fields[i].rank >= 0) write_value(&jw, names[i], &span->fields[i].value);
    jw_bool(&jw, "ok", !span->failed && span->fields[OUTCOME_ERROR_TYPE].rank < 0);
    write_times(&jw, span);
    if (span->fields[OUTCOME_RUN].rank < 0 && reading_shown(span->trace.slice)) jw_slice(&jw, "run", span->trace.slice);
    if (span->score_count) jw_object(&jw, "scores");
    for (size_t i = 0; i < span->score_count; i++)
        jw_double(&jw, span->score_names[i], span->scores[i].value);
    if (span->score_count) jw_end_object(&jw);
    jw_end_object(&jw);
}

/* The item's texts must outlive it until the batch is packed and kept: they live in the batch's arena. */
static bool take_span(struct reading *reading, const struct span *span) {
    _cleanup_(str_deinit) struct str item = STR_INIT;
    struct scan scan;
    write_item(span, &item);
    const char *kept = item.failed ? NULL : arena_strndup(&reading->out->arena, item.data, item.len);
    if (!kept) {
        reading->out->faults.failed = 1;
        return true;
    }
    if (scan_begin(&scan, (struct slice){kept, item.len}) && reading_item(reading, &scan)) return true;
    reading_fault(reading, OUTCOME_FAULT_TEXT, "");
    reading->out->count++;
    return true;
}

static bool read_span(struct reading *reading, struct scan *scan, struct span *resource) {
    _cleanup_(freep) struct span *span = malloc(sizeof(*span));
    if (!span) {
        reading->out->faults.failed = 1;
        return scan_skip(scan);
    }
    for (size_t i = 0; i < OUTCOME_FIELD_COUNT_; i++)
        span->fields[i].rank = -1;
    span->score_count = 0;
    span->begin = span->end = 0;
    span->failed = false;
    span->trace.slice = (struct slice){"", 0};
    for (size_t i = 0; i < OUTCOME_FIELD_COUNT_; i++)
        if (resource->fields[i].rank >= 0)
            give(span, &(struct attribute){.field = (enum outcome_field)i, .rank = resource->fields[i].rank},
                 &resource->fields[i].value);
    if (!each_member(reading, scan, span, read_span_member)) return false;
    if (span->fields[OUTCOME_AGENT].rank >= 0 && span->fields[OUTCOME_VERSION].rank >= 0 &&
        span->fields[OUTCOME_UNIT].rank >= 0)
        return take_span(reading, span);
    reading->out->passed_over++;
    return true;
}

static bool read_scope_member(struct reading *reading, struct scan *scan, struct slice key, struct span *resource) {
    return slice_equal_text(key, "spans") ? each_item(reading, scan, resource, read_span) : scan_skip(scan);
}

static bool read_scope(struct reading *reading, struct scan *scan, struct span *resource) {
    return each_member(reading, scan, resource, read_scope_member);
}

static bool read_resource_member(struct reading *reading, struct scan *scan, struct slice key, struct span *resource) {
    if (slice_equal_text(key, "resource")) return each_member(reading, scan, resource, read_attributes_of);
    return scan_skip(scan);
}

static bool read_scopes_member(struct reading *reading, struct scan *scan, struct slice key, struct span *resource) {
    return slice_equal_text(key, "scopeSpans") ? each_item(reading, scan, resource, read_scope) : scan_skip(scan);
}

static bool read_resource(struct reading *reading, struct scan *scan, struct span *resource) {
    struct scan again = *scan;
    for (size_t i = 0; i < OUTCOME_FIELD_COUNT_; i++)
        resource->fields[i].rank = -1;
    if (!each_member(reading, scan, resource, read_resource_member)) return false;
    if (each_member(reading, &again, resource, read_scopes_member)) return true;
    *scan = again;
    return false;
}

static bool read_top_member(struct reading *reading, struct scan *scan, struct slice key, struct span *resource) {
    if (!slice_equal_text(key, "resourceSpans")) return scan_skip(scan);
    reading->has_spans = true;
    if (scan_peek(scan) != SCAN_ARRAY) reading_fault_at(reading, OUTCOME_FAULT_TYPE, "/resourceSpans");
    return each_item(reading, scan, resource, read_resource);
}

bool read_otlp(struct reading *reading, struct scan *scan) {
    _cleanup_(freep) struct span *resource = malloc(sizeof(*resource));
    if (!resource) {
        reading->out->faults.failed = 1;
        return true;
    }
    resource->score_count = 0;
    if (scan_peek(scan) != SCAN_OBJECT) {
        reading_fault_at(reading, OUTCOME_FAULT_TYPE, "");
        return scan_skip(scan) && scan_end(scan);
    }
    if (!each_member(reading, scan, resource, read_top_member) || !scan_end(scan)) return false;
    if (!reading->has_spans) reading_fault_at(reading, OUTCOME_FAULT_MISSING, "/resourceSpans");
    return true;
}
