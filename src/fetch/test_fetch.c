/* SPDX-License-Identifier: Apache-2.0 */
/* Requests against a server of the test's own: what may be reached, what comes back, and how everything that goes wrong ends. */
#include "fetch/fetch.h"
#include "fetch/test_server.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "s3cret"

/* ---- names of the test's own ---- */

static const struct {
    const char *name, *address, *fault;
} names[] = {
    {"good.test", "127.0.0.1", NULL},
    {"cloud.test", "169.254.169.254", "a link-local address"},
    {"zero.test", "0.0.0.0", "an unspecified address"},
    {"many.test", "224.0.0.1", "a multicast address"},
    {"all.test", "255.255.255.255", "the broadcast address"},
};

/* Stands before the C library's, for libcurl too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT,
                                                                                                "getaddrinfo");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(name, names[i].name)) return real(names[i].address, service, hints, ret);
    if (!strcmp(name, "nobody.test")) return EAI_NONAME;
    return real(name, service, hints, ret);
}

/* ---- the world ---- */

struct world {
    struct test_server *server;
    struct fetch_allow *allow;
    struct fetch *fetch;
    struct fetch_answer answer;
    struct err err;
    char url[256];
};

static void allow(struct world *world, const char *origins) {
    assert_int_equal(fetch_allow_set(world->allow, origins, NULL), 0);
}

static int setup_with(void **state, bool tls) {
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->server = server_start(tls);
    assert_int_equal(fetch_allow_new("", &world->allow, NULL), 0);
    struct fetch_options options = {.allow = world->allow};
    assert_int_equal(fetch_new(&options, &world->fetch, NULL), 0);
    (void)snprintf(world->url, sizeof(world->url), "http%s://127.0.0.1:%d", tls ? "s" : "", server_port(world->server));
    allow(world, world->url);
    *state = world;
    return 0;
}

static int setup(void **state) {
    return setup_with(state, false);
}

static int setup_tls(void **state) {
    return setup_with(state, true);
}

static int teardown(void **state) {
    struct world *world = *state;
    str_deinit(&world->answer.body);
    fetch_free(world->fetch);
    fetch_allow_free(world->allow);
    server_stop(world->server);
    free(world);
    return 0;
}

/* The world's server with a path, and with something that no error may repeat. */
static const char *url_of(const struct world *world, const char *path, char ret[512]) {
    (void)snprintf(ret, 512, "%s%s?token=" SECRET, world->url, path);
    return ret;
}

static int get_from(struct world *world, const char *url, int64_t timeout_ms) {
    struct fetch_request request = {.method = "GET", .url = url, .timeout_ms = timeout_ms, .answer_max = 65536};
    str_deinit(&world->answer.body);
    world->answer = (struct fetch_answer){0};
    world->err = ERR_INIT;
    int r = fetch_now(world->fetch, &request, &world->answer, &world->err);
    assert_null(strstr(world->err.message, SECRET));
    assert_null(strstr(world->err.remedy, SECRET));
    return r;
}

static int get(struct world *world, const char *path) {
    char url[512];
    return get_from(world, url_of(world, path, url), 5000);
}

static void assert_says(const struct world *world, const char *words) {
    if (!strstr(world->err.message, words)) fail_msg("\"%s\" does not say \"%s\"", world->err.message, words);
}

/* ---- what comes back ---- */

static void test_answer(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/ok"), 0);
    assert_int_equal(world->answer.status, 200);
    assert_string_equal(world->answer.body.data, "hello");
}

static void test_retry_after(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/busy"), 0);
    assert_int_equal(world->answer.status, 503);
    assert_int_equal(world->answer.retry_after_s, 120);
}

