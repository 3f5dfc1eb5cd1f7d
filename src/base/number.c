/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Number::toString of ECMAScript (ECMA-262 section 6.1.6.1.20), which RFC 8785 takes over: the fewest
 * digits that read back as the same double, of several such the nearest, then a layout that depends on
 * the exponent only.
 *
 * The C library rounds correctly, so printing with k digits gives the k-digit decimal nearest to the
 * value; the first k whose decimal reads back is the answer. One case needs more care: below a power of
 * two the doubles lie twice as close as above it, so the nearest k-digit decimal may lie below and read
 * back as another double while the next one up, further away, reads back right (2^-44).
 *
 * Only digits are taken from what snprintf writes: whatever the locale puts between them, including the
 * decimal point, is passed over, and strtod reads the same locale's text.
 */
#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 17  /* enough for every double */
#define DIGITS_SURE 15 /* every normal double with so few digits prints as them, zeros following */
#define INTEGER_SURE 0x1p53

struct decimal {
    char digits[DIGITS_MAX + 1];
    int count;
    int point; /* the value is 0.DIGITS × 10^point */
};

/* Reads "d.ddde±x" as snprintf made it. */
static void decimal_from_text(const char *text, struct decimal *ret) {
    *ret = (struct decimal){.digits = "0"};
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && ret->count < DIGITS_MAX) ret->digits[ret->count++] = *p;
    ret->point = *p ? (int)strtol(p + 1, NULL, 10) + 1 : 1;
}

/* One more in the last place of the mantissa of `text`; false when it is all nines. */
static bool text_increment(char *text) {
    char *end = strchr(text, 'e');
    for (char *p = end; p && p-- > text;) {
        if (*p < '0' || *p > '9') continue;
        if (*p != '9') {
            (*p)++;
            return true;
        }
        *p = '0';
    }
    return false;
}

static void shortest(double value, struct decimal *ret) {
    char text[64];
    int exponent;
    bool narrow_below = frexp(value, &exponent) == 0.5;
    for (int count = value < DBL_MIN ? 1 : DIGITS_SURE; count <= DIGITS_MAX; count++) {
        snprintf(text, sizeof(text), "%.*e", count - 1, value);
        if (strtod(text, NULL) == value) break;
        if (narrow_below && text_increment(text) && strtod(text, NULL) == value) break;
    }
    decimal_from_text(text, ret);
    while (ret->count > 1 && ret->digits[ret->count - 1] == '0')
        ret->count--;
}

static void add_zeros(struct str *out, int count) {
    for (int i = 0; i < count; i++)
        str_add_char(out, '0');
}

static void add_exponent_form(struct str *out, const struct decimal *decimal) {
    int exponent = decimal->point - 1;
    str_add_char(out, decimal->digits[0]);
    if (decimal->count > 1) {
        str_add_char(out, '.');
        str_add(out, decimal->digits + 1, (size_t)decimal->count - 1);
    }
    str_add_char(out, 'e');
    if (exponent > 0) str_add_char(out, '+');
    str_add_int(out, exponent);
}

static void add_decimal(struct str *out, const struct decimal *decimal) {
    int count = decimal->count, point = decimal->point;
    if (point > 21 || point <= -6) {
        add_exponent_form(out, decimal);
        return;
    }
    if (point <= 0) {
        str_add_text(out, "0.");
        add_zeros(out, -point);
        str_add(out, decimal->digits, (size_t)count);
        return;
    }
    int whole = point < count ? point : count;
    str_add(out, decimal->digits, (size_t)whole);
    add_zeros(out, point - whole);
    if (whole == count) return;
    str_add_char(out, '.');
    str_add(out, decimal->digits + whole, (size_t)(count - whole));
}

void json_add_double(struct str *out, double value) {
    if (fabs(value) <= INTEGER_SURE && value == trunc(value)) {
        str_add_int(out, (int64_t)value);
        return;
    }
    struct decimal decimal;
    if (value < 0) str_add_char(out, '-');
    shortest(fabs(value), &decimal);
    add_decimal(out, &decimal);
}
