/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of two such threads on one core with one that is nice 0, each gets a tenth of what that one gets; alone they get all of it. */
#define NICE 10

/* On Linux a priority is a thread's, not the process's. */
void thread_give_way(void) {
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}
