/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named places where a test kills the process. They exist only in builds with the meson option `failpoints`; in every other build
 * FAILPOINT() is nothing. SERIN_FAILPOINT="name:n" in the environment arms one: its n-th passage is the end, by
 * SIGKILL, so that nothing is tidied up.
 */
#ifndef SERIN_BASE_FAILPOINT_H
#define SERIN_BASE_FAILPOINT_H

#include "base/err.h"

#ifdef SERIN_FAILPOINTS

enum failpoint {
#define FAILPOINT_ROW(name, where) FAILPOINT_##name,
#include "base/failpoint.def"
#undef FAILPOINT_ROW
    FAILPOINT_COUNT_
};

#define FAILPOINT(name) failpoint_pass(FAILPOINT_##name)
void failpoint_pass(enum failpoint point);
/* Takes the variable out of the environment. CONFIG when it names no failpoint. Before any thread is made. */
int failpoint_arm(struct err *err) MUST_CHECK;

#else

#define FAILPOINT(name) ((void)0)
static inline int failpoint_arm(struct err *err) {
    return 0;
}

#endif
#endif
