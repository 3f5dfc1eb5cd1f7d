/* SPDX-License-Identifier: Apache-2.0 */
/* A chain is made here by the model's own functions, then harmed in every way that verifying must find. */
#include "cli/test_world.h"
#include "model/audit.h"

#include <string.h>

#define ENTRIES 5
#define FIRST_PAGE 3

struct chain {
    struct audit_entry entries[ENTRIES];
    uint8_t key[ED25519_PRIVATE_SIZE];
    struct audit_checkpoint checkpoint;
    struct str pages[2], checkpoint_text;
};

static void make_chain(struct chain *chain) {
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    *chain = (struct chain){0};
    assert_int_equal(ed25519_new(chain->key, public_key, NULL), 0);
    for (int i = 0; i < ENTRIES; i++) {
        struct audit_entry *entry = &chain->entries[i];
        *entry = (struct audit_entry){.position = {1, i + 1},
                                      .at = TEST_NOW + i,
                                      .actor = "k1",
                                      .actor_name = "ada",
                                      .operation = "deploy",
                                      .agent = "support",
                                      .environment = "production",
                                      .reason = "caf\xc3\xa9",
                                      .detail = "{\"version\":1,\"share\":0.5}"};
        if (i) entry->previous = entry[-1].hash;
        assert_int_equal(audit_entry_hash(entry, &entry->hash, NULL), 0);
    }
    chain->checkpoint =
        (struct audit_checkpoint){.position = {1, ENTRIES}, .hash = chain->entries[ENTRIES - 1].hash, .at = TEST_NOW};
    assert_int_equal(audit_checkpoint_sign(&chain->checkpoint, chain->key, NULL), 0);
}

static void chain_deinit(struct chain *chain) {
    str_deinit(&chain->pages[0]);
    str_deinit(&chain->pages[1]);
    str_deinit(&chain->checkpoint_text);
}

static void write_page(const struct chain *chain, int from, int to, struct str *out) {
    struct jw jw = JW_INIT(out);
    str_clear(out);
    jw_object(&jw, NULL);
    jw_array(&jw, "entries");
    for (int i = from; i < to; i++)
        audit_entry_write(&chain->entries[i], &jw);
    jw_end_array(&jw);
    if (to < ENTRIES) jw_int(&jw, "next", to);
    jw_end_object(&jw);
}

static const char *checkpoint_text(const struct audit_checkpoint *checkpoint, struct str *out) {
    char position[POSITION_TEXT_SIZE], hash[HASH_TEXT_SIZE], at[CLOCK_TEXT_SIZE], key[65], signature[129];
    position_text(checkpoint->position, position);
    sha256_text(&checkpoint->hash, hash);
    clock_text(checkpoint->at, at);
    hex_encode(checkpoint->public_key, ED25519_PUBLIC_SIZE, key);
    hex_encode(checkpoint->signature, ED25519_SIGNATURE_SIZE, signature);
    str_clear(out);
    str_printf(out, "{\"position\":\"%s\",\"hash\":\"%s\",\"at\":\"%s\",\"public_key\":\"%s\",\"signature\":\"%s\"}",
               position, hash, at, key, signature);
    return out->data;
}

static int verify(struct test_world *world, struct chain *chain, const char *words) {
    write_page(chain, 0, FIRST_PAGE, &chain->pages[0]);
    write_page(chain, FIRST_PAGE, ENTRIES, &chain->pages[1]);
    ANSWERS(world, {0, 200, checkpoint_text(&chain->checkpoint, &chain->checkpoint_text)},
            {0, 200, chain->pages[0].data}, {0, 200, chain->pages[1].data});
    return test_world_run(world, words);
}

static void test_a_whole_chain(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    assert_int_equal(verify(world, &chain, "audit verify"), 0);
    assert_has(world->out, "The audit log is whole: 5 entries up to 1.5");
    assert_has(world->out, "It contains what the server's checkpoint signed at 1.5");
    assert_int_equal(world->request_count, 3);
    assert_has(world->requests[1].url, "/v1/audit?limit=1000&after=0");
    assert_has(world->requests[2].url, "/v1/audit?limit=1000&after=3");
    assert_int_equal(verify(world, &chain, "audit verify --json"), 0);
    assert_has(world->out, "{\"whole\":true,\"entries\":5,\"position\":\"1.5\"");
}

static void test_altered_entries(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    chain.entries[1].reason = "another";
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "it was altered");
    assert_has(world->err, "at: 1.2");
    chain_deinit(&chain);
    make_chain(&chain);
    chain.entries[2].detail = "{\"version\":2,\"share\":0.5}";
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "at: 1.3");
}

