/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of `serin doctor` share. A check fills in one finding; one that has nothing to look at leaves it empty. */
#ifndef SERIN_SERVER_DOCTOR_H
#define SERIN_SERVER_DOCTOR_H

#include "server/care.h"

enum finding_state { FINDING_NONE, FINDING_OK, FINDING_WARNING, FINDING_PROBLEM };
struct finding {
    enum finding_state state;
    char text[480], remedy[360];
};

struct doctor {
    struct care *care;
    const char *path; /* of the store */
    char *folder;
    struct store *store;      /* NULL: it cannot be opened */
    struct store_moment head; /* when `sound` */
    bool sound;
    int64_t holder; /* process id of the server that has the store; 0: none */
};

typedef void (*doctor_check)(struct doctor *doctor, struct finding *ret);

/* Each sets the whole finding; those above OK bear what to do. */
void finding_ok(struct finding *finding, const char *fmt, ...) PRINTF_LIKE(2, 3);
void finding_warn(struct finding *finding, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);
void finding_problem(struct finding *finding, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);
void finding_err(struct finding *finding, const struct err *err);

/* doctor_store.c, in the order in which they lean on each other */
void check_settings(struct doctor *doctor, struct finding *ret);
void check_file(struct doctor *doctor, struct finding *ret);
void check_opens(struct doctor *doctor, struct finding *ret);
void check_whole(struct doctor *doctor, struct finding *ret);
void check_derived(struct doctor *doctor, struct finding *ret);
void check_log(struct doctor *doctor, struct finding *ret);
void check_leftovers(struct doctor *doctor, struct finding *ret);
void check_audit_key(struct doctor *doctor, struct finding *ret);
void check_snapshot(struct doctor *doctor, struct finding *ret);
void check_server(struct doctor *doctor, struct finding *ret);
void check_answers(struct doctor *doctor, struct finding *ret);

/* doctor_system.c */
void check_space(struct doctor *doctor, struct finding *ret);
void check_inodes(struct doctor *doctor, struct finding *ret);
void check_file_system(struct doctor *doctor, struct finding *ret);
void check_fsync(struct doctor *doctor, struct finding *ret);
void check_clock(struct doctor *doctor, struct finding *ret);
void check_time_source(struct doctor *doctor, struct finding *ret);
void check_descriptors(struct doctor *doctor, struct finding *ret);
void check_memory(struct doctor *doctor, struct finding *ret);
void check_cores(struct doctor *doctor, struct finding *ret);
void check_sqlite(struct doctor *doctor, struct finding *ret);
void check_versions(struct doctor *doctor, struct finding *ret);

#endif
