/*
 * One tunnel of the client: a login at one server, kept up for ever.
 *
 * Theory of operation
 * -------------------
 * A tunnel is driven by what the enclave says (tunnel_message()), by datagrams that need no session
 * (tunnel_answer(), login_cookie(), tunnel_stale()), by its server's DISCONNECT, and by time
 * (tunnel_tick()).  Two things live side by side: the *session*, which carries packets, and the
 * *login*, which makes one.  Without a session a login is all there is; with one, a login runs
 * beside it and its session takes over without a packet lost.  tunnel.c has the states and the
 * session, login.c the login.
 *
 * All of it runs on the loop's thread; env->now_ms is the wake-up's clock.
 */
#ifndef CLIENT_TUNNEL_H
#define CLIENT_TUNNEL_H

#include "client/keeper.h"
#include "client/netstate.h"
#include "client/profile.h"
#include "client/pushed.h"
#include "client/resolve.h"
#include "client/stale.h"
#include "client/trust.h"
#include "common/helper.h"
#include "common/ipc.h"
#include "common/mac.h"
#include "daemon/datapath/datapath.h"
#include "daemon/datapath/pmtu.h"

/* Sockets of each lane. */
enum { TUNNEL_SOCKET_IP4, TUNNEL_SOCKET_IP6, TUNNEL_SOCKETS };

/*
 * DOWN        there is no enclave to log in with
 * CONNECTING  no session; a login is under way
 * WAITING     no session; the next login begins when its pause is over
 * CONNECTED   a session; a login may run beside it
 * REFUSED     the server has sent us away; waits for the operator (SIGHUP or a restart)
 *
 *   DOWN ──enclave ready──► CONNECTING ──OK──► CONNECTED ──older than 180 s──► CONNECTING
 *   CONNECTING ──no answer for 90 s, login refused──► WAITING ──time──► CONNECTING
 *   CONNECTED ──server shuts down──► WAITING
 *   CONNECTED ──replaced, kicked, disabled──► REFUSED ──SIGHUP──► CONNECTING
 *   all but REFUSED ──enclave died──► DOWN
 */
enum tunnel_state {
    TUNNEL_DOWN,
    TUNNEL_CONNECTING,
    TUNNEL_WAITING,
    TUNNEL_CONNECTED,
    TUNNEL_REFUSED,
};

/*
 * NONE       no login
 * RESOLVING  the server's name is being looked up
 * ASKED      the enclave is making a CONNECT_REQ
 * SENT       it is under way; the answer is waited for until due_ms
 * PAUSED     the next request is made at due_ms
 */
enum login_phase {
    LOGIN_NONE,
    LOGIN_RESOLVING,
    LOGIN_ASKED,
    LOGIN_SENT,
    LOGIN_PAUSED,
};

struct login {
    enum login_phase phase;
    uint64_t began_ms;
    uint64_t due_ms;
    uint64_t asked_ms;   /* the last request */
    bool restart;        /* the server has said that it ends: it may be back any moment */
    uint32_t sequence;   /* requests of this login so far */
    uint32_t attempts;   /* those that were not answers to a CHALLENGE or COOKIE */
    uint32_t challenges; /* in this attempt */
    uint32_t cookies;    /* likewise */
    uint32_t pauses;
    struct cookie_request asked; /* of the request that is under way: what its answers repeat */
    struct path to;
};

/* What a server under load gave us, to be shown with the next requests. */
struct login_cookie {
    uint8_t value[WIRE_MAC_LEN];
    struct ip_endpoint server;
    uint64_t until_ms; /* 0: none */
};

struct session {
    uint32_t peer;         /* its handle; 0: no session */
    uint32_t server_index; /* what our datagrams carry */
    uint32_t client_index; /* and the server's */
    uint64_t started_ms, rekey_at_ms, last_ping_ms, stale_at_ms;
    uint32_t keepalive_ms;
    struct ipc_lease lease;
    struct stale stale;
    struct pmtu pmtu;
};

/* Complaints are repeated rarely, each kind by itself. */
enum complaint {
    COMPLAINT_NO_ANSWER,
    COMPLAINT_UNREACHABLE,
    COMPLAINT_NAME,
    COMPLAINT_STATUS,
    COMPLAINT_NETWORK,
    COMPLAINT_ROUTES,
    COMPLAINT_UNTRUSTED,
    COMPLAINT_KEPT,
    COMPLAINT_UNROUTABLE,
    COMPLAINT_TOO_MANY,
    COMPLAINT_OWN, /* and the next: one for each address */
    COMPLAINT_OWN_LAST = COMPLAINT_OWN + NETSTATE_ADDRS - 1,
    COMPLAINT_IP6,
    COMPLAINT_NUM,
};

