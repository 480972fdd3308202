/*
 * The control protocol: how vpnctl asks a daemon.
 *
 * A Unix stream socket carries frames: a u32 big-endian length, then that many bytes of one JSON
 * object.  A request is {"version":1,"cmd":"status",...}; its reply {"version":1,"ok":true,...} or
 * {"version":1,"ok":false,"error":"sentence","code":"not-permitted|bad-request|failed|bad-config|
 * changed"}.
 *
 * Bytes may follow a request's object, behind a NUL: the texts of a configuration go as they are.
 *
 * After a reply with "stream":true the connection belongs to the daemon: each further frame is an
 * event, and a peer that says anything more, or does not keep up, is cut off.
 */
#ifndef COMMON_CTL_H
#define COMMON_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define CTL_VERSION     1
#define CTL_REQUEST_MAX (16U << 20) /* bytes of JSON towards the daemon: a configuration */
#define CTL_REPLY_MAX   (64U << 20) /* and back */
#define CTL_PREFIX_LEN  4           /* the length in front of it */
#define CTL_STREAM_MAX  (1U << 20)  /* of events that a peer has not taken yet */
#define CTL_CONNS_MAX   32

#define CTL_IDLE_MS    60000 /* between two requests of one connection */
#define CTL_REQUEST_MS 10000 /* from a request's first byte to its last */
#define CTL_REPLY_MS   30000 /* for the peer to take the whole reply */
#define CTL_CALL_MS    10000 /* how long ctl_call() waits for the daemon to say or take anything */

/* Why a daemon said no. */
enum ctl_code {
    CTL_CODE_NOT_PERMITTED,
    CTL_CODE_BAD_REQUEST,
    CTL_CODE_FAILED,
    CTL_CODE_BAD_CONFIG, /* "problems" says what is wrong with it */
    CTL_CODE_CHANGED,    /* not what the plan was made of any more */
};

/* Who asks, as the kernel vouches for it. */
struct ctl_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

struct ctl_server;

/**
 * ctl_handler - answer one request
 * @ctx:     what ctl_server_open() was given
 * @cmd:     the request's "cmd"
 * @request: the whole request, an object of the right version; valid during the call
 * @peer:    who asks; already allowed to
 *
 * Must not block.  Return: the reply, a new reference (see ctl_reply_ok(), ctl_reply_error());
 * NULL when there was no memory for one.
 */
typedef json_t *ctl_handler(void *ctx, const char *cmd, const json_t *request,
                            const struct ctl_peer *peer);

/**
 * ctl_frame_build() - length and JSON, ready to send
 * @msg: an object
 * @max: CTL_REQUEST_MAX or CTL_REPLY_MAX
 * @len: bytes of the frame
 *
 * Return: the frame, to be freed, or NULL: no memory, or the JSON is over @max.
 */
uint8_t *ctl_frame_build(const json_t *msg, size_t max, size_t *len);

/**
 * ctl_frame_parse() - the JSON object of a frame's body
 *
 * Return: a new reference, or NULL if it is anything but one object of our version.
 */
json_t *ctl_frame_parse(const uint8_t *body, size_t len);

/** ctl_reply_ok() - {"version":1,"ok":true}, to be filled.  Return: a new reference or NULL. */
json_t *ctl_reply_ok(void);

