/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's configuration, `agent/v1`: brought to one form, checked with all faults at once, and sealed
 * into canonical bytes with its two hashes. Pure: no I/O.
 *
 *   input document -> config_normalise() -> config_validate() -> config_seal()
 */
#ifndef SERIN_MODEL_CONFIG_H
#define SERIN_MODEL_CONFIG_H

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"

#define CONFIG_SIZE_MAX (1024 * 1024) /* bytes of the canonical form */
#define CONFIG_DEPTH_MAX 32
#define CONFIG_TOOLS_MAX 256

/* Brings accepted spellings to the stored form, in a new document: `instructions` becomes system_prompt, top-level
 * `temperature`, `max_tokens` (and the other names of parameters) move into `parameters`, `schema` is set, CRLF and
 * CR in all texts become LF. A clash (both spellings given) is a fault. The stored form holds no {file: …}: one that
 * is left is a fault for config_validate(). 0, or NO_MEMORY; faults are in `faults`. */
int config_normalise(const json_t *input, struct faults *faults, json_t **ret, struct err *err) MUST_CHECK;

/* Checks a normalised document against spec/agent.schema.json (embedded) and the rules that a schema cannot say:
 * undeclared template variables, duplicate tools and unknown mcp servers, literals that look like a provider's
 * secret key, names, limits (size, depth, tools). Warnings: floating model names, declared inputs never used,
 * parameters that the provider is known to refuse. All faults go into `faults` with JSON pointers.
 * 0 whether or not there are faults (look at faults->errors); NO_MEMORY or INTERNAL below 0. */
int config_validate(const json_t *config, struct faults *faults, struct err *err) MUST_CHECK;

/* The members of `parameters`, which are also taken at the top level; ended by NULL. */
extern const char *const config_parameter_names[];

/* spec/agent.schema.json as text. */
struct slice config_schema(void);

/* A configuration closed for ever. `bytes` is owned (config_sealed_deinit). */
struct config_sealed {
    char *bytes;
    size_t len;
    struct sha256 content_hash; /* SHA-256 of `bytes` */
    struct sha256
        config_hash; /* SHA-256 of the canonical form without description, display_name, metadata, $schema and x-* keys
                                 * (at the top level), and with tools in order of name */
};
void config_sealed_deinit(struct config_sealed *sealed);
/* INVALID when it exceeds CONFIG_SIZE_MAX or holds a number without canonical form. */
int config_seal(const json_t *config, struct config_sealed *ret, struct err *err) MUST_CHECK;

#endif
