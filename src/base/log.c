/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is put together in memory and leaves in one write(2), which keeps the lines of several threads
 * and processes whole. What comes from outside (names, messages of errors) cannot break out of its line
 * or steer the terminal: control characters are escaped in both forms, and bytes that are not UTF-8 are
 * replaced.
 */
#include "base/log.h"

#include "base/jw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */
#define SECONDS_LEN 19             /* "2026-11-23T14:05:00" */

struct event_row {
    const char *name, *meaning, *advice;
    enum log_level level;
};

static const struct event_row events[LOG_EVENT_COUNT_] = {
#define LOG_EVENT(id, name_, level_, meaning_, advice_) [LOG_##id] = {name_, meaning_, advice_, level_},
#include "base/log.def"
#undef LOG_EVENT
};

struct level_row {
    const char *name, *label, *colour;
};

static const struct level_row levels[] = {
    [LOG_DEBUG] = {"debug", "DEBUG", "\033[2m"},
    [LOG_INFO] = {"info", "INFO ", "\033[32m"},
    [LOG_WARN] = {"warn", "WARN ", "\033[33m"},
    [LOG_ERROR] = {"error", "ERROR", "\033[31m"},
};

const char *log_event_name(enum log_event event) {
    return events[event].name;
}

const char *log_event_meaning(enum log_event event) {
    return events[event].meaning;
}

const char *log_event_advice(enum log_event event) {
    return events[event].advice;
}

enum log_level log_event_level(enum log_event event) {
    return events[event].level;
}

bool log_level_from_text(const char *text, enum log_level *ret) {
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (strcmp(text, levels[i].name) != 0) continue;
        *ret = (enum log_level)i;
        return true;
    }
    return false;
}

static void add_valid(struct str *out, const char *text) {
    size_t len = strlen(text), bad;
    while (!utf8_check(text, len, &bad)) {
        str_add(out, text, bad);
        str_add_text(out, REPLACEMENT);
        text += bad + 1;
        len -= bad + 1;
    }
    str_add(out, text, len);
}

/* U+0080…U+009F (C2 80…9F) steer a terminal like the controls below U+0020 do. */
static size_t control_at(const char *p) {
    unsigned char c = (unsigned char)p[0], next = c ? (unsigned char)p[1] : 0;
    if (c < 0x20 || c == 0x7F) return 1;
    return c == 0xC2 && next >= 0x80 && next <= 0x9F ? 2 : 0;
}

static void add_shown(struct str *out, struct slice text) {
    for (size_t i = 0; i < text.len;) {
        size_t size = control_at(text.ptr + i);
        if (size)
            str_printf(out, "\\x%02x", (unsigned char)text.ptr[i + size - 1]);
        else
            str_add_char(out, text.ptr[i]);
        i += size ? size : 1;
    }
}

static bool wants_quotes(struct slice text) {
    if (text.len == 0) return true;
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \"'=\\", text.ptr[i]) || control_at(text.ptr + i)) return true;
    return false;
}

static void add_person_field(struct str *out, const char *name, struct slice value) {
    str_add_char(out, ' ');
    str_add_text(out, name);
    str_add_char(out, '=');
    if (!wants_quotes(value)) {
        str_add_slice(out, value);
        return;
    }
    str_add_char(out, '"');
    for (size_t i = 0, start = 0; i <= value.len; i++) {
        bool end = i == value.len, escape = !end && (value.ptr[i] == '"' || value.ptr[i] == '\\');
        if (!end && !escape) continue;
        add_shown(out, (struct slice){value.ptr + start, i - start});
        if (escape) str_add_char(out, '\\');
        start = i;
        if (escape) {
            str_add_char(out, value.ptr[i]);
            start = i + 1;
        }
    }
    str_add_char(out, '"');
}

struct line {
    const struct log *log;
    struct str out, scratch;
    struct jw jw;
};

/* The text as well-formed UTF-8; lives until the next call. */
static struct slice line_valid(struct line *line, const char *text) {
    str_clear(&line->scratch);
    add_valid(&line->scratch, text);
    if (line->scratch.failed) line->out.failed = true;
    return str_slice(&line->scratch);
}

static void line_field(struct line *line, const char *name, const char *value) {
    struct slice valid = line_valid(line, value);
    if (line->log->json)
        jw_slice(&line->jw, name, valid);
    else
        add_person_field(&line->out, name, valid);
}

static void line_begin(struct line *line, enum log_event event, const char *message) {
    const struct log *log = line->log;
    const struct level_row *level = &levels[log_event_level(event)];
    char at[CLOCK_TEXT_SIZE];
    clock_text(clock_wall(log->clock ? log->clock : &clock_system), at);
    if (log->json) {
        line->jw = JW_INIT(&line->out);
        jw_object(&line->jw, NULL);
        jw_text(&line->jw, "time", at);
        jw_text(&line->jw, "level", level->name);
        jw_text(&line->jw, "event", log_event_name(event));
        line_field(line, "message", message);
        return;
    }
    str_add(&line->out, at, SECONDS_LEN);
    str_add_text(&line->out, "Z ");
    if (log->colour) str_add_text(&line->out, level->colour);
    str_add_text(&line->out, level->label);
    if (log->colour) str_add_text(&line->out, "\033[0m");
    str_add_char(&line->out, ' ');
    add_shown(&line->out, line_valid(line, message));
}

/* A log that cannot be written has nobody to be told. */
static void write_all(int fd, struct slice bytes) {
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
}

static void line_end(struct line *line) {
    if (line->log->json) jw_end_object(&line->jw);
    str_add_char(&line->out, '\n');
    struct slice lost = line->log->json
                            ? SLICE_LIT("{\"level\":\"error\",\"message\":\"log line lost: out of memory\"}\n")
                            : SLICE_LIT("ERROR log line lost: out of memory\n");
    write_all(line->log->fd, line->out.failed ? lost : str_slice(&line->out));
    str_deinit(&line->out);
    str_deinit(&line->scratch);
}

static bool wanted(const struct log *log, enum log_event event) {
    return log && log_event_level(event) >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void log_write(const struct log *log, enum log_event event, const char *message, ...) {
    if (!wanted(log, event)) return;
    struct line line = {.log = log};
    line_begin(&line, event, message);
    va_list fields;
    va_start(fields, message);
    const char *name;
    while ((name = va_arg(fields, const char *))) {
        const char *value = va_arg(fields, const char *);
        line_field(&line, name, value ? value : "");
    }
    va_end(fields);
    line_end(&line);
}

static void line_number(struct line *line, const char *name, unsigned value) {
    char digits[16];
    snprintf(digits, sizeof(digits), "%u", value);
    line_field(line, name, digits);
}

void log_err(const struct log *log, enum log_event event, const struct err *err) {
    if (!wanted(log, event)) return;
    struct line line = {.log = log};
    line_begin(&line, event, err->message);
    line_field(&line, "code", err_name(err->code));
    if (err->at[0]) line_field(&line, "at", err->at);
    if (err->line) line_number(&line, "line", err->line);
    if (err->column) line_number(&line, "column", err->column);
    line_field(&line, "remedy", err_remedy_text(err));
    line_end(&line);
}
