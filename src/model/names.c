/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are what people type, what URLs hold and what files are called, so they are the small common ground of
 * all three (a DNS label). An environment may have a name of digits; behind the @ digits always mean a number,
 * and "latest" the newest version, so that a way of writing never changes its meaning with what exists.
 */
#include "model/names.h"

#include "base/str.h"
#include "model/model_impl.h"

#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-';
}

/* What is wrong with a name, or NULL. */
static const char *name_fault(struct slice name) {
    if (name.len == 0) return "is empty";
    if (name.len > NAME_MAX_LEN) return "is longer than 63 characters";
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i])) return "has a character other than a-z, 0-9 and hyphen";
    }
    if (name.ptr[0] == '-') return "begins with a hyphen";
    if (name.ptr[name.len - 1] == '-') return "ends with a hyphen";
    return NULL;
}

bool name_valid(struct slice name) {
    return name_fault(name) == NULL;
}

static int check_slice(const char *what, struct slice name, const char *at, struct err *err) {
    char shown[SHOW_SIZE];
    const char *fault = name_fault(name);
    int r;

    if (!fault) return 0;
    r = name.len == 0 ? err_set(err, ERR_INVALID, "%s name %s", what, fault)
                      : err_set(err, ERR_INVALID, "%s name \"%s\" %s", what, show_slice(name, shown), fault);
    err_at(err, "%s", at);
    err_remedy(err, "Use 1 to 63 of a-z, 0-9 and hyphens, beginning and ending with a letter or digit");
    return r;
}

int name_check(const char *what, const char *name, const char *at, struct err *err) {
    return check_slice(what, slice_of(name), at, err);
}

static bool all_digits(const char *text) {
    if (*text == '\0') return false;
    while (is_digit(*text)) {
        text++;
    }
    return *text == '\0';
}

static int refuse(const char *text, const char *why, struct err *err) {
    char shown[SHOW_SIZE];
    int r = err_set(err, ERR_BAD_REQUEST, "version \"%s\" %s", show_text(text, shown), why);
    err_remedy(err, "Write a number (42), latest, an environment's name, or sha256: with 8 to 64 hex digits");
    return r;
}

static int parse_number(const char *text, struct version_ref *ret, struct err *err) {
    if (!text_to_int(text, 1, INT64_MAX, &ret->number)) return refuse(text, "is no version number", err);
    ret->kind = VERSION_REF_NUMBER;
    return 0;
}

static int parse_hash(const char *text, const char *digits, struct version_ref *ret, struct err *err) {
    size_t len = strlen(digits);

    if (len < 8) return refuse(text, "has fewer than 8 digits of the hash", err);
    if (len > 64) return refuse(text, "has more than the 64 digits of a hash", err);
    if (strspn(digits, "0123456789abcdef") != len) {
        return refuse(text, "has a character that is no lower-case hex digit", err);
    }
    memcpy(ret->hash, digits, len + 1);
    ret->kind = VERSION_REF_HASH;
    return 0;
}

int version_ref_parse(const char *text, struct version_ref *ret, struct err *err) {
    static const char prefix[] = "sha256:";
    struct version_ref ref = {0};
    int r = 0;

    if (all_digits(text)) {
        r = parse_number(text, &ref, err);
    } else if (strcmp(text, "latest") == 0) {
        ref.kind = VERSION_REF_LATEST;
    } else if (strncmp(text, prefix, sizeof(prefix) - 1) == 0) {
        r = parse_hash(text, text + sizeof(prefix) - 1, &ref, err);
    } else if (name_valid(slice_of(text))) {
        ref.kind = VERSION_REF_ENVIRONMENT;
        memcpy(ref.environment, text, strlen(text) + 1);
    } else {
        r = refuse(text, "is none of the ways to write a version", err);
    }
    if (r < 0) return r;
    *ret = ref;
    return 0;
}

int version_spec_parse(const char *text, char ret_agent[NAME_MAX_LEN + 1], struct version_ref *ret, bool *ret_explicit,
                       struct err *err) {
    const char *mark = strchr(text, '@');
    struct slice agent = {text, mark ? (size_t)(mark - text) : strlen(text)};
    struct version_ref ref = {.kind = VERSION_REF_LATEST};
    int r;

    r = check_slice("agent", agent, "agent", err);
    if (r < 0) return r;
    if (mark) {
        r = version_ref_parse(mark + 1, &ref, err);
        if (r < 0) return r;
    }
    memcpy(ret_agent, agent.ptr, agent.len);
    ret_agent[agent.len] = '\0';
    *ret = ref;
    *ret_explicit = mark != NULL;
    return 0;
}