/** ctl_reply_error() - a refusal with its sentence.  Return: a new reference or NULL. */
json_t *ctl_reply_error(enum ctl_code code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * ctl_listen() - make the control socket
 * @path:  where; the last folder is made if it is absent
 * @owner: its owner and that of a folder made here
 * @group: its group, likewise
 * @mode:  permissions of the socket, such as 0660
 * @err:   the reason of a failure
 *
 * A socket left behind by a dead daemon is replaced, one that somebody answers on never.  Uses the
 * process's umask: call it before threads are started.
 *
 * Return: a listening, non-blocking descriptor, or -errno (-EADDRINUSE: another daemon lives
 * there).
 */
int ctl_listen(const char *path, uid_t owner, gid_t group, mode_t mode, struct err *err);

/**
 * ctl_server_open() - serve a control socket
 * @out:         the server
 * @listen_fd:   from ctl_listen(); the server's from here on if this succeeds
 * @allowed_gid: members may ask as well as root and our own uid; (gid_t)-1 for no group
 * @handler:     answers requests
 * @ctx:         handed to @handler
 * @err:         the reason of a failure
 *
 * Return: 0 or -errno.
 */
int ctl_server_open(struct ctl_server **out, int listen_fd, gid_t allowed_gid, ctl_handler *handler,
                    void *ctx, struct err *err);

/** ctl_server_fd() - the one descriptor to poll: readable when there is something to do. */
int ctl_server_fd(const struct ctl_server *cs);

/**
 * ctl_server_service() - do all that is ready, never block
 * @cs:     the server
 * @now_ms: CLOCK_MONOTONIC in milliseconds, read by the caller's loop
 */
void ctl_server_service(struct ctl_server *cs, uint64_t now_ms);

/** ctl_server_blob() - what followed the object of the request that is being answered. */
const char *ctl_server_blob(const struct ctl_server *cs, size_t *len);

/**
 * ctl_server_publish() - one event to every connection that is a stream
 * @event: an object with "version"; borrowed
 */
void ctl_server_publish(struct ctl_server *cs, const json_t *event, uint64_t now_ms);
/** ctl_server_streams() - how many there are: for none an event need not be made. */
size_t ctl_server_streams(const struct ctl_server *cs);

/** ctl_server_close() - drop all connections, close the socket, free; NULL is fine. */
void ctl_server_close(struct ctl_server *cs);

/**
 * ctl_call() - ask a daemon and wait for its answer
 * @path:    its control socket
 * @request: the request: {"version":1,"cmd":...}
 * @reply:   the reply if the daemon said "ok"; a new reference
 * @err:     one sentence on failure, the daemon's own where it gave one
 *
 * Return: 0; -ENOENT or -ECONNREFUSED: no daemon; -EACCES or -EPERM: not permitted; -ETIMEDOUT: it
 * does not answer; -EBADMSG: one side does not understand the other; -EREMOTEIO: the daemon tried
 * and failed; -EINVAL: it finds the configuration wrong; -ESTALE: a plan is out of date; or another
 * -errno.
 */
int ctl_call(const char *path, const json_t *request, json_t **reply, struct err *err);

/*
 * The steps of ctl_call(), for who needs a refusal's reply as well, or a stream.
 *
 * ctl_connect() returns a descriptor or -errno.  ctl_receive() waits for one frame, for ever with
 * a @timeout_ms of -1 (then a signal ends it: -EINTR); @msg is a new reference.  ctl_judge() turns
 * a reply into 0 or what ctl_call() returns.
 */
int ctl_connect(const char *path, struct err *err);
int ctl_send(int fd, const char *path, const json_t *request, struct err *err);
/** ctl_send_blob() - the same with @len bytes behind the object. */
int ctl_send_blob(int fd, const char *path, const json_t *request, const void *blob, size_t len,
                  struct err *err);
int ctl_receive(int fd, const char *path, int timeout_ms, json_t **msg, struct err *err);
int ctl_judge(const json_t *msg, const char *path, struct err *err);

/* ---- between ctl.c, ctl_call.c and ctl_server.c ---- */

struct sockaddr_un;

/** ctl_sockaddr() - the address of a control socket.  Return: 0 or -errno. */
int ctl_sockaddr(const char *path, struct sockaddr_un *sa, struct err *err);
/** ctl_peer_allowed() - may the peer of a connection ask: root, our own uid, or in @group? */
bool ctl_peer_allowed(int fd, gid_t group, struct ctl_peer *peer);
/** ctl_code_name() - as it is on the wire; NULL past the last. */
const char *ctl_code_name(unsigned int code);

#endif
