/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request target: path and query. Only origin form is taken ("/path?query"): this server is no proxy, and two readers of
 * an absolute target can disagree about the host. What decodes to NUL is refused because everything behind it would be lost
 * in C strings; what is not UTF-8 is refused because no name in here is anything else.
 */
#include "http/http_impl.h"

#include <string.h>

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int refuse_target(struct err *err, enum err_code code, const char *what) {
    int r = err_set(err, code, "the request target %s", what);
    err_at(err, "request line");
    return r;
}

struct target_scan {
    size_t query;    /* where the query begins; the length when there is none */
    bool path_coded; /* has bytes to decode or to check */
    bool query_coded;
    size_t arguments;
};

static int scan_escape(const char *text, size_t left, struct err *err) {
    int high = left > 2 ? hex_value(text[1]) : -1, low = left > 2 ? hex_value(text[2]) : -1;
    if (high < 0 || low < 0) return refuse_target(err, ERR_BAD_REQUEST, "has a % without two hexadecimal digits");
    if (high == 0 && low == 0) return refuse_target(err, ERR_BAD_REQUEST, "has %00 in it");
    return 0;
}

enum target_byte { PLAIN, REFUSED, ESCAPE, QUESTION, AND, PLUS, NOT_ASCII };

/* Most bytes are plain, and one look-up says so. */
static const uint8_t target_bytes[256] = {
    [0 ... ' '] = REFUSED, [0x7f] = REFUSED, ['#'] = REFUSED, ['%'] = ESCAPE,
    ['?'] = QUESTION,      ['&'] = AND,      ['+'] = PLUS,    [0x80 ... 0xff] = NOT_ASCII,
};

static int target_scan(const char *text, size_t len, struct target_scan *ret, struct err *err) {
    bool in_query = false;
    ret->query = len;
    for (size_t i = 0;; i++) {
        enum target_byte byte;
        while ((byte = target_bytes[(unsigned char)text[i]]) == PLAIN)
            i++;
        if (i >= len) break; /* the NUL at the end is not plain */
        if (byte == REFUSED)
            return refuse_target(err, ERR_BAD_REQUEST, "has a space, a control byte or a fragment in it");
        if (byte == ESCAPE) {
            int r = scan_escape(text + i, len - i, err);
            if (r < 0) return r;
        }
        if (byte == QUESTION && !in_query) {
            ret->query = i + 1;
            ret->arguments = 1;
            in_query = true;
        }
        if (byte == AND && in_query) ret->arguments++;
        bool coded = byte == ESCAPE || byte == NOT_ASCII;
        ret->path_coded |= coded && !in_query;
        ret->query_coded |= (coded || byte == PLUS) && in_query;
    }
    return 0;
}

size_t target_decode(char *text, size_t len, bool form) {
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            c = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else if (form && c == '+') {
            c = ' ';
        }
        text[out++] = c;
    }
    text[out] = '\0';
    return out;
}

int target_read(struct http_request *request, struct err *err) {
    if (request->target_known) return 0;
    char *text = request->target;
    size_t len = request->target_len;
    if (text[0] != '/') return refuse_target(err, ERR_BAD_REQUEST, "does not begin with /");

    struct target_scan scan = {0};
    int r = target_scan(text, len, &scan, err);
    if (r < 0) return r;
    size_t path_len = len;
    if (scan.arguments > 0) {
        path_len = scan.query - 1;
        text[path_len] = '\0';
        request->query = text + scan.query;
    }
    if (scan.path_coded) {
        path_len = target_decode(text, path_len, false);
        if (!utf8_valid(text, path_len)) return refuse_target(err, ERR_INVALID_UTF8, "has a path that is not UTF-8");
    }
    if (scan.arguments > ARGUMENTS_MAX) return refuse_target(err, ERR_BAD_REQUEST, "has too many query arguments");
    request->query_coded = scan.query_coded;
    if (scan.query_coded || scan.arguments > ARGUMENTS_INLINE) {
        r = request_split_query(request, err);
        if (r < 0) return r;
    }
    request->target_known = text == request->target_inline && scan.arguments <= ARGUMENTS_INLINE;
    return 0;
}
