/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the server is and who asks: --server and --key, else SERIN_URL and SERIN_KEY, else the user's configuration
 * file, else the server on this machine. A file with a key that others can read is refused rather than used: the
 * key in it must be taken for known.
 */
#include "base/file.h"
#include "base/suggest.h"
#include "cli/cli_impl.h"
#include "config/toml.h"

#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT (64 * 1024)
#define DEFAULT_URL "http://127.0.0.1:7420"
#define KEY_MAX 1024

const char *world_variable(const struct cli_world *world, const char *name) {
    size_t len = strlen(name);
    for (char *const *p = world->environment; p && *p; p++)
        if (!strncmp(*p, name, len) && (*p)[len] == '=') return (*p)[len + 1] ? *p + len + 1 : NULL;
    return NULL;
}

static const char *file_path(const struct cli_world *world, struct arena *arena) {
    const char *folder = world_variable(world, "XDG_CONFIG_HOME"), *home = world_variable(world, "HOME");
    if (folder) return arena_printf(arena, "%s/serin/config.toml", folder);
    return home ? arena_printf(arena, "%s/.config/serin/config.toml", home) : NULL;
}

static int refuse(const char *path, const struct toml_entry *entry, int r, struct err *err) {
    err_at(err, "%s", path);
    err_position(err, entry->line, entry->column);
    err_remedy(err, "The file takes server = \"…\", key = \"…\" and environment = \"…\"");
    return r;
}

static int take_entry(const char *path, const struct toml_entry *entry, struct profile *profile, struct err *err) {
    const struct {
        const char *name;
        const char **value;
    } known[] = {{"server", &profile->url}, {"key", &profile->key}, {"environment", &profile->environment}};
    struct suggestion near = SUGGESTION_INIT(entry->key);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        suggestion_try(&near, known[i].name);
        if (strcmp(known[i].name, entry->key)) continue;
        if (entry->type != TOML_TEXT)
            return refuse(path, entry, err_set(err, ERR_CONFIG, "%s must be a text in quotes", entry->key), err);
        *known[i].value = entry->text;
        return 0;
    }
    int r = near.best ? err_set(err, ERR_CONFIG, "unknown setting %.64s; did you mean %s?", entry->key, near.best)
                      : err_set(err, ERR_CONFIG, "unknown setting %.64s", entry->key);
    return refuse(path, entry, r, err);
}

static int first_fault(const struct faults *faults, struct err *err) {
    if (!faults->count) return 0;
    const struct fault *fault = &faults->items[0];
    int r = err_set(err, ERR_CONFIG, "%s", fault->message);
    err_at(err, "%s", fault->at);
    err_position(err, fault->line, fault->column);
    return r;
}

static int check_private(const char *path, const struct profile *profile, struct err *err) {
    struct stat st;
    if (!profile->key || stat(path, &st) < 0 || !(st.st_mode & (S_IRWXG | S_IRWXO))) return 0;
    int r = err_set(err, ERR_CONFIG, "the file holds a key and other users of this machine can get at it");
    err_at(err, "%s", path);
    err_remedy(err, "chmod 600 %s; when others may have read it, revoke the key and make a new one", path);
    return r;
}

static int load_file(const struct cli_world *world, struct arena *arena, struct profile *profile, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct toml_file file;
    bool missing = false;
    const char *path = file_path(world, arena);
    if (!path) return 0;
    int r = file_read(path, FILE_LIMIT, &text, &missing, err);
    if (r < 0) return missing ? 0 : r;
    r = toml_parse(str_slice(&text), path, arena, &faults, &file, err);
    if (r == 0) r = first_fault(&faults, err);
    for (size_t i = 0; r == 0 && i < file.count; i++)
        r = take_entry(path, &file.entries[i], profile, err);
    return r < 0 ? r : check_private(path, profile, err);
}

static int check_url(const char *url, struct arena *arena, const char **ret, struct err *err) {
    size_t len = strlen(url);
    bool scheme = !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
    bool plain = scheme && url[strcspn(url, ":") + 3] && !strpbrk(url, " \t\r\n?#@");
    if (!plain) {
        int r = err_set(err, ERR_USAGE, "the server's address must be http://HOST[:PORT] or https://HOST[:PORT]");
        err_at(err, "--server");
        err_remedy(err, "Check --server, SERIN_URL, or server in the configuration file");
        return r;
    }
    while (len && url[len - 1] == '/')
        len--;
    *ret = arena_strndup(arena, url, len);
    return *ret ? 0 : err_no_memory(err);
}

/* It goes into a header: nothing in it may begin another one. */
static int check_key(const char *key, struct err *err) {
    size_t len = key ? strlen(key) : 0;
    bool plain = len <= KEY_MAX;
    for (size_t i = 0; plain && i < len; i++)
        plain = key[i] > ' ' && key[i] < 0x7F;
    if (plain) return 0;
    int r = err_set(err, ERR_USAGE, "the API key has characters that no key has");
    err_at(err, "--key");
    err_remedy(err, "Check --key, SERIN_KEY, or key in the configuration file");
    return r;
}

int profile_load(const struct cli_world *world, const struct args *args, struct arena *arena, struct profile *ret,
                 struct err *err) {
    *ret = (struct profile){0};
    int r = load_file(world, arena, ret, err);
    if (r < 0) return r;
    const char *urls[] = {args_get(args, "server"), world_variable(world, "SERIN_URL"), ret->url, DEFAULT_URL};
    const char *keys[] = {args_get(args, "api_key"), world_variable(world, "SERIN_KEY"), ret->key};
    size_t url = 0, key = 0;
    while (!urls[url])
        url++;
    while (key + 1 < ARRAY_LEN(keys) && !keys[key])
        key++;
    ret->key = keys[key] && *keys[key] ? keys[key] : NULL;
    r = check_url(urls[url], arena, &ret->url, err);
    return r < 0 ? r : check_key(ret->key, err);
}
