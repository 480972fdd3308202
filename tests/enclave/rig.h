/*
 * A real enclave on the bench: started as the spawner does it, with rings and a control socket
 * that the test holds, so that the test can be any caller it likes.
 */
#ifndef TESTS_ENCLAVE_RIG_H
#define TESTS_ENCLAVE_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/ipc.h"
#include "common/ring.h"
#include "tests/enclave/peer.h"

#define RIG_USERS   64
#define RIG_USER_ID 7
#define RIG_WAIT_MS 10000 /* how long anything may take before the test fails */

/* What it says at its end when a message was to blame. */
#define RIG_BROKE_CONTRACT "a request broke the contract"

enum rig_role { RIG_RESPONDER, RIG_INITIATOR };

/* What all enclaves of a test program start from. */
struct rig_home {
    char dir[32];
    char identity[64], key_file[64], enclave[256];
    uint8_t server_private[WIRE_KEY_LEN], server_public[WIRE_KEY_LEN];
    uint8_t user_private[WIRE_KEY_LEN], user_public[WIRE_KEY_LEN];
};

extern struct rig_home rig_home;

struct rig {
    pid_t pid;
    int control;
    int err_fd; /* the enclave's standard error */
    uint32_t lanes;
    struct ring_area *area[IPC_MAX_LANES];
    int fds[IPC_MAX_LANES][IPC_LANE_FDS];
    struct ring_end submit[IPC_MAX_LANES], complete[IPC_MAX_LANES];
    struct ipc_ready ready;
};

/**
 * rig_home_make() - keys and files in a temporary folder; for main()
 * @unfit: why these tests cannot run in this build, or NULL
 *
 * Return: 0, or what a program ends with that was skipped, and the reason was said.
 */
int rig_home_make(const char *unfit);
/** rig_home_remove() - a group's end: the files and the folder go */
int rig_home_remove(void **state);

/** rig_exec() - start the program; nothing has been sent to it yet */
void rig_exec(struct rig *r, enum rig_role role, uint32_t lanes);
/** rig_rings() - make memory and bells for all lanes and send them */
void rig_rings(struct rig *r);
/** rig_start() - all of it, up to READY */
void rig_start(struct rig *r, enum rig_role role, uint32_t lanes);
/** rig_worker() - the thread id of a worker */
pid_t rig_worker(const struct rig *r);
/** rig_stop() - kill what still runs and free everything */
void rig_stop(struct rig *r);

/** rig_send() - send raw bytes on the control socket */
void rig_send(struct rig *r, const void *bytes, size_t len);
/** rig_recv() - the next message, which must be of @type */
void rig_recv(struct rig *r, enum ipc_type type, union ipc_msg *msg);
/** rig_wait() - wait for its end.  Return: the status as waitpid() gives it. */
int rig_wait(struct rig *r);
/** rig_assert_ended() - it ends by itself with status 1, and @why is part of what it says */
void rig_assert_ended(struct rig *r, const char *why);
/** rig_assert_fatal() - a fresh responder ends at @msg; @user_known: RIG_USER_ID was announced */
void rig_assert_fatal(const union ipc_msg *msg, bool user_known);
/** rig_assert_alive() - it still answers: a nonsense login is reported as dropped */
void rig_assert_alive(struct rig *r);

/** rig_user_add() - announce the user of rig_home under @id */
void rig_user_add(struct rig *r, uint32_t id);
/** rig_hs_auth() - @p asks until it is let in.  Return: the handle. */
uint32_t rig_hs_auth(struct rig *r, struct peer *p);
/** rig_grant() - fill an HS_GRANT: 10.8.0.10 for @handle */
void rig_grant(union ipc_msg *msg, uint32_t handle, uint32_t status);
/** rig_login() - a whole login of @p, confirmed by a PING.  Return: the peer's handle. */
uint32_t rig_login(struct rig *r, struct peer *p);

/** rig_submit() - hand over a slot whose table is filled, ring if it sleeps */
void rig_submit(struct rig *r, uint32_t lane, struct ring_entry entry);
/** rig_complete() - wait for the next completed batch.  Return: its slot. */
unsigned int rig_complete(struct rig *r, uint32_t lane);
/** rig_open() - have one datagram opened.  Return: the packet's entry; @slot 0 has the plaintext */
struct ring_packet rig_open(struct rig *r, uint32_t lane, const uint8_t *datagram, size_t len);
/** rig_seal() - have one message sealed.  Return: the packet's entry. */
struct ring_packet rig_seal(struct rig *r, uint32_t lane, uint32_t peer, uint8_t type,
                            const void *plain, size_t len);
/** rig_data() - where rig_open() and rig_seal() put their packet in slot 0 */
uint8_t *rig_data(struct rig *r, uint32_t lane);

#endif
