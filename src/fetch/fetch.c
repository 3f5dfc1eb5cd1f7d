/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One libcurl multi handle for each struct fetch: connections, once opened, are shared by the requests that follow, many requests go on one thread, and
 * another thread can end the wait. A request is a struct transfer from fetch_begin() to its `done`.
 *
 * What a list of origins promises is kept in two places: before the request by its parsed address (origin.c), and when a socket is about to be opened by the
 * address that the name led to. A connection that is taken up again was looked at when it was opened.
 */
#include "fetch/fetch_impl.h"

#include <pthread.h>
#include <stdatomic.h>

#define CONNECT_TIMEOUT_MS INT64_C(10000)
#define HEAD_MAX (64 * 1024)
#define CONNECTIONS_KEPT 16L

struct transfer {
    struct fetch *fetch;
    struct transfer *before, *next;
    struct fetch_request request;
    struct origin origin;
    CURL *curl;
    CURLU *url;
    struct curl_slist *headers;
    struct fetch_answer answer;
    size_t head_bytes;
    bool too_large;
    const char *address_fault; /* of one that the name led to */
    fetch_done *done;
    void *ctx;
};

struct fetch {
    struct fetch_options options;
    CURLM *multi;
    struct transfer *transfers;
    size_t count;
    atomic_bool stopped;
};

/* ---- what libcurl calls ---- */

static size_t receive_head(char *bytes, size_t size, size_t count, void *ctx) {
    struct transfer *transfer = ctx;
    size_t len = size * count;
    transfer->head_bytes += len;
    transfer->too_large = transfer->head_bytes > HEAD_MAX;
    return transfer->too_large ? 0 : len;
}

static size_t receive(char *bytes, size_t size, size_t count, void *ctx) {
    struct transfer *transfer = ctx;
    const struct fetch_request *request = &transfer->request;
    struct str *body = &transfer->answer.body;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (request->data && status >= 200 && status < 300) return request->data(request->data_ctx, bytes, len) ? 0 : len;
    transfer->too_large = len > request->answer_max - body->len;
    if (transfer->too_large) return 0;
    str_add(body, bytes, len);
    return body->failed ? 0 : len;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    struct transfer *transfer = ctx;
    if (transfer->fetch->options.allow && !transfer->origin.literal) {
        const char *fault = address_fault(&address->addr);
        if (fault) transfer->address_fault = fault;
        if (fault) return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- making a request ---- */

static int add_header(struct transfer *transfer, const char *name, const char *value, struct err *err) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    if (strpbrk(name, "\r\n") || strpbrk(value, "\r\n"))
        return err_set(err, ERR_INVALID, "the header %.64s has a line end in it", name);
    str_printf(&line, *value ? "%s: %s" : "%s:", name, value);
    struct curl_slist *more = line.failed ? NULL : curl_slist_append(transfer->headers, line.data);
    if (!more) return err_no_memory(err);
    transfer->headers = more;
    return 0;
}

/* Nobody here waits for "100 Continue". */
static int make_headers(struct transfer *transfer, struct err *err) {
    int r = add_header(transfer, "Expect", "", err);
    for (size_t i = 0; r == 0 && i < transfer->request.header_count; i++)
        r = add_header(transfer, transfer->request.headers[i].name, transfer->request.headers[i].value, err);
    return r;
}

/* Each answers whether libcurl refused anything: an option that is silently missing could be the one that keeps a proxy away. */
static unsigned set_request(struct transfer *transfer) {
    const struct fetch_request *request = &transfer->request;
    CURL *curl = transfer->curl;
    unsigned refused = curl_easy_setopt(curl, CURLOPT_CURLU, transfer->url);
    refused |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers);
    refused |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "serin/" SERIN_VERSION);
    if (request->body.ptr) {
        refused |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.ptr);
        refused |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    if (strcmp(request->method, "GET")) refused |= curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    return refused;
}

static unsigned set_bounds(struct transfer *transfer) {
    int64_t total = transfer->request.timeout_ms;
    int64_t connect = total && total < CONNECT_TIMEOUT_MS ? total : CONNECT_TIMEOUT_MS;
    CURL *curl = transfer->curl;
    unsigned refused = curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)total);
    refused |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    refused |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name server that does not answer shall not be waited for once the request is over. */
    refused |= curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
    if (!transfer->request.silence_s) return refused;
    refused |= curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    return refused | curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)transfer->request.silence_s);
}

