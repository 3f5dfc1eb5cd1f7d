/* SPDX-License-Identifier: Apache-2.0 */
#include "model/members.h"

#include "base/suggest.h"
#include "model/rollout.h"
#include "model/show.h"

#include <string.h>

#define DURATION_MAX (365 * INT64_C(86400000000))

bool members_is_object(const struct members *members) {
    if (json_is_object(members->object)) return true;
    (void)place_fault(members->faults, &members->place, "must be an object");
    return false;
}

static void refuse(const struct members *members, const char *key, const struct suggestion *suggestion) {
    char shown[SHOW_SIZE];
    if (suggestion->best)
        MEMBER_FAULT(members, key, "unknown field \"%s\"; did you mean \"%s\"?", show_text(key, shown),
                     suggestion->best);
    else
        MEMBER_FAULT(members, key, "unknown field \"%s\"", show_text(key, shown));
}

void members_only(const struct members *members, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)members->object, key, value) {
        struct suggestion suggestion = SUGGESTION_INIT(key);
        bool found = false;
        for (size_t i = 0; known[i]; i++) {
            found |= strcmp(key, known[i]) == 0;
            suggestion_try(&suggestion, known[i]);
        }
        if (!found) refuse(members, key, &suggestion);
    }
}

bool member_number(const struct members *members, const char *name, double least, double most, double *value) {
    const json_t *found = json_get(members->object, name);
    if (!found) return false;
    double number = json_number_value(found);
    if (json_is_number(found) && number >= least && number <= most) {
        *value = number;
        return true;
    }
    MEMBER_FAULT(members, name, "must be a number from %g to %g", least, most);
    return false;
}

bool member_count(const struct members *members, const char *name, int64_t least, int64_t most, int64_t *value) {
    const json_t *found = json_get(members->object, name);
    if (!found) return false;
    int64_t number = json_integer_value(found);
    if (json_is_integer(found) && number >= least && number <= most) {
        *value = number;
        return true;
    }
    MEMBER_FAULT(members, name, "must be a whole number from %lld to %lld", (long long)least, (long long)most);
    return false;
}

bool member_duration(const struct members *members, const char *name, int64_t least, int64_t *value) {
    const json_t *found = json_get(members->object, name);
    if (!found) return false;
    int64_t duration;
    char shortest[DURATION_TEXT_SIZE];
    const char *text = json_string_value(found);
    if (text && duration_from_text(text, &duration) && duration >= least && duration <= DURATION_MAX) {
        *value = duration;
        return true;
    }
    duration_text(least, shortest);
    MEMBER_FAULT(members, name, "must be a duration of %s to 365d: \"90s\", \"10m\", \"1h30m\", \"3d\"", shortest);
    return false;
}

bool member_bool(const struct members *members, const char *name, bool *value) {
    const json_t *found = json_get(members->object, name);
    if (!found) return false;
    if (json_is_boolean(found))
        *value = json_is_true(found);
    else
        MEMBER_FAULT(members, name, "must be true or false");
    return json_is_boolean(found);
}

int member_word(const struct members *members, const char *name, const char *first, const char *second, int otherwise) {
    const json_t *found = json_get(members->object, name);
    if (!found) return otherwise;
    const char *text = json_string_value(found);
    if (text && !strcmp(text, first)) return 0;
    if (text && !strcmp(text, second)) return 1;
    MEMBER_FAULT(members, name, "must be \"%s\" or \"%s\"", first, second);
    return otherwise;
}