/* What the tunnels of a process share; borrowed. */
struct tunnel_env {
    struct link *link;
    struct datapath *dp;
    struct keeper *keeper;
    struct helper *helper;
    struct dns *dns;
    uint64_t now_ms;
    size_t pushed_max;      /* routes that a server may push to one tunnel */
    bool many;              /* more than one tunnel: lines carry its name */
    bool changed;           /* some tunnel's netstate is not in the kernel yet */
    struct trust_kept kept; /* what the tunnel that takes everything keeps; zero: there is none */
    uint32_t kept_version;  /* counts its changes */
};

/* What the server says and is not set, and why; for the log. */
struct unset {
    struct ip_prefix own[NETSTATE_ADDRS]; /* the network of an address; len 0: it is set */
    size_t untrusted, kept, unroutable;   /* pushed routes */
    size_t pushed;                        /* all of them, when they are too many; else 0 */
};

struct tunnel {
    struct tunnel_env *env;
    const struct profile_tunnel *profile;
    uint32_t number; /* in the enclave and of the port */
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    struct mac_keys mac;
    enum tunnel_state state;
    struct login login;
    struct login_cookie cookie;
    struct session session;
    struct resolve_result addrs; /* of the server; the last that were found */
    bool resolving;              /* a look-up is under way */
    enum trust trust;            /* own_network: in what the server pushes */
    size_t n_allowed;            /* of the profile's routes and networks, told to this enclave */
    struct pushed pushed;        /* own_network: the server's routes */
    struct unset unset;          /* own_network: of the lease and of these */
    uint32_t kept_version;       /* env's, when they were looked at */
    struct ip_prefix *told;      /* own_network: accepted sources, told to this enclave */
    size_t n_told;
    struct netstate netstate;    /* what it needs in the kernel */
    struct ip_prefix *routes;    /* own_network: netstate points here */
    bool opened;                 /* the device is ours */
    bool setting;                /* not set yet, see tunnel_settled() */
    bool fresh;                  /* then it is connected, which has not been said yet */
    uint64_t configure_at_ms;    /* when a refused configuration is tried again; 0: it is fine */
    struct ip_addr dns_said[2];  /* name servers that the operator was told of */
    bool full_said;              /* and that names are looked up beside the full tunnel */
    uint64_t since_ms;           /* connected */
    uint32_t cut_short;          /* sessions in a row that the server ended before they lasted */
    uint64_t rx_bytes, tx_bytes; /* of sessions that are over */
    uint64_t ping_id;
    uint64_t said_ms[COMPLAINT_NUM]; /* 0: not since the last connection */
    char message[256];               /* for status: what it does or why it does not */
};

/** tunnel_init() - from here on it says what it needs in the kernel; opens nothing. */
void tunnel_init(struct tunnel *t, struct tunnel_env *env, const struct profile *all,
                 uint32_t number);
/**
 * tunnel_open() - device and device id; connects nothing yet
 * @tun: a descriptor of /dev/net/tun; the tunnel's from here on, also on failure
 * @state_folder: where the device id is
 */
int tunnel_open(struct tunnel *t, int tun, const char *state_folder, struct err *err);
/** tunnel_leave() - tell the server; the lanes must still run. */
void tunnel_leave(struct tunnel *t);
/** tunnel_close() - remove the device.  Return: 0 or -errno with the sentence. */
int tunnel_close(struct tunnel *t, struct err *err);
/** tunnel_clear() - free the rest. */
void tunnel_clear(struct tunnel *t);

/**
 * tunnel_settled() - the kernel was made equal to what the tunnels need
 * @rc: 0, or -errno with the sentence in @err
 */
void tunnel_settled(struct tunnel *t, int rc, const struct err *err);

/** tunnel_enclave_ready() - lanes run on a fresh enclave: log in. */
void tunnel_enclave_ready(struct tunnel *t);
/** tunnel_enclave_down() - all keys are gone. */
void tunnel_enclave_down(struct tunnel *t);
/** tunnel_message() - the enclave's HS_CONNECT or HS_DONE for this tunnel. */
void tunnel_message(struct tunnel *t, const union ipc_msg *msg);

/** tunnel_answer() - a CONNECT_RESP arrived.  Return: false when it is not for this tunnel. */
bool tunnel_answer(struct tunnel *t, const uint8_t resp[WIRE_CONNECT_RESP_LEN],
                   const struct path *from);
