/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of the server. config.def is the table; values come, in rising priority, from its defaults, a file
 * (--settings FILE, toml.h), the environment (SERIN_<SETTING>) and the command line (--setting-name VALUE).
 *
 * A setting that is unknown, of the wrong type or out of range refuses the whole: all faults are told at once, each with its
 * place (`serin.toml` with line and column, `SERIN_WORKERS`, `--workers`). Other variables that begin with SERIN_ are
 * refused only when they are near misses of a setting: cluster managers set variables with a service's name of their own.
 *
 * A struct config has one owner and no lock. Texts that getters answer live until the next config_reload().
 */
#ifndef SERIN_CONFIG_CONFIG_H
#define SERIN_CONFIG_CONFIG_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum setting_id {
#define SETTING(id, ...) SETTING_##id,
#include "config/config.def"
#undef SETTING
    SETTING_COUNT_
};

enum setting_type { SETTING_TEXT, SETTING_INT, SETTING_CHOICE };
enum setting_source { SETTING_DEFAULT, SETTING_FILE, SETTING_ENVIRONMENT, SETTING_FLAG };

struct setting {
    const char *name; /* "idle_timeout_s" */
    enum setting_type type;
    const char *choices; /* CHOICE: words with single spaces; else NULL */
    const char *preset;  /* the default, as written */
    int64_t min, max;
    bool reload; /* may change while the server runs */
    const char *doc;
};

const struct setting *setting_get(enum setting_id id);
#define SETTING_NAME_SIZE 48
void setting_flag(const struct setting *setting, char ret[SETTING_NAME_SIZE]);     /* "--idle-timeout-s" */
void setting_variable(const struct setting *setting, char ret[SETTING_NAME_SIZE]); /* "SERIN_IDLE_TIMEOUT_S" */

/* Where settings are read from. All is borrowed and outlives the config, which reads it again when it reloads. */
struct config_sources {
    int argc; /* behind the command's name: only --flags */
    char *const *argv;
    char *const *environment; /* as environ; NULL = none */
};

struct config;
/* CONFIG, or USAGE when only the command line is at fault; `err` is then the first fault and `faults` has all of them.
 * NO_MEMORY, FILE. */
int config_load(const struct config_sources *sources, struct config **ret, struct faults *faults,
                struct err *err) MUST_CHECK;
/* Reads the sources again. On failure everything stays as it was. New values of settings that need a restart do not come
 * into force; their names are appended to `restart`, separated by ", ". */
int config_reload(struct config *config, struct str *restart, struct faults *faults, struct err *err) MUST_CHECK;
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free)

/* TEXT and CHOICE. */
const char *config_text(const struct config *config, enum setting_id id);
int64_t config_int(const struct config *config, enum setting_id id);
enum setting_source config_source(const struct config *config, enum setting_id id);
/* One fault as a line without its end: "serin.toml:3:1: …", "SERIN_WORKERS: …". */
void config_fault_text(const struct fault *fault, struct str *out);

#endif