static unsigned set_trust(struct transfer *transfer) {
    CURL *curl = transfer->curl;
    unsigned refused = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    refused |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    refused |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    refused |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    refused |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    refused |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
    if (transfer->fetch->options.allow) refused |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
    return refused;
}

static unsigned set_callbacks(struct transfer *transfer) {
    CURL *curl = transfer->curl;
    unsigned refused = curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_head);
    refused |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    refused |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    refused |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    return refused | curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
}

static int prepare(struct transfer *transfer, struct err *err) {
    struct fetch_allow *allow = transfer->fetch->options.allow;
    int r = url_parse(transfer->request.url, allow != NULL, &transfer->url, &transfer->origin, err);
    if (r == 0 && allow) r = allow_origin(allow, &transfer->origin, err);
    if (r == 0) r = make_headers(transfer, err);
    if (r < 0) return r;
    transfer->curl = curl_easy_init();
    if (!transfer->curl ||
        (set_request(transfer) | set_bounds(transfer) | set_trust(transfer) | set_callbacks(transfer)))
        return err_no_memory(err);
    return 0;
}

/* ---- its life ---- */

static struct transfer *transfer_free(struct transfer *transfer) {
    curl_easy_cleanup(transfer->curl);
    curl_slist_free_all(transfer->headers);
    curl_url_cleanup(transfer->url);
    str_deinit(&transfer->answer.body);
    free(transfer);
    return NULL;
}
DEFINE_CLEANUP(struct transfer *, transfer_free)

static void enter(struct fetch *fetch, struct transfer *transfer) {
    transfer->next = fetch->transfers;
    if (transfer->next) transfer->next->before = transfer;
    fetch->transfers = transfer;
    fetch->count++;
}

static void leave(struct fetch *fetch, struct transfer *transfer) {
    curl_multi_remove_handle(fetch->multi, transfer->curl);
    if (transfer->before)
        transfer->before->next = transfer->next;
    else
        fetch->transfers = transfer->next;
    if (transfer->next) transfer->next->before = transfer->before;
    fetch->count--;
}

static int refuse_stopped(struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "no more requests are sent: the program is ending");
}

int fetch_begin(struct fetch *fetch, const struct fetch_request *request, fetch_done *done, void *ctx,
                struct err *err) {
    if (atomic_load(&fetch->stopped)) return refuse_stopped(err);
    _cleanup_(transfer_freep) struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer) return err_no_memory(err);
    transfer->fetch = fetch;
    transfer->request = *request;
    transfer->done = done;
    transfer->ctx = ctx;
    int r = prepare(transfer, err);
    if (r < 0) return r;
    if (curl_multi_add_handle(fetch->multi, transfer->curl)) return err_no_memory(err);
    enter(fetch, TAKE_PTR(transfer));
    return 0;
}

/* ---- its end ---- */

/* Whether the request may have reached the server. */
static enum err_code code_of(CURL *curl, CURLcode result) {
    curl_off_t connected = 0;
    curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &connected);
    if (!connected) return ERR_CONNECT;
    return result == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

static int refuse_address(const struct transfer *transfer, struct err *err) {
    int r = err_set(err, ERR_NOT_ALLOWED, "%s leads to %s", transfer->origin.text, transfer->address_fault);
    err_remedy(err, "No name may lead there; look at what the name stands for");
    return r;
}

/* libcurl's text for the code and not what it wrote for this request, which could hold parts of it. */
static int fail(const struct transfer *transfer, CURLcode result, struct err *err) {
    const char *origin = transfer->origin.text;
    if (transfer->answer.body.failed || result == CURLE_OUT_OF_MEMORY) return err_no_memory(err);
    if (transfer->too_large) return err_set(err, ERR_TOO_LARGE, "the answer of %s is too large", origin);
    enum err_code code = code_of(transfer->curl, result);
    if (code == ERR_CONNECT && transfer->address_fault) return refuse_address(transfer, err);
    int r = err_set(err, code, "%s %s: %s", code == ERR_CONNECT ? "cannot reach" : "lost the connection to", origin,
                    curl_easy_strerror(result));
    if (transfer->fetch->options.allow) err_remedy(err, "Look whether it runs, and whether this machine can reach it");
    if (code == ERR_TIMEOUT && transfer->request.timeout_remedy)
        err_remedy(err, "%s", transfer->request.timeout_remedy);
    return r;
}

