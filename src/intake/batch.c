/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: one JSON object, or a line for each outcome. The places' names and the environments' visibility are looked at once for each place
 * and not for each outcome.
 */
#include "intake/read_impl.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define GUNZIP_STEP 65536
#define GZIP_WINDOW (15 + 16) /* zlib: the largest window, and a gzip header is wanted */

void outcomes_deinit(struct outcomes *outcomes) {
    str_deinit(&outcomes->packed);
    arena_deinit(&outcomes->arena);
    faults_deinit(&outcomes->faults);
}

/* ---- who sends it ---- */

void reading_instance(struct reading *reading, struct slice text) {
    bool plain = text.len >= 1 && text.len <= OUTCOME_TEXT_MAX;
    for (size_t i = 0; i < text.len && plain; i++)
        plain = text.ptr[i] > ' ' && text.ptr[i] < 0x7f;
    /* Such names are kept for traces, and are forgotten sooner. */
    bool kept = reading->source->form != OUTCOME_OTLP && text.len >= 5 && !memcmp(text.ptr, "otlp:", 5);
    if (!plain || kept) {
        reading_fault_at(reading, OUTCOME_FAULT_INSTANCE, "/instance");
        return;
    }
    memcpy(reading->out->instance, text.ptr, text.len);
    reading->out->instance[text.len] = '\0';
}

void reading_batch(struct reading *reading, struct scan_number number) {
    reading->out->batch = number.integer;
    if (!number.whole || number.integer < 1 || number.integer > OUTCOME_BATCH_MAX)
        reading_fault_at(reading, OUTCOME_FAULT_BATCH, "/batch");
}

static bool read_instance(struct reading *reading, struct scan *scan) {
    struct scan_text text;
    if (scan_peek(scan) != SCAN_TEXT) {
        reading_fault_at(reading, OUTCOME_FAULT_INSTANCE, "/instance");
        return scan_skip(scan);
    }
    if (!scan_text(scan, &text)) return false;
    reading_instance(reading, text.slice);
    return true;
}

static bool read_batch(struct reading *reading, struct scan *scan) {
    struct scan_number number;
    if (scan_peek(scan) != SCAN_NUMBER) {
        reading_fault_at(reading, OUTCOME_FAULT_BATCH, "/batch");
        return scan_skip(scan);
    }
    if (!scan_number(scan, &number)) return false;
    reading_batch(reading, number);
    return true;
}

static bool read_items(struct reading *reading, struct scan *scan) {
    bool first = true, more;
    if (scan_peek(scan) != SCAN_ARRAY) {
        reading_fault_at(reading, OUTCOME_FAULT_TYPE, "/items");
        return scan_skip(scan);
    }
    if (!scan_open(scan, '[')) return false;
    while (scan_item(scan, &first, &more)) {
        if (!more) return true;
        if (!reading_item(reading, scan)) return false;
    }
    return false;
}

/* ---- one object ---- */

static const struct envelope {
    struct slice name;
    const char *at;
    bool (*read)(struct reading *reading, struct scan *scan);
} members[] = {
    {SLICE_LIT("instance"), "/instance", read_instance},
    {SLICE_LIT("batch"), "/batch", read_batch},
    {SLICE_LIT("items"), "/items", read_items},
};

static bool read_member(struct reading *reading, struct scan *scan, struct slice name, size_t known, unsigned *seen) {
    size_t i = 0;
    while (i < known && !slice_equal(members[i].name, name))
        i++;
    if (i == known) {
        char at[OUTCOME_TEXT_MAX + 2];
        snprintf(at, sizeof(at), "/%.*s", (int)(name.len < OUTCOME_TEXT_MAX ? name.len : OUTCOME_TEXT_MAX), name.ptr);
        reading_fault_at(reading, OUTCOME_FAULT_UNKNOWN_FIELD, at);
        return scan_skip(scan);
    }
    if (*seen & 1u << i) {
        reading_fault_at(reading, OUTCOME_FAULT_TWICE, members[i].at);
        return scan_skip(scan);
    }
    *seen |= 1u << i;
    return members[i].read(reading, scan);
}

/* An object of the first `known` members, all of which must be there. */
static bool read_envelope(struct reading *reading, struct scan *scan, size_t known) {
    struct scan_text key;
    unsigned seen = 0;
    bool first = true, more;
    if (!scan_open(scan, '{')) return false;
    while (scan_member(scan, &first, &more, &key)) {
        if (more && !read_member(reading, scan, key.slice, known, &seen)) return false;
        if (more) continue;
        for (size_t i = 0; i < known; i++)
            if (!(seen & 1u << i)) reading_fault_at(reading, OUTCOME_FAULT_MISSING, members[i].at);
        return true;
    }
    return false;
}

bool read_json(struct reading *reading, struct scan *scan) {
    return read_envelope(reading, scan, ARRAY_LEN(members)) && scan_end(scan);
}

/* ---- a line each ---- */

/* The line's end, over which no value may reach: a text with a raw newline is no JSON anyway, and white space ends there. */
static bool read_line(struct reading *reading, struct scan *scan, const char *end, bool head) {
    struct scan line = *scan;
    line.end = end;
    bool read = scan_peek(&line) == SCAN_NOTHING && line.p == end;
    if (!read) read = head ? read_envelope(reading, &line, 2) : reading_item(reading, &line);
    if (read && scan_end(&line)) return true;
    scan->what = line.what;
    scan->bad = line.bad;
    return false;
}

