/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_impl.h"

#include <string.h>

#define POINTER_MAX 1024

static bool shows_secret(const char *key) {
    return key && secret_kind(slice_of(key)) != NULL;
}

/* False when the pointer ends at a parent. */
static bool add_place(const struct place *place, struct str *out) {
    if (!place->parent) {
        if (place->key) str_add_text(out, place->key);
        return true;
    }
    if (!add_place(place->parent, out)) return false;
    if (shows_secret(place->key) || (place->key && strlen(place->key) + out->len > POINTER_MAX)) return false;
    if (place->key) {
        json_pointer_add(out, place->key);
    } else {
        json_pointer_add_index(out, place->index);
    }
    return true;
}

void place_pointer(const struct place *place, struct str *out) {
    add_place(place, out);
}

PRINTF_LIKE(4, 0)
static struct fault *add(struct faults *faults, const struct place *place, bool warning, const char *fmt,
                         va_list args) {
    _cleanup_(str_deinit) struct str pointer = STR_INIT, message = STR_INIT;

    place_pointer(place, &pointer);
    str_vprintf(&message, fmt, args);
    if (pointer.failed || message.failed) {
        faults->failed = 1;
        return NULL;
    }
    const char *at = pointer.data ? pointer.data : "";
    return warning ? faults_warn(faults, at, "%s", message.data) : faults_add(faults, at, "%s", message.data);
}

struct fault *place_fault(struct faults *faults, const struct place *place, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct fault *fault = add(faults, place, false, fmt, args);
    va_end(args);
    return fault;
}

struct fault *place_warn(struct faults *faults, const struct place *place, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct fault *fault = add(faults, place, true, fmt, args);
    va_end(args);
    return fault;
}
