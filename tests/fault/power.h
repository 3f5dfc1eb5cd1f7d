/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose power can be cut: a VFS of SQLite, the default one once power_install() was called, beneath everything that opens a database.
 *
 * What the program writes goes through to the real file, so that it reads what it wrote; beside it stands, for each file, what a disk
 * would hold if the power went now: the bytes as of the last sync, and what was written since. At the cut nothing reaches the
 * files any more and every call fails. power_restore() then makes the files what the disk happened to keep: of each sector written
 * since the last sync the old bytes, the new ones or, torn, the beginning of the new ones; of sizes, new names and removals
 * that were not made durable, some.
 */
#ifndef SERIN_TESTS_FAULT_POWER_H
#define SERIN_TESTS_FAULT_POWER_H

#include <stdbool.h>
#include <stdint.h>

enum power_event {
    POWER_LOG_WRITE,
    POWER_LOG_SYNC,
    POWER_FILE_WRITE,
    POWER_FILE_SYNC,
    POWER_SIZE,
    POWER_NAME,
    POWER_EVENTS_
};
#define POWER_ANY POWER_EVENTS_

/* What the disk does wrong, to see that the test notices. */
enum power_fault { POWER_HONEST, POWER_SYNC_LIES, POWER_FOLDER_SYNC_LIES };

void power_install(void);
/* Forgets all files; they must be closed. */
void power_forget(void);
void power_faulty(enum power_fault fault);
/* The power goes at the n-th event of that kind from now (1 is the next one); 0 = it stays. */
void power_cut_at(enum power_event kind, uint64_t nth);
bool power_is_cut(void);
enum power_event power_cut_in(void); /* the event in which it went */
/* After a cut, when all files are closed: what was kept. Then the power is back. */
void power_restore(void);

/* Seeded; from any thread. Below `limit`. */
void power_seed(uint64_t seed);
uint64_t power_random(uint64_t limit);

#endif
