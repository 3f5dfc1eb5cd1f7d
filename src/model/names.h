/* SPDX-License-Identifier: Apache-2.0 */
/* Names and the ways a version is written: support@42, support@production, support@latest, support@sha256:1f2e… */
#ifndef SERIN_MODEL_NAMES_H
#define SERIN_MODEL_NAMES_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define NAME_MAX_LEN 63
#define TARGETING_KEY_MAX 512 /* bytes */
#define REASON_MAX 4096       /* bytes */

/* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? for agents, environments and overrides. */
bool name_valid(struct slice name);
/* INVALID with what is wrong with it ("`what` name …"); `at` is the caller's place. */
int name_check(const char *what, const char *name, const char *at, struct err *err) MUST_CHECK;

enum version_ref_kind { VERSION_REF_NUMBER, VERSION_REF_LATEST, VERSION_REF_ENVIRONMENT, VERSION_REF_HASH };

struct version_ref {
    enum version_ref_kind kind;
    int64_t number;                     /* NUMBER */
    char environment[NAME_MAX_LEN + 1]; /* ENVIRONMENT */
    char hash[65];                      /* HASH: 8 to 64 lower-case hex digits, without "sha256:" */
};

/* Reads what stands behind the @: "42", "latest", "sha256:1f2e…", or an environment's name. BAD_REQUEST when none of
 * these. */
int version_ref_parse(const char *text, struct version_ref *ret, struct err *err) MUST_CHECK;
/* Reads "support@42"; without "@…" the ref is "latest" and *ret_explicit is false. */
int version_spec_parse(const char *text, char ret_agent[NAME_MAX_LEN + 1], struct version_ref *ret, bool *ret_explicit,
                       struct err *err) MUST_CHECK;

#endif
