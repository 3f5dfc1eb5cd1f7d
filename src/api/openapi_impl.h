/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the OpenAPI document share. */
#ifndef SERIN_API_OPENAPI_IMPL_H
#define SERIN_API_OPENAPI_IMPL_H

#include "api/api_impl.h"

/* A member of `responses`. */
void openapi_response(struct jw *jw, const char *status, const char *description, const char *media,
                      const char *schema);

/* The paths below /ofrep/, members of `paths` (openapi_ofrep.c). */
void openapi_ofrep(struct jw *jw);

#endif
