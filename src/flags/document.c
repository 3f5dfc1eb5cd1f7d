/* SPDX-License-Identifier: Apache-2.0 */
/* A whole flagd document, as it is imported: nothing of it is taken until all of it is right. */
#include "flags/flags_impl.h"

#include <string.h>

static const json_t *object_member(const struct members *members, const char *name, bool needed) {
    const json_t *found = json_get(members->object, name);
    if (!found && !needed) return NULL;
    if (json_is_object(found)) return found;
    MEMBER_FAULT(members, name, found ? "must be an object" : "is missing");
    return NULL;
}

static void check_names(const struct members *members, const json_t *evaluators) {
    struct place place = {.parent = &members->place, .key = "$evaluators"};
    const char *name;
    json_t *rule;
    if (json_object_size(evaluators) > FLAG_EVALUATORS_MAX)
        (void)place_fault(members->faults, &place, "has %zu rules; at most %d are taken", json_object_size(evaluators),
                          FLAG_EVALUATORS_MAX);
    json_object_foreach((json_t *)evaluators, name, rule) {
        struct place at = {.parent = &place, .key = name};
        if (!flag_evaluator_name_valid(slice_of(name)))
            (void)place_fault(members->faults, &at, "a rule's name must be 1 to %d of letters, digits, . _ and -",
                              FLAG_KEY_MAX);
    }
}

static int check_flag(const struct members *top, const struct flag_document *parts, const char *key,
                      const json_t *definition, struct err *err) {
    _cleanup_(str_deinit) struct str at = STR_INIT, bindings_at = STR_INIT;
    _cleanup_(flag_unrefp) struct flag *flag = NULL;
    struct place flags = {.parent = &top->place, .key = "flags"};
    place_pointer(&(struct place){.parent = &flags, .key = key}, &at);
    place_pointer(&(struct place){.parent = &(struct place){.key = "/bindings"}, .key = key}, &bindings_at);
    if (at.failed || bindings_at.failed) return err_no_memory(err);
    struct flag_source source = {
        .key = key,
        .definition = definition,
        .bindings = json_get(parts->bindings, key),
        .at = at.data,
        .bindings_at = bindings_at.data,
        .evaluators = parts->evaluators,
        .metadata = parts->metadata,
    };
    int r = flag_new(&source, &flag, top->faults, err);
    return r == -ERR_NO_MEMORY ? r : 0;
}

static int check_flags(const struct members *top, const struct flag_document *parts, struct err *err) {
    const char *key;
    json_t *definition;
    int r = 0;
    if (json_object_size(parts->flags) > FLAGS_MAX)
        MEMBER_FAULT(top, "flags", "has %zu flags; at most %d are taken", json_object_size(parts->flags), FLAGS_MAX);
    json_object_foreach((json_t *)parts->flags, key, definition) {
        if (r == 0) r = check_flag(top, parts, key, definition, err);
    }
    return r;
}

static void check_bindings(const struct flag_document *parts, struct faults *faults) {
    struct place top = {.key = "/bindings"};
    const char *key;
    json_t *list;
    json_object_foreach((json_t *)parts->bindings, key, list) {
        if (json_get(parts->flags, key)) continue;
        (void)place_fault(faults, &(struct place){.parent = &top, .key = key}, "the document has no flag of that key");
    }
}

/* Where a member stands. */
static int pointer_of(const struct members *members, const char *name, struct str *ret, struct err *err) {
    place_pointer(&(struct place){.parent = &members->place, .key = name}, ret);
    return ret->failed ? err_no_memory(err) : 0;
}

static int check_shared(const struct members *members, const struct flag_document *parts, struct err *err) {
    _cleanup_(str_deinit) struct str metadata = STR_INIT, evaluators = STR_INIT;
    int r = pointer_of(members, "metadata", &metadata, err);
    if (r == 0) r = pointer_of(members, "$evaluators", &evaluators, err);
    if (r < 0) return r;
    check_names(members, parts->evaluators);
    if (parts->metadata) flag_metadata_check(parts->metadata, metadata.data, members->faults);
    if (parts->evaluators) r = logic_check_evaluators(parts->evaluators, evaluators.data, members->faults, err);
    return r == -ERR_NO_MEMORY ? r : 0;
}

int flag_document_read(const json_t *document, const json_t *bindings, const char *at, struct flag_document *ret,
                       struct faults *faults, struct err *err) {
    static const char *const known[] = {"$schema", "flags", "$evaluators", "metadata", NULL};
    struct members members = {document, {.key = at}, faults};
    size_t before = faults->errors;
    *ret = (struct flag_document){0};
    if (members_is_object(&members)) {
        members_only(&members, known);
        ret->flags = object_member(&members, "flags", true);
        ret->evaluators = object_member(&members, "$evaluators", false);
        ret->metadata = object_member(&members, "metadata", false);
    }
    if (bindings && !json_is_object(bindings))
        (void)faults_add(faults, "/bindings", "must be an object: lists of bindings by the keys of their flags");
    else
        ret->bindings = bindings;
    int r = check_shared(&members, ret, err);
    if (r == 0) r = check_flags(&members, ret, err);
    if (r < 0) return r;
    check_bindings(ret, faults);
    if (faults->failed) return err_no_memory(err);
    return faults->errors > before ? err_set(err, ERR_INVALID, "the document is not in order") : 0;
}