/** tunnel_stale() - a STALE arrived.  Return: false when this tunnel does not heed it. */
bool tunnel_stale(struct tunnel *t, const uint8_t msg[WIRE_STALE_LEN], const struct path *from);
/** tunnel_moved() - the server's packets come from another address now. */
void tunnel_moved(struct tunnel *t);
/** tunnel_proven() - … and it has answered from there. */
void tunnel_proven(struct tunnel *t);
/** tunnel_probed() - a path-MTU probe was answered. */
void tunnel_probed(struct tunnel *t, uint64_t id);
/** tunnel_shrunk() - the kernel refused a packet for its size. */
void tunnel_shrunk(struct tunnel *t);
/** tunnel_disconnected() - the server ended the session. */
void tunnel_disconnected(struct tunnel *t, uint8_t reason);

/** tunnel_control() - a control record of the server; the enclave has checked it. */
void tunnel_control(struct tunnel *t, const uint8_t *record, size_t len);

/** tunnel_retry() - the operator says: try again now. */
void tunnel_retry(struct tunnel *t);
/** tunnel_tick() - do what is due.  Return: when to be called again. */
uint64_t tunnel_tick(struct tunnel *t);

/* ---- for client_ctl.c ---- */

const char *tunnel_state_name(enum tunnel_state state);
/** tunnel_peer() - the lanes' view of the server, NULL without a session. */
struct dp_peer *tunnel_peer(const struct tunnel *t);

/* ---- between tunnel.c, tunnel_net.c and login.c ---- */

/** tunnel_line() - a line of the log, with the tunnel's name when there are several. */
void tunnel_line(const struct tunnel *t, enum log_level level, const char *text);

/** tunnel_say() - a line of the log, and the sentence of the status. */
void tunnel_say(struct tunnel *t, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** tunnel_complain() - likewise, but the line at most every few minutes. */
void tunnel_complain(struct tunnel *t, enum complaint kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** tunnel_warn() - such a line alone, for what does not keep the tunnel from its work. */
void tunnel_warn(struct tunnel *t, enum complaint kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** tunnel_connected() - an authenticated OK: the session is there. */
void tunnel_connected(struct tunnel *t, const struct ipc_hs_done *done);
/** tunnel_disconnect() - the session, if any, is over; the state is the caller's to set. */
void tunnel_disconnect(struct tunnel *t);

/**
 * tunnel_lower() - what a lease, and the routes that were pushed, mean for the kernel
 * @want: n_addrs is 0 when the lease has no usable address; else tunnel_configure() must follow
 */
void tunnel_lower(struct tunnel *t, const struct ipc_lease *lease, struct netstate *want);
/**
 * tunnel_configure() - have it set before the loop sleeps; a refusal is tried again by the tick
 *
 * Return: false when it was so already, and tunnel_settled() will not be called.
 */
bool tunnel_configure(struct tunnel *t, const struct netstate *want);
/** tunnel_aim() - a login goes to @server: its answer must find the way back. */
void tunnel_aim(struct tunnel *t, const struct ip_endpoint *server);

/** tunnel_say_names() - name servers that the lease brings, and what to do with them. */
void tunnel_say_names(struct tunnel *t);

/** tunnel_allow() - tell the enclave one more prefix.  Return: as link_send_all(). */
int tunnel_allow(struct tunnel *t, enum ipc_allow_end end, const struct ip_prefix *prefix);
/** tunnel_untold() - this enclave knows nothing of what was accepted. */
void tunnel_untold(struct tunnel *t);

/** login_begin() - a new login; one that is under way goes on instead. */
void login_begin(struct tunnel *t);
/** login_begin_after() - the same after a pause. */
void login_begin_after(struct tunnel *t, uint32_t ms);
/** login_cancel() - forget it. */
void login_cancel(struct tunnel *t);
/** login_hurry() - the server is there but knows no session: ask it now, not after the wait. */
void login_hurry(struct tunnel *t);
/** login_resume() - the pause is over. */
void login_resume(struct tunnel *t);
/** login_tick() - do what is due.  Return: when to be called again. */
uint64_t login_tick(struct tunnel *t);
/** login_request() - the enclave made a request: send it. */
void login_request(struct tunnel *t, const uint8_t made[WIRE_CONNECT_REQ_LEN]);
/** login_cookie() - a COOKIE arrived.  Return: false when it answers no request of this tunnel. */
bool login_cookie(struct tunnel *t, const uint8_t msg[WIRE_COOKIE_LEN]);
/** login_status() - an authenticated answer that is not OK. */
void login_status(struct tunnel *t, uint32_t status);

#endif
