/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world to try a rollout in: who asks how often, what comes of it in each arm, and what goes wrong when. Written as JSON, all faults told at once:
 *
 *   name, description   for people
 *   plan or template    as for a rollout; default: the template `standard`
 *   requests            {"per_second": 50} or {"candidates_per_look": 10}: so many that about ten of them are the candidate's
 *   look                how often the controller looks: "1s"
 *   users               so many, who come back and have one bucket for good; 0: every request is somebody new
 *   prone               {"share": 0.1, "error": 0.5}: users with that chance of an error in either arm; needs users
 *   stable, candidate   what comes of a run, by metric of the plan: the chance of an event ("error": 0.02), a size {"median", "sigma"} (lognormal), a score
 *                       {"mean", "sd"} (normal, cut to 0 … 1); besides "lost": chance that the outcome never comes, "unscored": chance that
 *                       a run has no score, "errors_unscored": runs with an error have none, "silent": no outcome comes. What the candidate
 *                       does not say is as in stable.
 *   bursts              {"chance": 0.02, "error": 0.5}: in so many looks all runs of both arms have that chance of an error
 *   changes             [{"step": 2 | "units": 6000 | "time": "10m", "arm": "both" | "stable" | "candidate", …what changes}]
 *   horizon             candidate units after which a run is left unfinished
 *   protected           the environment does not let automation promote
 *
 * The time 0 of a world is the rollout's start. Steps are counted from 1.
 */
#ifndef SERIN_SIMULATE_WORLD_H
#define SERIN_SIMULATE_WORLD_H

#include "base/err.h"
#include "base/json.h"
#include "model/rollout.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_CHANGES_MAX 16
#define WORLD_USERS_MAX INT64_C(10000000)

/* What comes of runs in an arm. In a change, NAN: stays as it is. */
struct measure {
    double at, spread; /* an event's chance; a size's median and sigma; a score's mean and standard deviation */
};
struct arm_world {
    struct measure measures[ROLLOUT_METRICS_MAX];   /* by the plan's metrics */
    double lost, unscored, errors_unscored, silent; /* the last two: 0 or 1 */
};

enum change_on { CHANGE_AT_STEP, CHANGE_AT_UNITS, CHANGE_AT_TIME };
struct change {
    enum change_on on;
    int64_t when;  /* index of the step, candidate units, microseconds */
    unsigned arms; /* bit per arm: 1 stable, 2 candidate */
    struct arm_world to;
};

struct world {
    const char *name, *description;
    struct rollout_plan plan;
    double per_second, candidates_per_look; /* one of them is 0 */
    int64_t look;
    int64_t users;
    double prone_share, prone_error;
    struct arm_world arms[2]; /* [0] stable, [1] candidate */
    double burst_chance, burst_error;
    struct change changes[WORLD_CHANGES_MAX];
    size_t change_count;
    int64_t horizon;
    bool is_protected;
};

/* Reads a world; its texts live in the arena. 0 also with faults, and then it is of no use; NO_MEMORY. */
int world_parse(const json_t *json, struct arena *arena, struct world *ret, struct faults *faults,
                struct err *err) MUST_CHECK;

/* The worlds that are built in, in order of name. */
struct scenario {
    const char *name, *description, *json;
};
const struct scenario *scenarios(size_t *ret_count);
const struct scenario *scenario_find(const char *name); /* or NULL */

#endif
