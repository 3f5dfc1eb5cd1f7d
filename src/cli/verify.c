/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin audit verify`, by the rule of spec/audit.md and with nothing but the entries: each hash is computed again,
 * each entry must name the hash before it, positions must rise. Checkpoints are then looked for in the chain: the
 * server's own, and the one that the user kept, whose key is the one to trust.
 *
 * With --store the entries are read from a store or a backup without asking any server. There is no server's checkpoint then;
 * the chain must end where the store's head is, and the kept checkpoint must be signed by the key that lies beside the store, if one does.
 */
#include "base/file.h"
#include "base/jw.h"
#include "cli/cli_impl.h"
#include "model/audit.h"
#include "store/store.h"

#include <string.h>

#define CHECKPOINT_LIMIT (64 * 1024)
#define PAGE_SIZE "1000"

struct checked {
    const char *name; /* "the server's checkpoint" */
    struct audit_checkpoint checkpoint;
    bool found;
};

struct chain {
    struct audit_chain entries;
    struct checked *checkpoints;
    size_t checkpoint_count;
};

/* ---- entries ---- */

static const char *member(const json_t *object, const char *name) {
    const char *text = json_get_text(object, name);
    return text ? text : "";
}

/* `detail` is kept in `text`, which the entry borrows from. */
static bool read_entry(const json_t *json, struct str *text, struct audit_entry *ret) {
    *ret = (struct audit_entry){
        .actor = member(json, "actor"),
        .actor_name = member(json, "actor_name"),
        .operation = member(json, "operation"),
        .agent = member(json, "agent"),
        .environment = member(json, "environment"),
        .reason = member(json, "reason"),
    };
    if (json_canonical(json_get(json, "detail"), text, NULL) < 0 || text->failed) return false;
    ret->detail = text->data;
    char again[CLOCK_TEXT_SIZE];
    bool times = clock_from_text(member(json, "at"), &ret->at);
    if (times) clock_text(ret->at, again);
    return times && !strcmp(again, member(json, "at")) &&
           position_from_text(member(json, "position"), &ret->position) &&
           sha256_from_text(member(json, "previous"), &ret->previous) &&
           sha256_from_text(member(json, "hash"), &ret->hash);
}

/* After each entry. */
static void look_for_checkpoints(void *ctx, const struct audit_chain *entries) {
    struct chain *chain = ctx;
    for (size_t i = 0; i < chain->checkpoint_count; i++) {
        struct checked *checked = &chain->checkpoints[i];
        if (!position_compare(checked->checkpoint.position, entries->position))
            checked->found = !memcmp(checked->checkpoint.hash.bytes, entries->hash.bytes, SHA256_SIZE);
    }
}

static int check_entry(struct chain *chain, const json_t *json, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct audit_entry entry;
    if (!json_is_object(json) || !read_entry(json, &text, &entry))
        return audit_broken(err, member(json, "position"), "an entry is malformed");
    int r = audit_chain_add(&chain->entries, &entry, err);
    if (r == 0) look_for_checkpoints(chain, &chain->entries);
    return r;
}

/* ---- pages ---- */

static int read_page(struct cli *cli, struct chain *chain, int64_t *after, bool *ret_more, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct call call = {.op = op_get(OP_audit_list)};
    size_t index;
    json_t *entry;
    call.path = arena_printf(&cli->arena, "/v1/audit?limit=" PAGE_SIZE "&after=%lld", (long long)*after);
    if (!call.path) return err_no_memory(err);
    int r = call_send(cli, &call, &answer, err);
    if (r < 0) return r;
    json_array_foreach(json_get(answer.json, "entries"), index, entry) {
        r = check_entry(chain, entry, err);
        if (r < 0) return r;
    }
    const json_t *next = json_get(answer.json, "next");
    *ret_more = next != NULL;
    if (!next) return 0;
    int64_t further = json_integer_value(next);
    if (further <= *after) return audit_broken(err, "", "the pages of the log do not go on");
    *after = further;
    return 0;
}

static int read_chain(struct cli *cli, struct chain *chain, struct err *err) {
    int64_t after = 0;
    bool more = true, shown = cli->world->err_is_terminal;
    int r = 0;
    while (r == 0 && more) {
        r = read_page(cli, chain, &after, &more, err);
        if (shown && more) fprintf(cli->world->err, "\r%lld entries", (long long)chain->entries.count);
    }
    if (shown) fputs("\r\033[K", cli->world->err);
    return r;
}

/* ---- checkpoints ---- */

static bool read_hex(const char *text, uint8_t *ret, size_t size) {
    return strlen(text) == 2 * size && hex_decode(text, 2 * size, ret);
}

static int read_checkpoint(const json_t *json, const char *name, struct checked *ret, struct err *err) {
    struct audit_checkpoint *checkpoint = &ret->checkpoint;
    *ret = (struct checked){.name = name};
    bool whole = position_from_text(member(json, "position"), &checkpoint->position) &&
                 sha256_from_text(member(json, "hash"), &checkpoint->hash) &&
                 clock_from_text(member(json, "at"), &checkpoint->at) &&
                 read_hex(member(json, "public_key"), checkpoint->public_key, ED25519_PUBLIC_SIZE) &&
                 read_hex(member(json, "signature"), checkpoint->signature, ED25519_SIGNATURE_SIZE);
    if (whole && audit_checkpoint_verify(checkpoint)) return 0;
    int r = err_set(err, ERR_INVALID, whole ? "%s does not have a valid signature" : "%s is no checkpoint", name);
    err_remedy(err, "Make one with `serin audit checkpoint > FILE`");
    return r;
}

static int load_kept(const char *path, struct checked *ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(json_decrefp) json_t *json = NULL;
    int r = file_read(path, CHECKPOINT_LIMIT, &text, NULL, err);
    if (r == 0) r = json_parse(text.data ? text.data : "", text.len, 4, &json, err);
    if (r == 0) r = read_checkpoint(json, "the checkpoint that was kept", ret, err);
    if (r < 0) err_at(err, "%s", path);
    return r;
}

static int load_server(struct cli *cli, struct checked *ret, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct call call = {.op = op_get(OP_audit_checkpoint), .path = "/v1/audit/checkpoint"};
    int r = call_send(cli, &call, &answer, err);
    return r < 0 ? r : read_checkpoint(answer.json, "the server's checkpoint", ret, err);
}

static int check_found(const struct chain *chain, struct err *err) {
    for (size_t i = 0; i < chain->checkpoint_count; i++) {
        const struct checked *checked = &chain->checkpoints[i];
        char position[POSITION_TEXT_SIZE], message[128];
        if (checked->found) continue;
        position_text(checked->checkpoint.position, position);
        snprintf(message, sizeof(message), "what %s signed is not in it", checked->name);
        return audit_broken(err, position, message);
    }
    return 0;
}

static int check_same_key(const struct checked *server, const struct checked *kept, struct err *err) {
    if (!memcmp(server->checkpoint.public_key, kept->checkpoint.public_key, ED25519_PUBLIC_SIZE)) return 0;
    err_set(err, ERR_CONFLICT, "the server signs with another key than the checkpoint that was kept");
    err_remedy(err, "Find out who changed the server's audit key, and when");
    return -ERR_CONFLICT;
}

static int print_result(struct cli *cli, const struct chain *chain, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    char position[POSITION_TEXT_SIZE], hash[HASH_TEXT_SIZE];
    struct jw jw = JW_INIT(&out);
    position_text(chain->entries.position, position);
    sha256_text(&chain->entries.hash, hash);
    if (!cli->json) {
        str_printf(&out, "The audit log is whole: %lld entries up to %s, %s\n", (long long)chain->entries.count,
                   position, hash);
        for (size_t i = 0; i < chain->checkpoint_count; i++) {
            position_text(chain->checkpoints[i].checkpoint.position, position);
            str_printf(&out, "It contains what %s signed at %s\n", chain->checkpoints[i].name, position);
        }
        return cli_write(cli, &out, err);
    }
    jw_object(&jw, NULL);
    jw_bool(&jw, "whole", true);
    jw_int(&jw, "entries", chain->entries.count);
    jw_text(&jw, "position", position);
    jw_text(&jw, "hash", hash);
    jw_int(&jw, "checkpoints", (int64_t)chain->checkpoint_count);
    jw_end_object(&jw);
    str_add_char(&out, '\n');
    return cli_write(cli, &out, err);
}

/* ---- without a server ---- */

/* STORE_NONE: no key lies beside the store, or none that may be read. */
static int read_key_beside(const char *url, uint8_t ret_public[ED25519_PUBLIC_SIZE], struct err *err) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    uint8_t key[ED25519_PRIVATE_SIZE];
    struct err unread = ERR_INIT;
    const char *colon = strchr(url, ':');
    str_printf(&path, "%s.audit-key", colon ? colon + 1 : url);
    if (path.failed) return err_no_memory(err);
    int r = file_read(path.data, 4096, &text, NULL, &unread);
    if (r == 0) r = audit_key_from_text(str_slice(&text), key) ? ed25519_public(key, ret_public, err) : STORE_NONE;
    if (text.data) secret_clear(text.data, text.len);
    secret_clear(key, sizeof(key));
    return r == -ERR_FILE || r == -ERR_TOO_LARGE ? STORE_NONE : r;
}

static int check_key_beside(struct cli *cli, const char *url, const struct checked *kept, struct err *err) {
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    int r = read_key_beside(url, public_key, err);
    if (r < 0) return r;
    if (r == STORE_NONE) {
        cli_note(cli, "no audit key lies beside the store, so the key of the checkpoint is taken at its word");
        return 0;
    }
    if (!memcmp(public_key, kept->checkpoint.public_key, ED25519_PUBLIC_SIZE)) return 0;
    err_set(err, ERR_CONFLICT,
            "the audit key beside the store is not the one that signed the checkpoint that was kept");
    err_remedy(err, "Find out who changed the audit key, and when");
    return -ERR_CONFLICT;
}

static int walk_store(void *arg, struct store_tx *tx, struct err *err) {
    struct chain *chain = arg;
    struct store_walk walk = {.each = look_for_checkpoints, .ctx = chain};
    return store_audit_walk(tx, &walk, &chain->entries, err);
}

static int read_store(struct cli *cli, const char *url, struct chain *chain, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    struct store_options options = {.url = url, .clock = cli->world->clock};
    int r = store_visit(&options, STORE_STILL, &store, err);
    if (r == 0) r = store_read(store, walk_store, chain, err);
    if (r < 0 && !*err->at) err_at(err, "%s", url);
    return r;
}

static int verify_store(struct cli *cli, const char *url, const char *kept, struct err *err) {
    struct checked checkpoint;
    struct chain chain = {.checkpoints = &checkpoint, .checkpoint_count = kept ? 1 : 0};
    int r = kept ? load_kept(kept, &checkpoint, err) : 0;
    if (r == 0 && kept) r = check_key_beside(cli, url, &checkpoint, err);
    if (r == 0) r = read_store(cli, url, &chain, err);
    if (r == 0) r = check_found(&chain, err);
    return r < 0 ? r : print_result(cli, &chain, err);
}

/* ---- both ways ---- */

static int verify_server(struct cli *cli, const char *kept, struct err *err) {
    struct checked checkpoints[2];
    struct chain chain = {.checkpoints = checkpoints, .checkpoint_count = 1};
    int r = load_server(cli, &checkpoints[0], err);
    if (r == 0 && kept) {
        r = load_kept(kept, &checkpoints[1], err);
        if (r == 0) r = check_same_key(&checkpoints[0], &checkpoints[1], err);
        chain.checkpoint_count = 2;
    }
    if (r == 0) r = read_chain(cli, &chain, err);
    if (r == 0) r = check_found(&chain, err);
    return r < 0 ? r : print_result(cli, &chain, err);
}

int run_verify(struct cli *cli, struct err *err) {
    const char *store = args_get(&cli->args, "store"), *kept = args_get(&cli->args, "checkpoint");
    return store ? verify_store(cli, store, kept, err) : verify_server(cli, kept, err);
}
