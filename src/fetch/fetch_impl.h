/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. */
#ifndef SERIN_FETCH_FETCH_IMPL_H
#define SERIN_FETCH_FETCH_IMPL_H

#include "fetch/fetch.h"

#include <curl/curl.h>
#include <sys/socket.h>

#define ORIGIN_SIZE 320 /* a host has at most 255 bytes */

/* scheme://host:port as it is compared and shown: lower case, the port always there. */
struct origin {
    char text[ORIGIN_SIZE];
    bool literal; /* the host is an address, not a name */
};

/* Takes an address apart. `strict`: no user name, password, or zone of an IPv6 address. INVALID; `url` is freed by the caller with curl_url_cleanup(). */
int url_parse(const char *text, bool strict, CURLU **ret, struct origin *ret_origin, struct err *err) MUST_CHECK;
/* NOT_ALLOWED. */
int allow_origin(struct fetch_allow *allow, const struct origin *origin, struct err *err) MUST_CHECK;
/* Why nobody's name may lead to this address: "a link-local address"; NULL when it may. */
const char *address_fault(const struct sockaddr *address);

#endif
