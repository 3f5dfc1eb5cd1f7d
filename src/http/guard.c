/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard against requests that two readers can understand in two ways (request smuggling). libmicrohttpd 0.9.75 takes two
 * Content-Lengths, Content-Length beside Transfer-Encoding, line ends without CR, and bytes behind a NUL, which it loses; a
 * folded line it glues to the header's *name*.
 *
 * It parses in place: a request line "GET /x HTTP/1.1 CR LF" becomes three strings, and a header "Name: value CR LF" two, each
 * followed by the zeros that took the place of the separators. So the strings of a sound request lie behind one another without a
 * gap, and everything that was lost, glued, moved or ended otherwise than by CR LF leaves a gap or an overlap. The guard walks the
 * headers in order and compares each address with the one it must have; no copy of the head is needed.
 *
 * One form passes that should not: a NUL right before a line end without CR ("value NUL LF") leaves the same zeros as CR LF.
 * The value that is seen is then the value that was sent, less the NUL.
 */
#include "http/http_impl.h"

#include <string.h>
#include <strings.h>

#define LINE_END 2 /* CR LF */
#define VERSION_LEN 8

struct guard {
    struct headers_kept *kept;
    const char *first;
    const char *next; /* where the next line must begin */
    uint64_t marks;
    size_t count, hosts, lengths, encodings;
    const char *length, *encoding;
    const char *fault, *at;
};

static bool is_token(const char *text, size_t len) {
    static const bool token[256] = {
        ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
        ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
        ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    };
    for (size_t i = 0; i < len; i++)
        if (!token[(unsigned char)text[i]]) return false;
    return len > 0;
}

static bool is_control(unsigned char c) {
    return (c < ' ' && c != '\t') || c == 0x7f;
}

/* Eight bytes at once: whether one of them may be a control byte. Never wrong about there being none: a borrow reaches a byte only from
 * one below it that is a control byte itself. */
static bool may_have_control(uint64_t bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t deleted = bytes ^ ones * 0x7f;
    return (((bytes - ones * ' ') & ~bytes) | ((deleted - ones) & ~deleted)) & tops;
}

static bool is_value(const char *text, size_t len) {
    size_t i = 0;
    for (uint64_t bytes; len - i >= sizeof(bytes); i += sizeof(bytes)) {
        memcpy(&bytes, text + i, sizeof(bytes));
        if (!may_have_control(bytes)) continue;
        for (size_t k = 0; k < sizeof(bytes); k++)
            if (is_control((unsigned char)text[i + k])) return false;
    }
    for (; i < len; i++)
        if (is_control((unsigned char)text[i])) return false;
    return true;
}

static enum MHD_Result fault(struct guard *guard, const char *at, const char *what) {
    guard->at = at;
    guard->fault = what;
    return MHD_NO;
}

static void note_header(struct guard *guard, const char *name, size_t len, const char *value) {
    if (len == 4 && strcasecmp(name, "Host") == 0) guard->hosts++;
    if (len == 14 && strcasecmp(name, "Content-Length") == 0) {
        guard->lengths++;
        guard->length = value;
    }
    if (len == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
        guard->encodings++;
        guard->encoding = value;
    }
}

/* Past HEADERS_KEPT nothing is remembered, and the distances mean nothing. */
static void note_field(struct guard *guard, const char *name, size_t name_len, const char *value, size_t value_len) {
    if (guard->count < FIELDS_KEPT)
        guard->kept->fields[guard->count] = (struct header_field){
            .name = (uint16_t)(name - guard->first),
            .name_len = (uint16_t)name_len,
            .value = (uint16_t)(value - guard->first),
            .value_len = (uint16_t)value_len,
        };
    guard->count++;
}

static enum MHD_Result guard_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                    const char *value, size_t value_len) {
    struct guard *guard = ctx;
    if (name != guard->next || !value || value < name + name_len + 1)
        return fault(guard, "headers", "are folded, have a NUL in them, or do not end in CR LF");
    if (!is_token(name, name_len)) return fault(guard, "headers", "have a name with a byte that may not stand there");
    if (!is_value(value, value_len)) return fault(guard, name, "has a control byte in its value");
    for (const char *space = name + name_len + 1; space < value; space++)
        if (*space != ' ' && *space != '\t') return fault(guard, name, "is malformed");
    guard->marks |= header_mark(name, name_len);
    guard->next = value + value_len + LINE_END;
    note_field(guard, name, name_len, value, value_len);
    note_header(guard, name, name_len, value);
    return MHD_YES;
}

static int refuse_head(struct err *err, const char *at, const char *what) {
    int r = err_set(err, ERR_BAD_REQUEST, "%s %s", at, what);
    err_at(err, "%s", at);
    return r;
}

/* "GET", its space, the target, its space, "HTTP/1.1": nothing skipped, nothing behind a NUL. */
static int guard_request_line(const struct http_request *request, const char *version, struct err *err) {
    const char *method = request->method;
    size_t len = strlen(method);
    if (!is_token(method, len) || method + len + 1 != request->raw_target ||
        request->raw_target + request->target_len + 1 != version)
        return refuse_head(err, "request line", "is malformed");
    if (version[7] != '1' && version[7] != '0') /* libmicrohttpd has seen to "HTTP/1." and to the length */
        return refuse_head(err, "request line", "asks for a version other than HTTP/1.1 and HTTP/1.0");
    return 0;
}