static void finish(struct fetch *fetch, struct transfer *transfer, CURLcode result, bool stopped) {
    struct err err = ERR_INIT;
    curl_off_t retry_after = 0;
    long status = 0;
    int r = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->curl, CURLINFO_RETRY_AFTER, &retry_after);
    transfer->answer.status = (int)status;
    transfer->answer.retry_after_s = retry_after;
    if (stopped)
        r = refuse_stopped(&err);
    else if (result != CURLE_OK)
        r = fail(transfer, result, &err);
    leave(fetch, transfer);
    transfer->done(transfer->ctx, r, &transfer->answer, &err);
    transfer_free(transfer);
}

static void reap(struct fetch *fetch) {
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(fetch->multi, &left))) {
        struct transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish(fetch, transfer, message->data.result, false);
    }
}

static bool end_if_stopped(struct fetch *fetch) {
    if (!atomic_load(&fetch->stopped)) return false;
    while (fetch->transfers)
        finish(fetch, fetch->transfers, CURLE_OK, true);
    return true;
}

int fetch_run(struct fetch *fetch, int wait_ms, struct err *err) {
    size_t before = fetch->count;
    int running;
    if (end_if_stopped(fetch)) return 0;
    CURLMcode code = curl_multi_perform(fetch->multi, &running);
    if (!code) reap(fetch);
    if (!code && fetch->count == before) {
        code = curl_multi_poll(fetch->multi, NULL, 0, wait_ms, NULL);
        if (!code) code = curl_multi_perform(fetch->multi, &running);
        if (!code) reap(fetch);
        (void)end_if_stopped(fetch);
    }
    if (code == CURLM_OUT_OF_MEMORY) return err_no_memory(err);
    return code ? err_set(err, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(code)) : 0;
}

size_t fetch_under_way(const struct fetch *fetch) {
    return fetch->count;
}

void fetch_wake(struct fetch *fetch) {
    curl_multi_wakeup(fetch->multi);
}

void fetch_stop(struct fetch *fetch) {
    atomic_store(&fetch->stopped, true);
    fetch_wake(fetch);
}

/* ---- one alone ---- */

struct alone {
    bool ended;
    int result;
    struct fetch_answer *answer;
    struct err *err;
};

static void alone_done(void *ctx, int result, struct fetch_answer *answer, const struct err *err) {
    struct alone *alone = ctx;
    alone->ended = true;
    alone->result = result;
    *alone->answer = *answer;
    *answer = (struct fetch_answer){0};
    if (alone->err && result < 0) *alone->err = *err;
}

int fetch_now(struct fetch *fetch, const struct fetch_request *request, struct fetch_answer *ret, struct err *err) {
    struct alone alone = {.answer = ret, .err = err};
    int r = fetch_begin(fetch, request, alone_done, &alone, err);
    if (r < 0) return r;
    struct transfer *transfer = fetch->transfers;
    while (!alone.ended) {
        r = fetch_run(fetch, INT32_MAX, err);
        if (r == 0 || alone.ended) continue;
        leave(fetch, transfer);
        transfer_free(transfer);
        return r;
    }
    return alone.result;
}

/* ---- life ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_libcurl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* when it fails, no handle can be made */
}

int fetch_new(const struct fetch_options *options, struct fetch **ret, struct err *err) {
    pthread_once(&once, start_libcurl);
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch) return err_no_memory(err);
    fetch->options = *options;
    fetch->multi = curl_multi_init();
    if (!fetch->multi) {
        free(fetch);
        return err_set(err, ERR_INTERNAL, "libcurl does not start");
    }
    curl_multi_setopt(fetch->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    *ret = fetch;
    return 0;
}

struct fetch *fetch_free(struct fetch *fetch) {
    if (!fetch) return NULL;
    while (fetch->transfers) {
        struct transfer *transfer = fetch->transfers;
        leave(fetch, transfer);
        transfer_free(transfer);
    }
    curl_multi_cleanup(fetch->multi);
    free(fetch);
    return NULL;
}
