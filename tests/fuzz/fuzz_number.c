/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the canonical form (RFC 8785): each eight bytes are a double. Its text is the shortest that reads back as the same
 * double, it stays as it is when it is read and written again, and its form is ECMAScript's.
 */
#include "base/json.h"
#include "fuzz.h"

#include <math.h>
#include <string.h>

static void check_form(const char *text) {
    const char *digits = text + (*text == '-');
    size_t whole = strspn(digits, "0123456789");
    FUZZ_MUST(whole >= 1 && (digits[0] != '0' || whole == 1));
    const char *end = digits + whole;
    if (*end == '.') {
        size_t fraction = strspn(end + 1, "0123456789");
        FUZZ_MUST(fraction >= 1 && end[fraction] != '0');
        end += 1 + fraction;
    }
    if (*end == 'e') {
        FUZZ_MUST(whole == 1 && (end[1] == '+' || end[1] == '-') && end[2] != '0');
        end += 2 + strspn(end + 2, "0123456789");
    }
    FUZZ_MUST(*end == '\0' && end - text <= 25);
}

/* No text with one digit less reads back as the same double. */
static void check_shortest(const char *text, double value) {
    char shorter[64];
    int digits = 0;
    for (const char *p = text; *p && *p != 'e'; p++)
        digits += *p >= '1' || (*p == '0' && digits > 0);
    const char *end = strchr(text, 'e');
    if (!end && !strchr(text, '.'))
        for (const char *p = text + strlen(text); p > text && p[-1] == '0'; p--)
            digits--;
    if (digits < 2) return;
    (void)snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, value);
    FUZZ_MUST(strtod(shorter, NULL) != value);
}

static void check(double value) {
    _cleanup_(str_deinit) struct str text = STR_INIT, again = STR_INIT;
    _cleanup_(json_decrefp) json_t *read = NULL;
    struct err err = ERR_INIT;
    if (!isfinite(value)) return;
    json_add_double(&text, value);
    FUZZ_MUST(text.data && strtod(text.data, NULL) == value);
    check_form(text.data);
    check_shortest(text.data, value);
    if (json_parse(text.data, text.len, 1, &read, &err) < 0 || json_canonical(read, &again, &err) < 0) {
        FUZZ_MUST(fabs(value) > 9007199254740991.0); /* a whole number that RFC 8785 cannot hold */
        return;
    }
    FUZZ_MUST(strcmp(text.data, again.data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (; size >= sizeof(double); data += sizeof(double), size -= sizeof(double)) {
        double value;
        memcpy(&value, data, sizeof(value));
        check(value);
    }
    return 0;
}
