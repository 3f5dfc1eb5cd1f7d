/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_impl.h"

#include <stdio.h>
#include <string.h>

#define SHOW_KEPT 60

static size_t sequence_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xe0) return 2;
    return lead < 0xf0 ? 3 : 4;
}

const char *show_slice(struct slice text, char ret[SHOW_SIZE]) {
    bool valid = utf8_valid(text.ptr, text.len);
    size_t out = 0, in = 0;

    if (secret_kind(text)) text = SLICE_LIT("(a secret, not shown)");
    while (in < text.len) {
        unsigned char c = (unsigned char)text.ptr[in];
        bool plain = c >= 0x20 && c != 0x7f && (c < 0x80 || valid);
        size_t take = plain ? sequence_length(c) : 1;
        if (out + (plain ? take : 4) > SHOW_KEPT) break;
        if (plain) {
            memcpy(ret + out, text.ptr + in, take);
            out += take;
        } else {
            out += (size_t)snprintf(ret + out, 5, "\\x%02x", c);
        }
        in += take;
    }
    snprintf(ret + out, SHOW_SIZE - out, "%s", in < text.len ? "…" : "");
    return ret;
}

const char *show_text(const char *text, char ret[SHOW_SIZE]) {
    return show_slice(slice_of(text), ret);
}
