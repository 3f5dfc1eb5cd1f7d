/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin rollout replay`: every decision of a rollout computed again, here and not in the server, from the evidence that its journal holds. The server is
 * asked for bytes only, so whoever has this program can check any server's journal. Moves by people were reached from no evidence and are shown as they are.
 */
#include "base/hash.h"
#include "base/jw.h"
#include "base/uuid.h"
#include "cli/cli_impl.h"
#include "controller/journal.h"

#include <string.h>

#define PAGE 50
#define CELLS 6

enum replay_result { NO_EVIDENCE, SAME, DIFFERENT };
static const char *const result_names[] = {"none", "same", "different"};

struct replayed_move {
    const json_t *move;
    enum replay_result result;
    const char *action, *reason, *words; /* what came of it now, or "" */
};

struct replay {
    struct cli *cli;
    const char *agent, *rollout; /* as they stand in addresses */
    json_t *about, *moves;       /* the rollout; its moves, newest first */
    struct rollout_plan plan;
    struct replayed_move *done; /* oldest first */
    size_t count, decided, different;
};

static const char *member(const json_t *object, const char *name) {
    const char *text = json_get_text(object, name);
    return text ? text : "";
}

/* ---- fetching ---- */

static int ask(struct replay *replay, const struct op *op, const char *path, struct answer *ret, struct err *err) {
    struct call call = {.op = op, .path = path};
    return path ? call_send(replay->cli, &call, ret, err) : err_no_memory(err);
}

/* Whose rollout an id is. */
static int find_agent(struct replay *replay, const char *id, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct arena *arena = &replay->cli->arena;
    int r = ask(replay, op_get(OP_rollouts), arena_printf(arena, "/v1/rollouts?id=%s", id), &answer, err);
    if (r < 0) return r;
    const char *agent = json_get_text(json_array_get(json_get(answer.json, "rollouts"), 0), "agent");
    if (!agent) {
        r = err_set(err, ERR_NOT_FOUND, "there is no rollout %s", id);
        err_at(err, "AGENT");
        err_remedy(err, "`serin rollout list` lists them");
        return r;
    }
    replay->rollout = id;
    replay->agent = arena_strdup(arena, agent);
    return replay->agent ? 0 : err_no_memory(err);
}

static int find(struct replay *replay, struct err *err) {
    struct cli *cli = replay->cli;
    const char *agent = args_get(&cli->args, "agent"), *where = args_get(&cli->args, "rollout");
    if (uuid_valid(agent)) return find_agent(replay, agent, err);
    replay->agent = agent;
    replay->rollout = where ? where : cli->profile.environment;
    if (replay->rollout) return 0;
    int r = err_set(err, ERR_USAGE, "which rollout of %s? Say where: -e ENV", agent);
    err_remedy(err, "Add -e production, or give the rollout's id instead of the agent");
    return r;
}

static const char *page_path(struct replay *replay, int64_t before) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    str_add_text(&path, "/v1/agents/");
    url_add(&path, replay->agent);
    str_add_text(&path, "/rollouts/");
    url_add(&path, replay->rollout);
    str_printf(&path, "?evidence=true&limit=%d", PAGE);
    if (before) str_printf(&path, "&before=%lld", (long long)before);
    return path.failed ? NULL : arena_strdup(&replay->cli->arena, path.data);
}

/* The first page says which rollout it is; the others are of that one, whatever is started meanwhile. */
static int take_page(struct replay *replay, const struct answer *answer, struct err *err) {
    json_t *about = json_get(answer->json, "rollout");
    if (!replay->about) {
        replay->about = json_incref(about);
        replay->rollout = arena_strdup(&replay->cli->arena, member(about, "id"));
    }
    bool taken = replay->rollout && json_array_extend(replay->moves, json_get(answer->json, "moves")) == 0;
    return taken ? 0 : err_no_memory(err);
}

static int fetch(struct replay *replay, struct err *err) {
    int64_t before = 0;
    replay->moves = json_array();
    if (!replay->moves) return err_no_memory(err);
    do {
        _cleanup_(answer_deinit) struct answer answer = {0};
        int r = ask(replay, op_get(OP_rollout_get), page_path(replay, before), &answer, err);
        if (r == 0) r = take_page(replay, &answer, err);
        if (r < 0) return r;
        before = json_integer_value(json_get(answer.json, "next"));
    } while (before);
    return 0;
}

/* ---- deciding again ---- */

static int read_plan(struct replay *replay, struct err *err) {
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    const json_t *plan = json_get(replay->about, "plan");
    int r = rollout_plan_parse(plan, "", false, &replay->cli->arena, &replay->plan, &faults, err);
    if (r < 0 || !faults.errors) return r;
    r = err_set(err, ERR_INVALID, "this program cannot read the rollout's plan: %s", faults.items[0].message);
    err_at(err, "plan%s", faults.items[0].at);
    err_remedy(err, "Use a `serin` of the server's version");
    return r;
}

static int read_evidence(struct replay *replay, const char *text, struct slice *ret, struct err *err) {
    size_t len = strlen(text);
    uint8_t *bytes = arena_alloc(&replay->cli->arena, len / 4 * 3 + 1);
    if (!bytes) return err_no_memory(err);
    ret->ptr = (const char *)bytes;
    return base64_decode(text, len, bytes, &ret->len) ? 0 : err_set(err, ERR_INVALID, "the evidence is no base64");
}

/* Evidence that cannot be read gives no decision, and that is a difference too. */
static int replay_move(struct replay *replay, struct replayed_move *done, struct err *err) {
    struct arena *arena = &replay->cli->arena;
    const char *evidence = json_get_text(done->move, "evidence");
    struct rollout_move move = {.action = member(done->move, "action"), .words = member(done->move, "words")};
    struct replayed again = {0};
    struct err why = ERR_INIT;
    if (!evidence) return 0;
    replay->decided++;
    int r = read_evidence(replay, evidence, &move.evidence, &why);
    if (r == 0) r = journal_replay(&replay->plan, &move, &again, &why);
    if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    done->result = r == 0 && replayed_same(&again) ? SAME : DIFFERENT;
    replay->different += done->result == DIFFERENT;
    done->action = r == 0 ? rollout_action_name(again.ruling.action) : "";
    done->reason = r == 0 ? rollout_reason_name(again.ruling.reason) : "";
    done->words = arena_strdup(arena, r == 0 ? again.words.data : why.message);
    replayed_deinit(&again);
    return done->words ? 0 : err_no_memory(err);
}

static int replay_all(struct replay *replay, struct err *err) {
    replay->count = json_array_size(replay->moves);
    replay->done = arena_array(&replay->cli->arena, replay->count + 1, sizeof(*replay->done));
    if (!replay->done) return err_no_memory(err);
    int r = read_plan(replay, err);
    for (size_t i = 0; i < replay->count && r == 0; i++) {
        const json_t *move = json_array_get(replay->moves, replay->count - 1 - i);
        replay->done[i] = (struct replayed_move){.move = move, .action = "", .reason = "", .words = ""};
        r = replay_move(replay, &replay->done[i], err);
    }
    return r;
}

/* ---- telling ---- */

static void write_json(const struct replay *replay, struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_text(&jw, "rollout", member(replay->about, "id"));
    jw_text(&jw, "agent", member(replay->about, "agent"));
    jw_text(&jw, "environment", member(replay->about, "environment"));
    jw_int(&jw, "decisions", (int64_t)replay->decided);
    jw_int(&jw, "different", (int64_t)replay->different);
    jw_array(&jw, "moves");
    for (size_t i = 0; i < replay->count; i++) {
        const struct replayed_move *done = &replay->done[i];
        jw_object(&jw, NULL);
        jw_text(&jw, "at", member(done->move, "at"));
        jw_int(&jw, "seq", json_integer_value(json_get(done->move, "seq")));
        jw_int(&jw, "step", json_integer_value(json_get(done->move, "step")));
        jw_text(&jw, "action", member(done->move, "action"));
        jw_text(&jw, "by", member(done->move, "by"));
        jw_text(&jw, "words", member(done->move, "words"));
        jw_text(&jw, "replay", result_names[done->result]);
        if (done->result != NO_EVIDENCE) {
            jw_object(&jw, "again");
            jw_text(&jw, "action", done->action);
            jw_text(&jw, "reason", done->reason);
            jw_text(&jw, "words", done->words);
            jw_end_object(&jw);
        }
        jw_end_object(&jw);
    }
    jw_end_array(&jw);
    jw_end_object(&jw);
    str_add_char(out, '\n');
}

static bool fill_row(const struct replay *replay, const struct replayed_move *done, struct cell cells[CELLS]) {
    static const char *const shown[] = {"-", "same", "DIFFERENT"};
    static const enum colour colours[] = {COLOUR_DIM, COLOUR_GREEN, COLOUR_RED};
    struct arena *arena = &replay->cli->arena;
    char when[WHEN_SIZE] = "";
    int64_t at;
    if (clock_from_text(member(done->move, "at"), &at)) when_date(at, when);
    cells[0].text = arena_strdup(arena, when);
    cells[1].text = arena_printf(arena, "%lld", (long long)json_integer_value(json_get(done->move, "step")));
    cells[2].text = member(done->move, "action");
    cells[3].text = member(done->move, "by");
    cells[4] = (struct cell){shown[done->result], colours[done->result]};
    cells[5].text = member(done->move, "words");
    return cells[0].text && cells[1].text;
}

static int write_table(const struct replay *replay, struct str *out, struct err *err) {
    static const struct layout_column columns[CELLS] = {{"WHEN", false, false},   {"STEP", true, false},
                                                        {"ACTION", false, false}, {"BY", false, false},
                                                        {"AGAIN", false, false},  {"WORDS", false, true}};
    const struct cli *cli = replay->cli;
    struct cell *cells = arena_array(&replay->cli->arena, (replay->count + 1) * CELLS, sizeof(*cells));
    struct layout layout = {columns, CELLS, cells, replay->count};
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < replay->count; i++)
        if (!fill_row(replay, &replay->done[i], cells + i * CELLS)) return err_no_memory(err);
    return layout_add(&layout, cli->world->out_is_terminal ? cli->world->width : 0, cli->colour, &replay->cli->arena,
                      out, err);
}

static void write_differences(const struct replay *replay, struct str *out) {
    for (size_t i = 0; i < replay->count; i++) {
        const struct replayed_move *done = &replay->done[i];
        if (done->result != DIFFERENT) continue;
        str_printf(out, "\nAt seq %lld the journal says %s, and now it comes to %s:\n  ",
                   (long long)json_integer_value(json_get(done->move, "seq")), member(done->move, "action"),
                   *done->action ? done->action : "nothing");
        text_add_safe(out, done->words, strlen(done->words), false);
        str_add_char(out, '\n');
    }
}

static void write_sum(const struct replay *replay, struct str *out) {
    if (!replay->decided)
        str_add_text(out, "\nNo decision yet that was reached from evidence.\n");
    else if (!replay->different)
        str_printf(out, "\n%zu decision%s computed again from the evidence: the same to the last bit.\n",
                   replay->decided, replay->decided == 1 ? "" : "s");
}

static int tell(const struct replay *replay, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = 0;
    if (replay->cli->json) {
        write_json(replay, &out);
    } else {
        r = write_table(replay, &out, err);
        write_differences(replay, &out);
        write_sum(replay, &out);
    }
    if (r == 0) r = cli_write(replay->cli, &out, err);
    if (r == 0 && replay->different)
        cli_note(replay->cli,
                 "%zu of %zu decisions DIFFERENT: the program that decided was another one, or the journal was changed",
                 replay->different, replay->decided);
    return r;
}

int run_replay(struct cli *cli, struct err *err) {
    struct replay replay = {.cli = cli};
    int r = find(&replay, err);
    if (r == 0) r = fetch(&replay, err);
    if (r == 0) r = replay_all(&replay, err);
    if (r == 0) r = tell(&replay, err);
    json_decref(replay.about);
    json_decref(replay.moves);
    return r < 0 ? r : replay.different > 0;
}