static void test_altered_and_hashed_anew(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    chain.entries[1].reason = "another";
    assert_int_equal(audit_entry_hash(&chain.entries[1], &chain.entries[1].hash, NULL), 0);
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "does not follow the one before");
    assert_has(world->err, "at: 1.3");
}

static void test_a_removed_entry(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    memmove(&chain.entries[1], &chain.entries[2], (ENTRIES - 2) * sizeof(chain.entries[0]));
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "does not follow the one before");
}

static void test_positions_that_fall(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    chain.entries[4].position.seq = 2;
    assert_int_equal(audit_entry_hash(&chain.entries[4], &chain.entries[4].hash, NULL), 0);
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "positions do not rise");
}

/* The whole chain made anew, and signed by the server: only a kept checkpoint tells. */
static void test_history_written_anew(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    char words[128];
    make_chain(&chain);
    test_world_file(world, "kept.json", checkpoint_text(&chain.checkpoint, &chain.checkpoint_text), 0644);
    snprintf(words, sizeof(words), "audit verify --checkpoint %s/kept.json", world->home);
    assert_int_equal(verify(world, &chain, words), 0);
    assert_has(world->out, "It contains what the checkpoint that was kept signed at 1.5");

    for (int i = 0; i < ENTRIES; i++) {
        chain.entries[i].reason = "a nicer one";
        if (i) chain.entries[i].previous = chain.entries[i - 1].hash;
        assert_int_equal(audit_entry_hash(&chain.entries[i], &chain.entries[i].hash, NULL), 0);
    }
    chain.checkpoint.hash = chain.entries[ENTRIES - 1].hash;
    assert_int_equal(audit_checkpoint_sign(&chain.checkpoint, chain.key, NULL), 0);
    assert_int_equal(verify(world, &chain, "audit verify"), 0);
    assert_int_equal(verify(world, &chain, words), 1);
    assert_has(world->err, "what the checkpoint that was kept signed is not in it");

    uint8_t public_key[ED25519_PUBLIC_SIZE];
    assert_int_equal(ed25519_new(chain.key, public_key, NULL), 0);
    assert_int_equal(audit_checkpoint_sign(&chain.checkpoint, chain.key, NULL), 0);
    assert_int_equal(verify(world, &chain, words), 1);
    assert_has(world->err, "signs with another key");
}

static void test_checkpoints_that_are_none(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    static const char *const texts[] = {"{", "{}", "[1]", ""};
    char words[128];
    make_chain(&chain);
    snprintf(words, sizeof(words), "audit verify --checkpoint %s/kept.json", world->home);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        test_world_file(world, "kept.json", texts[i], 0644);
        assert_int_equal(verify(world, &chain, words), 1);
        assert_has(world->err, "kept.json");
    }
    assert_int_equal(verify(world, &chain, "audit verify --checkpoint /nowhere/x"), 1);
    assert_has(world->err, "/nowhere/x");
    chain.checkpoint.signature[5] ^= 1;
    assert_int_equal(verify(world, &chain, "audit verify"), 1);
    assert_has(world->err, "does not have a valid signature");
}

static void test_pages_that_do_not_go_on(void **state) {
    struct test_world *world = *state;
    _cleanup_(chain_deinit) struct chain chain;
    make_chain(&chain);
    ANSWERS(world, {0, 200, checkpoint_text(&chain.checkpoint, &chain.checkpoint_text)},
            {0, 200, "{\"entries\":[],\"next\":0}"});
    assert_int_equal(test_world_run(world, "audit verify"), 1);
    assert_has(world->err, "the pages of the log do not go on");
    ANSWERS(world, {0, 200, checkpoint_text(&chain.checkpoint, &chain.checkpoint_text)}, {0, 200, "{\"entries\":[]}"});
    assert_int_equal(test_world_run(world, "audit verify"), 1);
    assert_has(world->err, "what the server's checkpoint signed is not in it");
    ANSWERS(world, {0, 200, checkpoint_text(&chain.checkpoint, &chain.checkpoint_text)},
            {0, 200, "{\"entries\":[5,{}]}"});
    assert_int_equal(test_world_run(world, "audit verify"), 1);
    assert_has(world->err, "malformed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_whole_chain),
        WORLD_TEST(test_altered_entries),
        WORLD_TEST(test_altered_and_hashed_anew),
        WORLD_TEST(test_a_removed_entry),
        WORLD_TEST(test_positions_that_fall),
        WORLD_TEST(test_history_written_anew),
        WORLD_TEST(test_checkpoints_that_are_none),
        WORLD_TEST(test_pages_that_do_not_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
