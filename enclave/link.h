/*
 * The door: a caller's side of the enclave.  Starts it through the spawner, agrees on the rings,
 * passes messages, notices its death and starts the next one.
 *
 * Everything happens in link_service(), called when link_fd() is readable; the callbacks below run
 * inside it.  Sending never blocks the caller's loop for long: the control socket is non-blocking
 * and a full one is reported.
 */
#ifndef ENCLAVE_LINK_H
#define ENCLAVE_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/ipc.h"
#include "common/ring.h"
#include "enclave/spawner.h"

enum link_state {
    LINK_DOWN,     /* no enclave; the next one is started when the back-off is over */
    LINK_STARTING, /* climbing the ladder */
    LINK_READY,
};

struct link_ops {
    /* Sealed and serving; the rings may be used. */
    void (*ready)(void *ctx, const struct ipc_ready *ready);
    /* It could not start.  A new attempt follows unless the caller gives up. */
    void (*failed)(void *ctx, const char *why);
    /* The spawner is gone: there will be no enclave any more; the caller ends. */
    void (*lost)(void *ctx);
    /* It died after READY.  The caller must have stopped using the rings when this returns. */
    void (*down)(void *ctx);
    /* Any other message of the enclave, already checked. */
    void (*message)(void *ctx, const union ipc_msg *msg);
};

struct link;

/**
 * link_new() - make the door; starts nothing yet
 * @spawner: borrowed, must outlive the link
 * @lanes: rings to set up, up to IPC_MAX_LANES
 *
 * Return: 0 or -errno.
 */
int link_new(struct link **out, struct spawner *spawner, uint32_t lanes, const struct link_ops *ops,
             void *ctx);
/** link_free() - closes the door; the enclave wipes and exits. */
void link_free(struct link *link);

/** link_start() - start the first enclave.  Return: 0 or -errno. */
int link_start(struct link *link, struct err *err);

/** link_fd() - an epoll descriptor that is readable when link_service() has work. */
int link_fd(const struct link *link);
void link_service(struct link *link);

/**
 * link_send() - send a request
 *
 * Return: 0; -ENOTCONN when no enclave is ready; -EAGAIN when the socket is full (drop what can be
 * repeated); other -errno.
 */
int link_send(struct link *link, const union ipc_msg *msg);

/**
 * link_send_all() - the same, waiting up to a second for room: for what must not be lost
 *
 * The enclave's main thread answers nothing while it takes users in, so this cannot deadlock.
 */
int link_send_all(struct link *link, const union ipc_msg *msg);

enum link_state link_state(const struct link *link);
pid_t link_pid(const struct link *link);
uint32_t link_restarts(const struct link *link);
/** link_ready_info() - what the last enclave said when it was ready. */
const struct ipc_ready *link_ready_info(const struct link *link);
/** link_is_sealed() - did every step of the ladder that carries the claim succeed? */
bool link_is_sealed(const struct link *link);

/** link_ring() - a lane's shared memory and bells; valid from ready() until down() returns. */
struct ring_area *link_ring(struct link *link, uint32_t lane);
int link_worker_bell(const struct link *link, uint32_t lane);
int link_lane_bell(const struct link *link, uint32_t lane);

#endif
