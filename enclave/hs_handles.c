/*
 * The table of waiting logins.
 *
 * Theory of operation
 *
 * A handle's number is its slot and the slot's generation, which grows with each login: a used
 * number never comes back.  A slot whose generations are used up is retired; that takes 2^26 logins
 * in each, and a restart of the enclave brings them back.
 *
 * An answer to a used or invented number means that the caller is hostile, and ends the enclave. An
 * honest caller may be late, though, so numbers given up unanswered are remembered apart.  At most
 * 64 slots expire per second, so 4096 of them cover a caller that stood still for a minute.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "enclave/hs_handles.h"

#define GENERATION_MAX (UINT32_MAX / HS_HANDLES)

void hs_handles_init(struct hs_handles *h)
{
    memset(h, 0, sizeof(*h));
}

static uint32_t handle_number(const struct hs_handles *h, const struct hs_handle *slot)
{
    return slot->generation * HS_HANDLES + (uint32_t)(slot - h->slot);
}

static void handle_wipe(struct hs_handle *slot)
{
    slot->live = false;
    sodium_memzero(&slot->login, sizeof(slot->login));
}

static void handle_give_up(struct hs_handles *h, struct hs_handle *slot)
{
    h->late[h->late_next++ % HS_HANDLES_LATE] = handle_number(h, slot);
    handle_wipe(slot);
}

void hs_handles_expire(struct hs_handles *h, uint64_t now_ms)
{
    for (int i = 0; i < HS_HANDLES; i++) {
        if (h->slot[i].live && now_ms >= h->slot[i].until_ms)
            handle_give_up(h, &h->slot[i]);
    }
}

void hs_handles_drop_user(struct hs_handles *h, uint32_t user_id)
{
    for (int i = 0; i < HS_HANDLES; i++) {
        if (h->slot[i].live && h->slot[i].login.user_id == user_id)
            handle_give_up(h, &h->slot[i]);
    }
}

/* In turn, so that a slot rests as long as possible before its next login. */
static struct hs_handle *handle_free(struct hs_handles *h)
{
    for (uint32_t i = 0; i < HS_HANDLES; i++) {
        struct hs_handle *slot = &h->slot[(h->next + i) % HS_HANDLES];

        if (!slot->live && slot->generation < GENERATION_MAX)
            return slot;
    }
    return NULL;
}

bool hs_handles_room(struct hs_handles *h, uint64_t now_ms)
{
    hs_handles_expire(h, now_ms);
    return handle_free(h) != NULL;
}

uint32_t hs_handles_put(struct hs_handles *h, const struct hs_login *login, uint64_t now_ms)
{
    struct hs_handle *slot;

    hs_handles_expire(h, now_ms);
    slot = handle_free(h);
    if (!slot)
        return 0;
    h->next = (uint32_t)(slot - h->slot) + 1;
    slot->generation++;
    slot->live = true;
    slot->until_ms = now_ms + HS_HANDLE_LIFE_MS;
    slot->login = *login;
    return handle_number(h, slot);
}

/* Forget that @number was given up: it may be answered late once, not twice. */
static bool late_take(struct hs_handles *h, uint32_t number)
{
    if (number == 0)
        return false;
    for (int i = 0; i < HS_HANDLES_LATE; i++) {
        if (h->late[i] == number) {
            h->late[i] = 0;
            return true;
        }
    }
    return false;
}

int hs_handles_take(struct hs_handles *h, uint32_t number, uint64_t now_ms, struct hs_login *login)
{
    struct hs_handle *slot = &h->slot[number % HS_HANDLES];

    hs_handles_expire(h, now_ms);
    if (slot->live && slot->generation == number / HS_HANDLES) {
        *login = slot->login;
        handle_wipe(slot);
        return 0;
    }
    return late_take(h, number) ? -ETIMEDOUT : -EBADMSG;
}