static void test_post(void **state) {
    struct world *world = *state;
    char url[512];
    const struct fetch_header headers[] = {{"Content-Type", "text/plain"}, {"Webhook-Id", "msg 1"}};
    struct fetch_request request = {.method = "POST",
                                    .url = url_of(world, "/echo", url),
                                    .headers = headers,
                                    .header_count = ARRAY_LEN(headers),
                                    .body = SLICE_LIT("some bytes"),
                                    .timeout_ms = 5000,
                                    .answer_max = 65536};
    assert_int_equal(fetch_now(world->fetch, &request, &world->answer, NULL), 0);
    const char *echo = world->answer.body.data;
    assert_non_null(strstr(echo, "POST /echo?token=" SECRET " HTTP/1.1\r\n"));
    assert_non_null(strstr(echo, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(echo, "\r\nWebhook-Id: msg 1\r\n"));
    assert_non_null(strstr(echo, "\r\nUser-Agent: serin/"));
    assert_non_null(strstr(echo, "\r\n\r\nsome bytes"));
    assert_null(strstr(echo, "Expect:"));
}

static void test_header_with_line_end(void **state) {
    struct world *world = *state;
    char url[512];
    const struct fetch_header headers[] = {{"X-Name", "a\r\nX-Other: b"}};
    struct fetch_request request = {
        .method = "GET", .url = url_of(world, "/echo", url), .headers = headers, .header_count = 1, .answer_max = 100};
    assert_int_equal(fetch_now(world->fetch, &request, &world->answer, NULL), -ERR_INVALID);
    assert_int_equal(server_asked(world->server), 0);
}

struct pieces {
    struct str text;
    int result;
};

static int take_piece(void *ctx, const char *bytes, size_t len) {
    struct pieces *pieces = ctx;
    str_add(&pieces->text, bytes, len);
    return pieces->result;
}

static void test_pieces(void **state) {
    struct world *world = *state;
    char url[512];
    struct pieces pieces = {.result = 0};
    struct fetch_request request = {
        .method = "GET", .url = url_of(world, "/ok", url), .timeout_ms = 5000, .data = take_piece, .data_ctx = &pieces};
    assert_int_equal(fetch_now(world->fetch, &request, &world->answer, NULL), 0);
    assert_string_equal(pieces.text.data, "hello");
    assert_int_equal(world->answer.body.len, 0);
    pieces.result = 1;
    assert_int_equal(fetch_now(world->fetch, &request, &world->answer, NULL), -ERR_UNAVAILABLE);
    str_deinit(&pieces.text);
}

static void test_redirect_is_not_followed(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/redirect"), 0);
    assert_int_equal(world->answer.status, 302);
    assert_int_equal(server_asked(world->server), 1);
}

/* ---- what goes wrong ---- */

static void test_slow(void **state) {
    struct world *world = *state;
    char url[512];
    static const char *const paths[] = {"/mute", "/drip"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_int_equal(get_from(world, url_of(world, paths[i], url), 200), -ERR_TIMEOUT);
        assert_says(world, world->url);
    }
}

static void test_too_large(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/large"), -ERR_TOO_LARGE);
    assert_says(world, world->url);
    assert_true(world->answer.body.len <= 65536);
    assert_int_equal(get(world, "/heads"), -ERR_TOO_LARGE);
}

static void test_broken_answers(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/cut"), -ERR_UNAVAILABLE);
    assert_int_equal(get(world, "/garbage"), -ERR_UNAVAILABLE);
    assert_says(world, world->url);
}

/* A port that was just free: bound, and not listened at. */
static int silent_port(int *ret_fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static void test_connection_refused(void **state) {
    struct world *world = *state;
    char url[64];
    int fd;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", silent_port(&fd));
    allow(world, url);
    assert_int_equal(get_from(world, url, 5000), -ERR_CONNECT);
    assert_says(world, url);
    close(fd);
}

static void test_no_such_name(void **state) {
    struct world *world = *state;
    allow(world, "http://nobody.test:9090");
    assert_int_equal(get_from(world, "http://nobody.test:9090/x?token=" SECRET, 2000), -ERR_CONNECT);
    assert_says(world, "cannot reach http://nobody.test:9090: ");
}

static void test_unknown_certificate(void **state) {
    struct world *world = *state;
    assert_int_equal(get(world, "/ok"), -ERR_CONNECT);
    assert_says(world, "certificate");
    assert_int_equal(server_asked(world->server), 0);
    struct fetch_options anywhere = {.allow = NULL};
    fetch_free(world->fetch);
    assert_int_equal(fetch_new(&anywhere, &world->fetch, NULL), 0);
    assert_int_equal(get(world, "/ok"), -ERR_CONNECT);
}

/* ---- what may be reached ---- */

static void test_proxy_of_the_environment(void **state) {
    struct world *world = *state;
    int fd;
    char proxy[64];
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", silent_port(&fd));
    setenv("http_proxy", proxy, 1);
    setenv("all_proxy", proxy, 1);
    int r = get(world, "/ok");
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    close(fd);
    assert_int_equal(r, 0);
}

static void test_other_origins(void **state) {
    struct world *world = *state;
    char port[128], host[128], scheme[128], user[128];
    int number = server_port(world->server);
    (void)snprintf(port, sizeof(port), "http://127.0.0.1:%d/ok?token=" SECRET, number % 65535 + 1);
    (void)snprintf(host, sizeof(host), "http://localhost:%d/ok?token=" SECRET, number);
    (void)snprintf(scheme, sizeof(scheme), "https://127.0.0.1:%d/ok?token=" SECRET, number);
    (void)snprintf(user, sizeof(user), "http://ada:" SECRET "@127.0.0.1:%d/ok", number);
    const char *const others[] = {port, host, scheme, "http://127.0.0.1/ok"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(get_from(world, others[i], 5000), -ERR_NOT_ALLOWED);
        assert_non_null(strstr(world->err.remedy, "outgoing_allow"));
    }
    const char *const wrong[] = {user,
                                 "ftp://127.0.0.1/x",
                                 "file:///etc/passwd",
                                 "127.0.0.1",
                                 "http://",
                                 "http://a b/",
                                 "http://[fe80::1%25eth0]:9090/",
                                 ""};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (get_from(world, wrong[i], 5000) != -ERR_INVALID) fail_msg("%s: %s", wrong[i], world->err.message);
    allow(world, "");
    assert_int_equal(get(world, "/ok"), -ERR_NOT_ALLOWED);
    assert_int_equal(server_asked(world->server), 0);
}

/* One address in another spelling is the same address; what looks like one is not. */
static void test_spellings(void **state) {
    struct world *world = *state;
    struct fetch_allow *list = world->allow;
    allow(world, "https://Prometheus.Internal, http://10.1.2.3:9090/\thttp://[::1]:80");
    assert_int_equal(fetch_allow_check(list, "https://prometheus.INTERNAL:443/a?b", NULL), 0);
    assert_int_equal(fetch_allow_check(list, "HTTPS://prometheus.internal#x", NULL), 0);
    assert_int_equal(fetch_allow_check(list, "http://0xa.66051:9090/", NULL), 0);
    assert_int_equal(fetch_allow_check(list, "http://[::1]/", NULL), 0);
    assert_int_equal(fetch_allow_check(list, "https://prometheus.internal.example.com", NULL), -ERR_NOT_ALLOWED);
    assert_int_equal(fetch_allow_check(list, "https://prometheus.internal.:443", NULL), -ERR_NOT_ALLOWED);
    assert_int_equal(fetch_allow_check(list, "https://a.prometheus.internal", NULL), -ERR_NOT_ALLOWED);
    assert_int_equal(fetch_allow_check(list, "https://prometheus.internal:443@example.com/", NULL), -ERR_INVALID);
    assert_int_equal(fetch_allow_check(list, "http://10.1.2.3:90900/", NULL), -ERR_INVALID);
}

static void test_wrong_lists(void **state) {
    struct world *world = *state;
    static const char *const wrong[] = {"prometheus:9090",
                                        "http://p:9090/graph",
                                        "http://p?x=1",
                                        "http://p#x",
                                        "http://ada:pw@p:9090/",
                                        "ftp://p",
                                        "*",
                                        "http://[fe80::1%25eth0]"};
    char url[512];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char list[128];
        (void)snprintf(list, sizeof(list), "http://good:1 %s", wrong[i]);
        if (fetch_allow_set(world->allow, list, &world->err) != -ERR_CONFIG) fail_msg("%s is taken", wrong[i]);
        assert_says(world, "origin 2 of the list: ");
        assert_null(strstr(world->err.message, "pw"));
    }
    assert_int_equal(fetch_allow_check(world->allow, url_of(world, "/ok", url), NULL), 0);
}

/* Where a name leads is looked at when it is connected to. */
static void test_names_that_lead_astray(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!names[i].fault) continue;
        char url[64];
        (void)snprintf(url, sizeof(url), "http://%s:%d", names[i].name, server_port(world->server));
        allow(world, url);
        assert_int_equal(get_from(world, url, 5000), -ERR_NOT_ALLOWED);
        assert_says(world, names[i].fault);
        assert_says(world, url);
    }
    assert_int_equal(server_asked(world->server), 0);
}

