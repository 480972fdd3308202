/* Logins that wait for the caller's decision: accepted, authenticated, not yet answered. */
#ifndef ENCLAVE_HS_HANDLES_H
#define ENCLAVE_HS_HANDLES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"
#include "enclave/noise.h"

#define HS_HANDLES        64
#define HS_HANDLE_LIFE_MS 1000
#define HS_HANDLES_LATE   4096

/* What it takes to write message 2. */
struct hs_login {
    struct noise_ik ik;
    uint8_t key[WIRE_KEY_LEN]; /* C */
    uint32_t user_id;
    uint32_t client_index;
    uint32_t sequence;
};

struct hs_handle {
    uint32_t generation; /* of the login in it or, when free, of the last one */
    bool live;
    uint64_t until_ms;
    struct hs_login login;
};

struct hs_handles {
    struct hs_handle slot[HS_HANDLES];
    uint32_t next;                  /* where to look for a free one first */
    uint32_t late[HS_HANDLES_LATE]; /* given up before the caller answered; 0: none */
    uint32_t late_next;
};

void hs_handles_init(struct hs_handles *h);

/**
 * hs_handles_put() - let a login wait
 *
 * Return: its number, never 0 and never given twice; 0 when all are taken.
 */
uint32_t hs_handles_put(struct hs_handles *h, const struct hs_login *login, uint64_t now_ms);

/**
 * hs_handles_take() - the caller has decided
 * @login: the login; the handle is used up and wiped
 *
 * Return: 0; -ETIMEDOUT when it was given up before; -EBADMSG when the number was never given or
 * is used already.
 */
int hs_handles_take(struct hs_handles *h, uint32_t number, uint64_t now_ms, struct hs_login *login);

/** hs_handles_room() - is one free? */
bool hs_handles_room(struct hs_handles *h, uint64_t now_ms);
/** hs_handles_expire() - wipe those whose time is over. */
void hs_handles_expire(struct hs_handles *h, uint64_t now_ms);
/** hs_handles_drop_user() - wipe those of a user that is let in no more. */
void hs_handles_drop_user(struct hs_handles *h, uint32_t user_id);

#endif
