/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest server over http/: for the framing probe and for bench/http_raw.py. It says where it listens on its first line of
 * output and runs until SIGTERM.
 *
 *   GET  /fixed      a body of --fixed-size bytes, from a worker
 *   any  /echo       method, path, arguments and body, one a line
 *   any  /control    the same from a control thread
 *   GET  /stream     a stream that says "hello" and then nothing
 */
#include "http/http.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct echo {
    char *fixed;
    size_t fixed_size;
};

struct hello {
    struct http_stream stream;
    bool said;
};

static ssize_t hello_read(void *ctx, char *buffer, size_t max) {
    static const char text[] = "data: hello\n\n";
    struct hello *hello = ctx;
    if (hello->said) return 0;
    hello->said = true;
    memcpy(buffer, text, sizeof(text) - 1);
    return (ssize_t)sizeof(text) - 1;
}

static enum http_verdict answer_stream(struct http_response *response) {
    struct hello *hello = calloc(1, sizeof(*hello));
    if (!hello) return HTTP_ANSWER;
    hello->stream = (struct http_stream){.ctx = hello, .read = hello_read, .close = free};
    response->status = 200;
    response->content_type = "text/event-stream";
    response->stream = &hello->stream;
    return HTTP_ANSWER;
}

static int add_argument(void *ctx, const char *name, const char *value) {
    str_printf(ctx, "argument %s = %s\n", name, value);
    return 0;
}

static void answer_echo(void *ctx, struct http_request *request, struct http_response *response) {
    struct str *body = &response->body;
    struct slice sent = http_body(request);
    str_printf(body, "method %s\npath %s\n", http_method(request), http_path(request));
    (void)http_query_each(request, add_argument, body);
    str_add_text(body, "body ");
    str_add_slice(body, sent);
    str_add_text(body, "\n");
    response->status = 200;
    response->content_type = "text/plain";
}

static enum http_verdict answer_fast(void *ctx, struct http_request *request, struct http_response *response) {
    const struct echo *echo = ctx;
    const char *path = http_path(request);
    if (strcmp(path, "/fixed") == 0) {
        str_add(&response->body, echo->fixed, echo->fixed_size);
        response->status = 200;
        response->content_type = "application/json";
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/control") == 0) return HTTP_CONTROL;
    if (strcmp(path, "/stream") == 0) return answer_stream(response);
    answer_echo(ctx, request, response);
    return HTTP_ANSWER;
}

static void refuse(void *ctx, const struct err *err, struct arena *arena, struct http_response *response) {
    response->status = err_status(err->code);
    response->content_type = "application/problem+json";
    str_printf(&response->body, "{\"code\":\"%s\",\"detail\":", err_name(err->code));
    str_add_json(&response->body, err->message, strlen(err->message));
    str_add_text(&response->body, "}\n");
}

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},          {"workers", required_argument, NULL, 'w'},
    {"fixed-size", required_argument, NULL, 'f'},      {"body-limit", required_argument, NULL, 'b'},
    {"request-timeout", required_argument, NULL, 'r'}, {"idle-timeout", required_argument, NULL, 'i'},
    {"connections", required_argument, NULL, 'c'},     {NULL, 0, NULL, 0},
};

static bool set_option(struct http_options *options, struct echo *echo, int option, const char *text) {
    int64_t value = 0;
    if (option == 'l') {
        options->address = text;
        return true;
    }
    if (!text_to_int(text, 1, INT32_MAX, &value)) return false;
    if (option == 'w') options->workers = (unsigned)value;
    if (option == 'f') echo->fixed_size = (size_t)value;
    if (option == 'b') options->body_limit = (size_t)value;
    if (option == 'r') options->request_timeout_s = (unsigned)value;
    if (option == 'i') options->idle_timeout_s = (unsigned)value;
    if (option == 'c') options->connections = (unsigned)value;
    return true;
}

static int serve(struct http_options *options, sigset_t *end) {
    struct err err = ERR_INIT;
    struct http_server *server = NULL;
    if (http_server_start(options, &server, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    (void)printf("%s\n", http_server_address(server));
    (void)fflush(stdout);
    int got = 0;
    (void)sigwait(end, &got);
    http_server_stop(server, 1000);
    return 0;
}

int main(int argc, char **argv) {
    struct echo echo = {.fixed_size = 2048};
    struct http_options options = {
        .address = "127.0.0.1:0",
        .workers = 1,
        .control_threads = 2,
        .control_queue = 64,
        .header_limit = 8192,
        .body_limit = 1024 * 1024,
        .connections = 20000,
        .idle_timeout_s = 60,
        .request_timeout_s = 30,
        .clock = &clock_system,
        .handler = {.ctx = &echo, .fast = answer_fast, .control = answer_echo, .refuse = refuse},
    };
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
        if (option == '?' || !set_option(&options, &echo, option, optarg)) return 2;
    echo.fixed = malloc(echo.fixed_size);
    if (!echo.fixed) return 1;
    memset(echo.fixed, 'x', echo.fixed_size);
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    int code = serve(&options, &end);
    free(echo.fixed);
    return code;
}