static void test_name_that_leads_well(void **state) {
    struct world *world = *state;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://good.test:%d", server_port(world->server));
    allow(world, url);
    (void)snprintf(url, sizeof(url), "http://good.test:%d/ok", server_port(world->server));
    assert_int_equal(get_from(world, url, 5000), 0);
    assert_int_equal(world->answer.status, 200);
}

/* Listed as what it is, an address is meant: nothing but the network stands against it. */
static void test_literal_address(void **state) {
    struct world *world = *state;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://0.0.0.0:%d/ok", server_port(world->server));
    allow(world, "");
    assert_int_equal(get_from(world, url, 5000), -ERR_NOT_ALLOWED);
    (void)snprintf(url, sizeof(url), "http://0.0.0.0:%d", server_port(world->server));
    allow(world, url);
    (void)snprintf(url, sizeof(url), "http://0.0.0.0:%d/ok", server_port(world->server));
    assert_int_equal(get_from(world, url, 5000), 0); /* Linux takes it for loopback */
}

/* ---- several at once, and the end ---- */

struct ended {
    int count, ok;
    int result;
};

static void note_end(void *ctx, int result, struct fetch_answer *answer, const struct err *err) {
    struct ended *ended = ctx;
    ended->count++;
    ended->ok += result == 0 && answer->status == 200;
    ended->result = result;
}

