/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#ifdef SERIN_FAILPOINTS

#include "base/str.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "SERIN_FAILPOINT"

static const char *const names[] = {
#define FAILPOINT_ROW(name, where) [FAILPOINT_##name] = #name,
#include "base/failpoint.def"
#undef FAILPOINT_ROW
};

static enum failpoint armed = FAILPOINT_COUNT_;
static _Atomic int64_t left;

void failpoint_pass(enum failpoint point) {
    if (point == armed && --left == 0) raise(SIGKILL);
}

static enum failpoint find(const char *name, size_t len) {
    int point = 0;
    while (point < FAILPOINT_COUNT_ && (strlen(names[point]) != len || strncmp(names[point], name, len) != 0))
        point++;
    return (enum failpoint)point;
}

int failpoint_arm(struct err *err) {
    const char *text = getenv(VARIABLE);
    int64_t passage = 0;
    if (!text) return 0;
    size_t len = strcspn(text, ":");
    enum failpoint point = find(text, len);
    if (point == FAILPOINT_COUNT_ || !text[len] || !text_to_int(text + len + 1, 1, INT64_MAX, &passage)) {
        int r = err_set(err, ERR_CONFIG, "\"%s\" is no failpoint with the number of its passage (name:n)", text);
        err_at(err, "%s", VARIABLE);
        return r;
    }
    left = passage;
    armed = point;
    unsetenv(VARIABLE);
    return 0;
}

#endif