bool read_ndjson(struct reading *reading, struct scan *scan) {
    bool head = reading->source->instance == NULL;
    for (const char *next; scan->p < scan->end; scan->p = next) {
        const char *end = memchr(scan->p, '\n', (size_t)(scan->end - scan->p));
        if (!end) end = scan->end;
        next = end < scan->end ? end + 1 : end;
        reading->line++;
        if (!read_line(reading, scan, end, head)) return false;
        head = false;
    }
    reading->line = 0;
    return true;
}

/* ---- the whole ---- */

/* Names and what the key sees, for each place once. */
static void check_place(struct reading *reading, const struct outcome_place *place) {
    size_t count = reading->out->count;
    reading->out->count = place->item;
    if (!name_valid(place->agent)) reading_fault(reading, OUTCOME_FAULT_NAME, "agent");
    if (!name_valid(place->environment))
        reading_fault(reading, OUTCOME_FAULT_NAME, "environment");
    else if (reading->source->sees && !reading->source->sees(reading->source->ctx, place->environment))
        reading_fault(reading, OUTCOME_FAULT_ENVIRONMENT, "environment");
    reading->out->count = count;
}

static bool keep_text(struct arena *arena, struct slice *text) {
    const char *copy = arena_strndup(arena, text->len ? text->ptr : "", text->len);
    text->ptr = copy;
    return copy != NULL;
}

static int keep_places(struct reading *reading, struct err *err) {
    struct outcomes *out = reading->out;
    bool kept = true;
    for (size_t i = 0; i < reading->pack.place_count && kept; i++) {
        struct outcome_place *place = &out->places[i];
        *place = reading->pack.places[i];
        check_place(reading, place);
        kept = keep_text(&out->arena, &place->agent) && keep_text(&out->arena, &place->environment) &&
               keep_text(&out->arena, &place->rollout);
    }
    out->place_count = reading->pack.place_count;
    return kept ? 0 : err_no_memory(err);
}

static int refuse(const struct outcomes *out, struct err *err) {
    size_t faults = out->faults.errors;
    int r = err_set(err, ERR_INVALID, "%zu %s in a batch of %zu outcomes; none of it was taken", faults,
                    faults == 1 ? "fault" : "faults", out->count);
    if (out->faults.count) err_at(err, "%s", out->faults.items[0].at);
    return r;
}

static int finish(struct reading *reading, struct err *err) {
    struct outcomes *out = reading->out;
    bool traces = reading->source->form == OUTCOME_OTLP; /* exporters may have nothing of ours, or nothing at all */
    if (!out->count && !traces) reading_fault_at(reading, OUTCOME_FAULT_EMPTY, "/items");
    if (out->count > OUTCOME_ITEMS_MAX) reading_fault_at(reading, OUTCOME_FAULT_ITEMS, "/items");
    int r = keep_places(reading, err);
    if (r < 0) return r;
    if (out->packed.failed || out->faults.failed) return err_no_memory(err);
    return out->faults.errors ? refuse(out, err) : 0;
}

int outcomes_read(const struct outcome_source *source, struct outcomes *ret, struct err *err) {
    static bool (*const forms[])(struct reading *, struct scan *) = {read_json, read_ndjson, read_otlp};
    struct reading reading = {.source = source, .out = ret, .minute_at = -1};
    struct scan scan;
    reading.list = source->form == OUTCOME_OTLP ? "/spans" : "/items";
    ret->packed = STR_INIT;
    ret->arena = ARENA_INIT;
    ret->faults = FAULTS_INIT;
    memset(ret->fault_counts, 0, sizeof(ret->fault_counts));
    ret->count = ret->passed_over = ret->place_count = 0;
    ret->batch = source->batch;
    ret->instance[0] = '\0';
    str_reserve(&ret->packed, source->body.len / 4);
    if (source->instance) {
        reading_instance(&reading, slice_of(source->instance));
        reading_batch(&reading, (struct scan_number){.whole = true, .integer = source->batch});
    }
    if (!scan_begin(&scan, source->body) || !forms[source->form](&reading, &scan)) return scan_error(&scan, err);
    return finish(&reading, err);
}

/* ---- gzip ---- */

static int inflate_all(z_stream *stream, size_t limit, struct str *out, struct err *err) {
    int z = Z_OK;
    while (z == Z_OK) {
        str_reserve(out, GUNZIP_STEP);
        if (out->failed) return err_no_memory(err);
        stream->next_out = (Bytef *)out->data + out->len;
        stream->avail_out = (uInt)(out->capacity - out->len - 1);
        uInt room = stream->avail_out;
        z = inflate(stream, Z_NO_FLUSH);
        out->len += room - stream->avail_out;
        if (out->len > limit) return err_set(err, ERR_TOO_LARGE, "the body expands to more than %zu bytes", limit);
        if (z == Z_BUF_ERROR && stream->avail_in == 0) break;
    }
    if (z == Z_MEM_ERROR) return err_no_memory(err);
    if (z != Z_STREAM_END || stream->avail_in)
        return err_set(err, ERR_BAD_REQUEST, "the body is no gzip, is cut, or goes on behind its end");
    out->data[out->len] = '\0';
    return 0;
}

int outcome_gunzip(struct slice body, size_t limit, struct str *out, struct err *err) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)body.ptr, .avail_in = (uInt)body.len};
    if (body.len > UINT32_MAX) return err_set(err, ERR_TOO_LARGE, "the body is too large");
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK) return err_no_memory(err);
    int r = inflate_all(&stream, limit, out, err);
    inflateEnd(&stream);
    return r;
}