static int guard_framing(struct http_request *request, const struct guard *guard, bool http_1_1, struct err *err) {
    if (guard->hosts > 1) return refuse_head(err, "Host", "stands there twice");
    if (guard->hosts == 0 && http_1_1) return refuse_head(err, "Host", "is missing");
    if (guard->lengths > 1) return refuse_head(err, "Content-Length", "stands there twice");
    if (guard->encodings == 0) return 0;
    if (guard->lengths > 0) return refuse_head(err, "Content-Length", "stands beside Transfer-Encoding");
    if (guard->encodings > 1 || strcasecmp(guard->encoding, "chunked") != 0)
        return refuse_head(err, "Transfer-Encoding", "is not just \"chunked\"");
    if (!http_1_1) return refuse_head(err, "Transfer-Encoding", "stands in a request of HTTP/1.0");
    request->chunked = true;
    return 0;
}

/* libmicrohttpd has refused a length that is no number or does not fit 64 bits. */
static int guard_length(const struct http_request *request, const struct guard *guard, struct err *err) {
    size_t limit = request->connection->server->options.body_limit;
    int64_t length;
    if (!guard->length) return 0;
    if (text_to_int(guard->length, 0, INT64_MAX, &length) && (uint64_t)length <= limit) return 0;
    int r = err_set(err, ERR_TOO_LARGE, "the body is larger than %zu bytes", limit);
    err_at(err, "Content-Length");
    return r;
}

/* What the head leaves free must hold the head of the answer, or libmicrohttpd closes the connection without one. */
static int guard_head_size(const struct http_request *request, size_t size, size_t headers, struct err *err) {
    size_t limit = request->connection->server->options.header_limit;
    if (headers <= HEADERS_COUNT_MAX && size + headers * HEADER_RECORD + ANSWER_HEAD_RESERVE <= limit) return 0;
    int r = err_set(err, ERR_HEADERS_TOO_LARGE,
                    "the request line and the headers take too much of the %zu bytes set aside for them", limit);
    err_at(err, "headers");
    return r;
}

/* ---- headers that were seen before ---- */

struct again {
    const char *first;
    const struct header_field *field;
    size_t left;
};

static enum MHD_Result compare_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                      const char *value, size_t value_len) {
    struct again *again = ctx;
    const struct header_field *field = again->field;
    bool same = again->left > 0 && name == again->first + field->name && name_len == field->name_len &&
                value == again->first + field->value && value_len == field->value_len;
    again->field += same;
    again->left = same ? again->left - 1 : SIZE_MAX;
    return same ? MHD_YES : MHD_NO;
}

/* The places count as much as the bytes do: the zeros of a NUL that was sent look like those of a line end. */
static bool headers_again(const struct http_request *request, const char *first, size_t len) {
    const struct headers_kept *kept = &request->headers;
    if (len == 0 || kept->len != len || !secret_equal(kept->bytes, first, len)) return false;
    struct again again = {.first = first, .field = kept->fields, .left = kept->count};
    (void)MHD_get_connection_values_n(request->connection->mhd, MHD_HEADER_KIND, compare_header, &again);
    return again.left == 0;
}

static int guard_headers(struct http_request *request, struct guard *guard, const char *end, struct err *err) {
    struct headers_kept *kept = &request->headers;
    kept->len = 0;
    (void)MHD_get_connection_values_n(request->connection->mhd, MHD_HEADER_KIND, guard_header, guard);
    kept->marks = guard->marks;
    kept->count = guard->count;
    if (guard->fault) return refuse_head(err, guard->at, guard->fault);
    if (guard->next + LINE_END != end)
        return refuse_head(err, "headers", "are folded, have a NUL in them, or do not end in CR LF");
    return 0;
}

static bool headers_fit(const struct guard *guard, size_t len) {
    return len <= HEADERS_KEPT && guard->count <= FIELDS_KEPT;
}

/* Only headers that are sound in whichever version the next request has. */
static void headers_keep(struct headers_kept *kept, const struct guard *guard, size_t len) {
    if (!headers_fit(guard, len) || guard->hosts != 1 || guard->encodings > 0) return;
    memcpy(kept->bytes, guard->first, len);
    kept->len = len;
}

int guard_request(struct http_request *request, const char *version, struct err *err) {
    int r = guard_request_line(request, version, err);
    if (r < 0) return r;

    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *first = version + VERSION_LEN + LINE_END;
    size_t size = info ? info->header_size : 0, line = (size_t)(first - request->method);
    size_t len = size > line ? size - line : 0;
    bool again = headers_again(request, first, len);
    struct guard guard = {.kept = &request->headers, .first = first, .next = first};
    r = again ? 0 : guard_headers(request, &guard, request->method + size, err);
    if (r < 0) return r;
    if (again || headers_fit(&guard, len)) request->first_header = first;
    r = guard_head_size(request, size, request->headers.count, err);
    if (r < 0) return r;
    r = again ? 0 : guard_framing(request, &guard, version[7] == '1', err);
    if (r < 0) return r;
    r = target_read(request, err);
    if (r < 0 || again) return r;
    r = guard_length(request, &guard, err);
    if (r == 0) headers_keep(&request->headers, &guard, len);
    return r;
}
