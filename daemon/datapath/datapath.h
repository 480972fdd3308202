/*
 * The data path as its owner sees it: lanes, devices, peers, and the events that lanes cannot
 * settle alone.  The server has one device with a queue per lane; the client has one device per
 * tunnel, each on one lane.
 */
#ifndef DAEMON_DATAPATH_DATAPATH_H
#define DAEMON_DATAPATH_DATAPATH_H

#include <pthread.h>

#include "common/epoch.h"
#include "common/err.h"
#include "common/mac.h"
#include "common/ring.h"
#include "daemon/datapath/lookup.h"
#include "daemon/datapath/offload.h"
#include "daemon/datapath/peers.h"
#include "enclave/link.h"

#define DP_MAX_SOCKETS        16
#define DP_MAX_PORTS          1024
#define DP_EVENT_DATA         1280 /* a control record */
#define DP_CONTROL_PER_SECOND 256  /* control records taken from one peer */

/* Why a lane dropped something, beside what the enclave says (ring statuses). */
enum dp_drop {
    DP_DROP_BAD_LENGTH,
    DP_DROP_BAD_TYPE,
    DP_DROP_BAD_VERSION,
    DP_DROP_TOO_LONG, /* over 2048 bytes */
    DP_DROP_BAD_MAC1,
    DP_DROP_UNEXPECTED, /* a kind of message this side does not take */
    DP_DROP_NO_PEER,    /* TUN: nobody owns the inner destination */
    DP_DROP_BAD_PACKET, /* TUN: not a valid IP packet, or larger than the peer's MTU and nobody
                           to be told */
    DP_DROP_ISOLATED,   /* user to user, and client-to-client is off */
    DP_DROP_QUEUE_FULL, /* the main thread or another lane did not keep up */
    DP_DROP_SEND,       /* the kernel refused to send */
    DP_DROP_TOO_BIG,    /* TUN: larger than the path carries; its sender is told */
    DP_DROP_PATH_LIMIT, /* more than three times what came over a path that is not proven */
    DP_DROP_TUN_WRITE,  /* the kernel refused a packet from the tunnel */
    DP_DROP_CONTROL,    /* more control records than anybody needs */
    DP_DROP_UNTOLD,     /* unknown sessions beyond what the main thread could answer */
    DP_DROP_NUM,
};

const char *dp_drop_name(unsigned int drop);

/* Summed over lanes by datapath_stats(). */
struct dp_stats {
    uint64_t drops[DP_DROP_NUM];
    uint64_t statuses[RING_STATUS_NUM]; /* what the enclave refused, by reason */
    uint64_t rx_packets, rx_bytes;      /* out of the tunnel, inner */
    uint64_t tx_packets, tx_bytes;      /* into the tunnel, inner */
};

enum dp_event_kind {
    DP_EVENT_HANDSHAKE,  /* a datagram of types 1 and 2 for the main thread */
    DP_EVENT_UNKNOWN,    /* a transport message of an unknown index: maybe answer STALE */
    DP_EVENT_PROMOTED,   /* a peer confirmed its new session */
    DP_EVENT_MOVED,      /* client: the server's endpoint changed */
    DP_EVENT_PROVEN,     /* a peer's endpoint changed, and it has answered from there */
    DP_EVENT_PONG,       /* a larger path-MTU probe was answered; data: the 16 bytes */
    DP_EVENT_SHRUNK,     /* the kernel refused a packet to this peer for its size */
    DP_EVENT_DISCONNECT, /* data[0]: the reason */
    DP_EVENT_CONTROL,    /* data: the record, checked by the enclave */
    DP_EVENT_DEVICE,     /* a TUN device was deleted under us; peer: the port's number */
    DP_EVENT_RING,       /* the enclave broke the ring: it must be replaced */
};

/* From a lane to the main thread, one message each. */
struct dp_event {
    uint32_t kind; /* enum dp_event_kind */
    uint32_t lane;
    uint32_t peer;
    uint32_t length; /* of data in use; UNKNOWN: of the whole datagram */
    struct path from;
    uint8_t data[DP_EVENT_DATA];
};

enum dp_role { DP_SERVER, DP_CLIENT };

/* A TUN device.  queue[lane] is -1 where this lane does not serve it. */
struct dp_port {
    int queue[IPC_MAX_LANES];
    _Atomic uint32_t peer;  /* client: who gets what the kernel routes here; 0: look up */
    _Atomic uint32_t merge; /* COALESCE_…: what may be written to it as super-packets */
    bool by_lookup;         /* server */
};

struct lane;

