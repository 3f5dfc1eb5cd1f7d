/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where configurations are written: JSON, YAML, Markdown with front matter, and folders that hold one
 * agent with the files it names. Everything is inlined into one closed document; a map keeps for each
 * JSON pointer the file, line and column it came from, so that faults found later can be told in the
 * author's own file. Files are read through a callback, so that a folder, a Git tree or a test can be the source.
 */
#ifndef SERIN_MODEL_SOURCE_H
#define SERIN_MODEL_SOURCE_H

#include "base/err.h"
#include "base/json.h"

/* Reads a file inside the source's root. `path` is relative, has no "." or ".." parts, no empty parts and no leading
 * slash. The bytes live in `arena`. Errors: FILE, OUTSIDE_FOLDER, TOO_LARGE. */
struct source_reader {
    void *ctx;
    const char *name; /* the root folder's own name, which may name the agent; may be NULL */
    int (*read)(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err);
    /* Names of the regular files of a folder, sorted; NULL-terminated. For "tools/" style folders. May be NULL. */
    int (*list)(void *ctx, const char *path, struct arena *arena, const char ***ret, struct err *err);
};

struct source_map; /* JSON pointer -> file, line, column */

struct source_document {
    json_t *config; /* as written, with files inlined; not yet normalised */
    struct source_map *map;
    char agent[64]; /* the name that the source gives (folder or file name), "" when none */
};
void source_document_deinit(struct source_document *document);

/* Reads a document. By the name's ending: .yaml/.yml, .json, .md (front matter = config, body = system_prompt).
 * `path` as the reader takes it; "" is the root's agent.yaml, agent.yml, agent.json or agent.md, whichever there is.
 *
 * {file: path} is replaced by the file's text (system_prompt, its segments, messages, greeting), or by its content
 * read as JSON or YAML (tools and each of them, their parameters, returns and spec, inputs, output.schema,
 * mcp_servers, guardrails and each of them, inputs of handoffs); anywhere else it stays. Among tools, a file named
 * *.json or *.yaml stands for all files of its folder with that ending. Paths begin at the document's folder and stay
 * inside of it; one that begins with "partials/" is looked for there and then at the reader's root.
 *
 * Syntax errors come in `err` (MALFORMED_YAML, MALFORMED_JSON, INVALID_UTF8) with `at` the file, line and column; so
 * do a missing document and TOO_LARGE (1 MiB a file, 4 MiB with all its files). Bad file references are added to
 * `faults` and stay in the document, so that a caller goes no further when there are errors. YAML: the core schema of
 * YAML 1.2; duplicate keys, merge keys, tags, more than 100,000 nodes or 4 MiB of text (aliases counted as expanded),
 * depth past 32 and several documents are refused. */
int source_read(const struct source_reader *reader, const char *path, struct faults *faults,
                struct source_document *ret, struct err *err) MUST_CHECK;
/* One YAML text to JSON; `map` may be NULL. */
int source_parse_yaml(struct slice text, json_t **ret, struct source_map *map, struct err *err) MUST_CHECK;

struct source_map *source_map_new(void);
struct source_map *source_map_free(struct source_map *map);
DEFINE_CLEANUP(struct source_map *, source_map_free)
/* The place of a pointer into the document as written or as normalised (a parameter that was written at the top is
 * found there), or of its nearest parent that is known. False when nothing is known. `ret_file` is borrowed. */
bool source_map_find(const struct source_map *map, const char *pointer, const char **ret_file, unsigned *ret_line,
                     unsigned *ret_column);

/* A reader over a folder of the file system that never leaves it: each part is opened with O_NOFOLLOW, symbolic links
 * are refused (OUTSIDE_FOLDER), only regular files, at most 1 MiB each. */
int source_folder_open(const char *folder, struct source_reader *ret, struct err *err) MUST_CHECK;
void source_folder_close(struct source_reader *reader);

#endif
