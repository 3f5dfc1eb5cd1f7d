/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nouns' few behaviours: positions and the names of their enumerations. The records themselves are plain
 * data; whoever reads them (store, operations, snapshot) owns their rules.
 */
#include "model/nouns.h"

#include "base/str.h"

#include <string.h>

void position_text(struct position position, char ret[POSITION_TEXT_SIZE]) {
    char *at = text_from_int(ret, position.epoch);
    *at++ = '.';
    *text_from_int(at, position.seq) = '\0';
}

/* One spelling only: a cursor, an ETag and an audit entry compare positions as text. */
static bool whole_number(const char *text, int64_t *ret) {
    if (text[0] == '0' && text[1] != '\0') return false;
    return text_to_int(text, 0, INT64_MAX, ret);
}

bool position_from_text(const char *text, struct position *ret) {
    char epoch[POSITION_TEXT_SIZE];
    const char *dot = strchr(text, '.');
    struct position position;

    if (!dot || (size_t)(dot - text) >= sizeof(epoch)) return false;
    memcpy(epoch, text, (size_t)(dot - text));
    epoch[dot - text] = '\0';
    if (!whole_number(epoch, &position.epoch) || !whole_number(dot + 1, &position.seq)) return false;
    *ret = position;
    return true;
}

int position_compare(struct position a, struct position b) {
    if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
    if (a.seq != b.seq) return a.seq < b.seq ? -1 : 1;
    return 0;
}

static bool find_name(const char *const *names, size_t count, const char *text, size_t *ret) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], text) != 0) continue;
        *ret = i;
        return true;
    }
    return false;
}

static const char *const role_names[] = {
    [ROLE_NONE] = "none",     [ROLE_RESOLVE] = "resolve",   [ROLE_VIEWER] = "viewer",
    [ROLE_EDITOR] = "editor", [ROLE_RELEASER] = "releaser", [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role) {
    return role_names[role];
}

/* "none" is the absence of a role, so nobody can be given it by name. */
bool role_from_text(const char *text, enum role *ret) {
    size_t found;
    if (!find_name(role_names, ARRAY_LEN(role_names), text, &found) || found == ROLE_NONE) return false;
    *ret = (enum role)found;
    return true;
}

static const char *const deployment_kind_names[] = {
    [DEPLOYMENT_DEPLOY] = "deploy",
    [DEPLOYMENT_ROLLBACK] = "rollback",
    [DEPLOYMENT_PROMOTE] = "promote",
    [DEPLOYMENT_PANIC] = "panic",
};

const char *deployment_kind_name(enum deployment_kind kind) {
    return deployment_kind_names[kind];
}

bool deployment_kind_from_text(const char *text, enum deployment_kind *ret) {
    size_t found;
    if (!find_name(deployment_kind_names, ARRAY_LEN(deployment_kind_names), text, &found)) return false;
    *ret = (enum deployment_kind)found;
    return true;
}

static const char *const session_policy_names[] = {[SESSION_PIN] = "pin", [SESSION_FOLLOW] = "follow"};

const char *session_policy_name(enum session_policy policy) {
    return session_policy_names[policy];
}

bool session_policy_from_text(const char *text, enum session_policy *ret) {
    size_t found;
    if (!find_name(session_policy_names, ARRAY_LEN(session_policy_names), text, &found)) return false;
    *ret = (enum session_policy)found;
    return true;
}
