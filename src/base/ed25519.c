/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <openssl/evp.h>

static void pkey_freep(EVP_PKEY **key) {
    EVP_PKEY_free(*key);
}

static void md_ctx_freep(EVP_MD_CTX **ctx) {
    EVP_MD_CTX_free(*ctx);
}

static EVP_PKEY *private_key_new(const uint8_t bytes[ED25519_PRIVATE_SIZE]) {
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, ED25519_PRIVATE_SIZE);
}

int ed25519_new(uint8_t ret_private[ED25519_PRIVATE_SIZE], uint8_t ret_public[ED25519_PUBLIC_SIZE], struct err *err) {
    int r = random_bytes(ret_private, ED25519_PRIVATE_SIZE, err);
    return r < 0 ? r : ed25519_public(ret_private, ret_public, err);
}

int ed25519_public(const uint8_t private_key[ED25519_PRIVATE_SIZE], uint8_t ret_public[ED25519_PUBLIC_SIZE],
                   struct err *err) {
    size_t len = ED25519_PUBLIC_SIZE;
    _cleanup_(pkey_freep) EVP_PKEY *key = private_key_new(private_key);
    if (!key || EVP_PKEY_get_raw_public_key(key, ret_public, &len) != 1)
        return err_set(err, ERR_INTERNAL, "the public half of an Ed25519 key cannot be made");
    return 0;
}

int ed25519_sign(const uint8_t private_key[ED25519_PRIVATE_SIZE], struct slice message,
                 uint8_t ret_signature[ED25519_SIGNATURE_SIZE], struct err *err) {
    size_t len = ED25519_SIGNATURE_SIZE;
    _cleanup_(pkey_freep) EVP_PKEY *key = private_key_new(private_key);
    _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const unsigned char *bytes = (const unsigned char *)(message.len ? message.ptr : "");
    if (!key || !ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, ret_signature, &len, bytes, message.len) != 1)
        return err_set(err, ERR_INTERNAL, "the Ed25519 signature cannot be made");
    return 0;
}

bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_SIZE]) {
    _cleanup_(pkey_freep) EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_PUBLIC_SIZE);
    _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const unsigned char *bytes = (const unsigned char *)(message.len ? message.ptr : "");
    return key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_SIZE, bytes, message.len) == 1;
}
