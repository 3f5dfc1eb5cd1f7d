/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/snapshot_impl.h"

struct version_object {
    atomic_uint count;
    struct snapshot_version shown;
    char text[]; /* decision_tail, then the agent's name */
};

/* No object is around it: nobody counts it. */
const struct snapshot_version snapshot_disabled = {
    .decision_tail = {"\"flags\":{}}", sizeof("\"flags\":{}}") - 1}, .config = {"", 0}, .agent = {"", 0}};

static struct version_object *object_of(const struct snapshot_version *shown) {
    return (struct version_object *)(void *)((char *)(uintptr_t)shown - offsetof(struct version_object, shown));
}

static struct slice append(char **at, struct slice bytes) {
    struct slice copy = {*at, bytes.len};
    if (bytes.len) memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

int version_new(const struct version *from, const struct snapshot_version **ret) {
    const struct slice before = SLICE_LIT("\"config\":"), after = SLICE_LIT(",\"flags\":{}}"),
                       agent = slice_of(from->agent);
    size_t tail = before.len + from->config.len + after.len;
    struct version_object *object = malloc(sizeof(*object) + tail + agent.len);
    if (!object) return -ERR_NO_MEMORY;

    *object = (struct version_object){.count = 1};
    struct snapshot_version *shown = &object->shown;
    shown->number = from->number;
    shown->content_hash = from->content_hash;
    shown->config_hash = from->config_hash;
    char *at = object->text;
    append(&at, before);
    shown->config = append(&at, from->config);
    append(&at, after);
    shown->decision_tail = (struct slice){object->text, tail};
    shown->agent = append(&at, agent);
    *ret = shown;
    return 0;
}

void version_ref(const struct snapshot_version *version) {
    count_up(&object_of(version)->count);
}

void version_unref(const struct snapshot_version *version) {
    if (version && count_down(&object_of(version)->count)) free(object_of(version));
}