struct datapath {
    enum dp_role role;
    uint32_t n_lanes, n_sockets, n_ports;
    _Atomic bool client_to_client;
    struct mac_keys mac; /* server: for mac1 */
    struct epoch epoch;
    struct peers peers;
    struct lookup *lookup; /* server */
    struct offload_choice offloads;
    _Atomic uint32_t offloads_used; /* OFFLOAD_BIT()s */
    int sockets[IPC_MAX_LANES][DP_MAX_SOCKETS];
    struct ip_endpoint listening[DP_MAX_SOCKETS]; /* server: where; family 0: unused */
    int logins[DP_MAX_SOCKETS]; /* server: CONNECT_REQs to the same address; lane 0 reads them */
    struct dp_port *ports;
    /*
     * Two queues to the main thread, [0] to read and [1] for the lanes: what strangers can fill
     * must not push out what authenticated peers caused.
     */
    int event_fds[2], stranger_fds[2];
    int event_epoll;                 /* readable when either is */
    int inbox_fds[IPC_MAX_LANES][2]; /* [0]: the lane reads; [1]: anybody writes */
    struct lane *lanes;
    bool running, paused;
};

/**
 * datapath_init() - empty, no threads
 * @max_addresses, @max_networks: inner addresses and networks of the lookup table (server)
 *
 * Sockets, ports and mac keys are filled in by the caller before datapath_start().  Which offloads
 * may be used is read from the environment (offload.h).
 *
 * Return: 0 or -errno with the sentence.
 */
int datapath_init(struct datapath *dp, enum dp_role role, uint32_t lanes, uint32_t max_addresses,
                  uint32_t max_networks, struct err *err);
/** datapath_clear() - stop, close sockets, queues and everything else. */
void datapath_clear(struct datapath *dp);

/**
 * datapath_add_port() - one more device; all queues -1
 *
 * Return: its number, or -ENOSPC.
 */
int datapath_add_port(struct datapath *dp, bool by_lookup);

/**
 * datapath_port_offload() - may super-packets cross device @number?  After its queues are set
 * @allowed: false: packets come one by one, for a shaper that has no room for larger ones
 *
 * Return: 0, or -errno with the sentence: the kernel lacks what VPN_OFFLOADS insists on.
 */
int datapath_port_offload(struct datapath *dp, uint32_t number, bool allowed, struct err *err);

/** datapath_socket_offload() - let a socket of the lanes send and receive in bulk; as above. */
int datapath_socket_offload(struct datapath *dp, int fd, struct err *err);

/**
 * datapath_listen() - open an address for all lanes (server); while they run only in a pause
 * @steered: 0, or -errno: the kernel does not sort packets for us, lanes hand them over
 *
 * Return: 0 or -errno with the sentence: then none of its sockets is open.
 */
int datapath_listen(struct datapath *dp, const struct ip_endpoint *listen, int *steered,
                    struct err *err);

/** datapath_start() - the enclave is ready: start the lanes on its rings.  Return: 0 or -errno. */
int datapath_start(struct datapath *dp, struct link *link, struct err *err);
/**
 * datapath_stop() - end the lanes; sockets and devices stay open
 * @drain: let what is under way in the rings come out first (bounded)
 */
void datapath_stop(struct datapath *dp, bool drain);

/**
 * datapath_pause() - end the lanes for a moment in which sockets and devices may be exchanged
 *
 * Peers, counters and what lies in the rings stay; what arrives meanwhile waits in the kernel.
 *
 * Return: 0; -EIO when a lane could not bring in all that was under way: then the enclave has to be
 * replaced (the lanes start with the next one).
 */
int datapath_pause(struct datapath *dp);
/** datapath_resume() - go on after a pause.  Return: 0 or -errno with the sentence. */
int datapath_resume(struct datapath *dp, struct err *err);

/** datapath_unlisten() - close an address's sockets; while lanes run only in a pause. */
void datapath_unlisten(struct datapath *dp, uint32_t group);

/** datapath_event_fd() - readable when datapath_event() has something. */
int datapath_event_fd(const struct datapath *dp);
/** datapath_event() - the next event.  Return: 0, or -EAGAIN when there is none. */
int datapath_event(struct datapath *dp, struct dp_event *event);

/**
 * datapath_seal() - have a small message sealed and sent to a peer by its lane
 * @type: WIRE_PING, WIRE_PONG, WIRE_DISCONNECT or WIRE_DATA
 *
 * Return: 0 or -EAGAIN when the lane does not keep up.
 */
int datapath_seal(struct datapath *dp, uint32_t peer, uint8_t type, const void *data, size_t len);

/** datapath_send() - send a datagram that needs no session (handshakes, STALE). */
int datapath_send(struct datapath *dp, const void *buf, size_t len, const struct path *to);

void datapath_stats(struct datapath *dp, struct dp_stats *out);

#endif