/* Those that are answered do not wait for those that are not. */
static void test_several(void **state) {
    struct world *world = *state;
    char mute_url[512], ok_url[512];
    struct ended slow = {0}, fast = {0};
    struct fetch_request mute = {.method = "GET", .url = url_of(world, "/mute", mute_url), .answer_max = 100};
    struct fetch_request ok = {.method = "GET", .url = url_of(world, "/ok", ok_url), .answer_max = 100};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fetch_begin(world->fetch, &mute, note_end, &slow, NULL), 0);
        assert_int_equal(fetch_begin(world->fetch, &ok, note_end, &fast, NULL), 0);
    }
    assert_int_equal(fetch_under_way(world->fetch), 8);
    while (fast.count < 4)
        assert_int_equal(fetch_run(world->fetch, 10000, NULL), 0);
    assert_int_equal(fast.ok, 4);
    assert_int_equal(slow.count, 0);
    assert_int_equal(fetch_under_way(world->fetch), 4);
}

static void *stop_when_asked(void *ctx) {
    struct world *world = ctx;
    if (!server_wait_asked(world->server, 1)) return NULL;
    fetch_stop(world->fetch);
    return world;
}

static void test_stop(void **state) {
    struct world *world = *state;
    pthread_t thread;
    void *asked;
    char url[512];
    assert_int_equal(pthread_create(&thread, NULL, stop_when_asked, world), 0);
    assert_int_equal(get_from(world, url_of(world, "/mute", url), 60000), -ERR_UNAVAILABLE);
    assert_int_equal(pthread_join(thread, &asked), 0);
    assert_non_null(asked);
    assert_int_equal(get(world, "/ok"), -ERR_UNAVAILABLE);
    assert_int_equal(server_asked(world->server), 1);
}

static void *wake(void *ctx) {
    fetch_wake(ctx);
    return NULL;
}

static void *stop(void *ctx) {
    fetch_stop(ctx);
    return NULL;
}

/* Who waits with nothing under way is woken, too. */
static void test_wake(void **state) {
    struct world *world = *state;
    void *(*const calls[])(void *ctx) = {wake, stop};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        pthread_t thread;
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        assert_int_equal(pthread_create(&thread, NULL, calls[i], world->fetch), 0);
        assert_int_equal(fetch_run(world->fetch, 30000, NULL), 0);
        clock_gettime(CLOCK_MONOTONIC, &to);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(to.tv_sec - from.tv_sec < 25);
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_with_line_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redirect_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_such_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_certificate, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(test_proxy_of_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_origins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_lead_astray, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_that_leads_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literal_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
