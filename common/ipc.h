/*
 * The control socket between a caller (vpn-server, vpn-client) and its enclave: SOCK_SEQPACKET,
 * one message per datagram, a fixed header, exact lengths.
 *
 * Requests carry ids and values: no pointer, path or key byte.  One table says for each type its
 * exact length and the state in which the enclave takes it; both sides check against that table
 * before a handler runs.  Integers are in host order (one machine), reserved bytes are zero.
 *
 * A login at the responder:      HS_REQUEST → HS_AUTH → HS_GRANT → HS_RESPONSE
 * A login at the initiator:      CONNECT → HS_CONNECT … HS_ANSWER → HS_DONE
 */
#ifndef COMMON_IPC_H
#define COMMON_IPC_H

#include <stdint.h>

#include "common/wire.h"

#define IPC_MAX_LANES         16
/* A peer's handle: generation in the upper 16 bits (never 0), table slot in the lower 16. */
#define IPC_PEER_SLOT(handle) ((handle)&0xffffU)
#define IPC_MAX_PEERS         65535

/* The descriptors of a lane, in the order in which they come with IPC_SETUP. */
enum ipc_lane_fd {
    IPC_LANE_MEMORY,      /* ring_area_create() */
    IPC_LANE_WORKER_BELL, /* bell_create(): rung by the lane */
    IPC_LANE_BELL,        /* rung by the worker */
    IPC_LANE_FDS,
};
#define IPC_MAX_FDS (IPC_LANE_FDS * IPC_MAX_LANES)

enum ipc_type {
    IPC_NONE = 0,
    /* caller → enclave */
    IPC_SETUP,       /* the rings: enum ipc_lane_fd of each lane come along */
    IPC_USER_ADD,    /* responder */
    IPC_USER_DEL,    /* responder */
    IPC_ALLOW,       /* one more prefix as inner address: of a user, or of a tunnel */
    IPC_ALLOW_CLEAR, /* forget the prefixes of one end */
    IPC_HS_REQUEST,  /* responder: a CONNECT_REQ that arrived */
    IPC_HS_GRANT,    /* responder: the lease, or why there is none */
    IPC_CONNECT,     /* initiator: start (or restart) a login */
    IPC_HS_ANSWER,   /* initiator: a CONNECT_RESP that arrived */
    IPC_PEER_DROP,   /* forget a peer and wipe its sessions */
    /* enclave → caller */
    IPC_READY,       /* sealed; what the ladder reached */
    IPC_FAILED,      /* could not start: which step, which errno; the enclave exits */
    IPC_HS_AUTH,     /* responder: an authentic login asks for a lease */
    IPC_HS_RESPONSE, /* responder: send this CONNECT_RESP */
    IPC_HS_DROPPED,  /* responder: a request was dropped, and why */
    IPC_HS_CONNECT,  /* initiator: send this CONNECT_REQ */
    IPC_HS_DONE,     /* initiator: the server's authenticated answer */
    IPC_NUM_TYPES,
};

/* When the enclave takes a message. */
enum ipc_state {
    IPC_STATE_NEVER = 0, /* it only sends this one */
    IPC_STATE_SETUP,     /* before the seal */
    IPC_STATE_RESPONDER, /* sealed */
    IPC_STATE_INITIATOR, /* sealed */
    IPC_STATE_SEALED,    /* sealed, either role */
};

struct ipc_hdr {
    uint16_t type;
    uint16_t zero;
    uint32_t length; /* of the whole message */
};

struct ipc_setup {
    struct ipc_hdr hdr;
    uint32_t lanes;
    uint32_t zero;
};

struct ipc_user_add {
    struct ipc_hdr hdr;
    uint32_t user_id;
    char user[WIRE_USER_MAX]; /* padded with NULs; 64 characters have none */
    uint8_t key[WIRE_KEY_LEN];
};

struct ipc_user_del {
    struct ipc_hdr hdr;
    uint32_t user_id;
};

/* Which inner address of a packet that arrives a prefix allows. */
enum ipc_allow_end {
    IPC_ALLOW_SOURCE,      /* responder: networks behind a user; initiator: accepted routes */
    IPC_ALLOW_DESTINATION, /* initiator: networks behind this client */
    IPC_ALLOW_ENDS,
};

struct ipc_allow {
    struct ipc_hdr hdr;
    uint32_t id; /* user_id at the responder, tunnel at the initiator */
    uint8_t family;
    uint8_t prefix_len;
    uint8_t end; /* enum ipc_allow_end */
    uint8_t zero;
    uint8_t addr[16];
};

struct ipc_allow_clear {
    struct ipc_hdr hdr;
    uint32_t id;
    uint8_t end; /* enum ipc_allow_end */
    uint8_t zero[3];
};

struct ipc_hs_request {
    struct ipc_hdr hdr;
    uint32_t ref;    /* the caller's number for where it came from; handed back */
    uint32_t proven; /* 1: its mac2 shows that it came from where it says; else 0 */
    uint8_t source[16];
    uint8_t msg[WIRE_CONNECT_REQ_LEN];
};

/* What the server tells a client about its place in the tunnel. */
struct ipc_lease {
    uint8_t ip4[4], gateway4[4], dns4[4];
    uint8_t ip6[16], gateway6[16], dns6[16];
    uint8_t prefix4, prefix6;
    uint16_t mtu;
    uint16_t keepalive_s;
    uint16_t zero;
    uint32_t lease_s;
};

struct ipc_hs_grant {
    struct ipc_hdr hdr;
    uint32_t handle;
    uint32_t status; /* enum wire_status */
    struct ipc_lease lease;
};

struct ipc_connect {
    struct ipc_hdr hdr;
    uint32_t tunnel;
    uint32_t sequence;
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint8_t want_ip4[4];
    uint16_t mtu;
    uint16_t zero;
};

struct ipc_hs_answer {
    struct ipc_hdr hdr;
    uint32_t tunnel;
    uint8_t msg[WIRE_CONNECT_RESP_LEN];
};

struct ipc_peer_drop {
    struct ipc_hdr hdr;
    uint32_t peer;
};

/* The ladder's steps, in the order in which they are climbed. */
enum ipc_step {
    IPC_STEP_ARGUMENTS,
    IPC_STEP_CREDENTIAL, /* identity, token or key file; index says which tunnel */
    IPC_STEP_MEMLOCK,
    IPC_STEP_SECRET_MEMORY, /* memfd_secret */
    IPC_STEP_MLOCKALL,
    IPC_STEP_NAMESPACES,
    IPC_STEP_EMPTY_ROOT,
    IPC_STEP_BOUNDING_SET,
    IPC_STEP_UID,
    IPC_STEP_NO_NEW_PRIVS,
    IPC_STEP_LANDLOCK,
    IPC_STEP_NOT_DUMPABLE,
    IPC_STEP_PARENT_DEATH,
    IPC_STEP_RINGS,
    IPC_STEP_DESCRIPTORS,
    IPC_STEP_WORKERS,
    IPC_STEP_LIMITS,
    IPC_STEP_KNOWN_ANSWERS,
    IPC_STEP_SECCOMP,
    IPC_NUM_STEPS,
};

enum ipc_step_state {
    IPC_STEP_NOT_TRIED = 0,
    IPC_STEP_DONE,
    IPC_STEP_NOT_AVAILABLE, /* the kernel or the rights of the caller do not allow it */
};

struct ipc_ready {
    struct ipc_hdr hdr;
    uint8_t step[IPC_NUM_STEPS]; /* enum ipc_step_state */
    uint8_t zero[32 - IPC_NUM_STEPS];
    char engine[16];
    uint8_t public_key[WIRE_KEY_LEN]; /* responder: the identity clients pin; initiator: zeros */
};

struct ipc_failed {
    struct ipc_hdr hdr;
    uint32_t step;
    int32_t error; /* errno, positive */
    uint32_t index;
    char why[256]; /* one sentence for the operator, NUL-terminated */
};

struct ipc_hs_auth {
    struct ipc_hdr hdr;
    uint32_t ref;
    uint32_t handle;
    uint32_t user_id;
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint8_t want_ip4[4];
    uint16_t mtu;
    uint16_t zero;
};

struct ipc_hs_response {
    struct ipc_hdr hdr;
    uint32_t ref;
    uint32_t peer; /* 0 when no session came of it */
    uint32_t status;
    uint8_t msg[WIRE_CONNECT_RESP_LEN];
};

struct ipc_hs_dropped {
    struct ipc_hdr hdr;
    uint32_t ref;
    uint32_t reason; /* enum hs_drop */
};

struct ipc_hs_connect {
    struct ipc_hdr hdr;
    uint32_t tunnel;
    uint8_t msg[WIRE_CONNECT_REQ_LEN];
};

struct ipc_hs_done {
    struct ipc_hdr hdr;
    uint32_t tunnel;
    uint32_t status;
    uint32_t peer;
    uint32_t index; /* the server's index: what our datagrams carry from now on */
    struct ipc_lease lease;
};

/* Large enough for every message. */
union ipc_msg {
    struct ipc_hdr hdr;
    struct ipc_setup setup;
    struct ipc_user_add user_add;
    struct ipc_user_del user_del;
    struct ipc_allow allow;
    struct ipc_allow_clear allow_clear;
    struct ipc_hs_request hs_request;
    struct ipc_hs_grant hs_grant;
    struct ipc_connect connect;
    struct ipc_hs_answer hs_answer;
    struct ipc_peer_drop peer_drop;
    struct ipc_ready ready;
    struct ipc_failed failed;
    struct ipc_hs_auth hs_auth;
    struct ipc_hs_response hs_response;
    struct ipc_hs_dropped hs_dropped;
    struct ipc_hs_connect hs_connect;
    struct ipc_hs_done hs_done;
};

/** ipc_type_name() - for messages; never NULL. */
const char *ipc_type_name(unsigned int type);
/** ipc_step_name() - for the log and status; never NULL. */
const char *ipc_step_name(unsigned int step);
/** ipc_type_state() - in which state the enclave takes @type. */
enum ipc_state ipc_type_state(unsigned int type);

/** ipc_fill() - write the header of a message of @type; the rest is the caller's. */
void ipc_fill(union ipc_msg *msg, enum ipc_type type);

/**
 * ipc_check() - is this exactly one well-formed message?
 * @msg: what was received
 * @len: how many bytes of it
 *
 * Return: 0; -EPROTO for an unknown type, a wrong header length or a reserved field that is not
 * zero; -EMSGSIZE when @len is not the type's exact length.
 */
int ipc_check(const union ipc_msg *msg, size_t len);

/**
 * ipc_send() - send one message
 * @fd: SEQPACKET socket
 * @fds: descriptors to pass along, may be NULL
 *
 * Return: 0 or -errno (-EAGAIN when the socket is full and non-blocking).
 */
int ipc_send(int fd, const union ipc_msg *msg, const int *fds, size_t n_fds);

/**
 * ipc_recv() - receive and check one message
 * @flags: MSG_DONTWAIT or 0
 * @fds: where passed descriptors go (close-on-exec), @n_fds their exact expected number;
 *       NULL and 0: passed descriptors are closed and refused
 *
 * Return: 0; -EPIPE at end of file; -EAGAIN; as ipc_check().
 */
int ipc_recv(int fd, union ipc_msg *msg, int flags, int *fds, size_t n_fds);

#endif
