/* The client's configuration: /etc/vpn/client.yaml as plain values, checked. */
#ifndef CLIENT_PROFILE_H
#define CLIENT_PROFILE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/log.h"
#include "common/problem.h"
#include "common/value.h"
#include "common/wire.h"

struct arena;
struct conf_kind;

#define PROFILE_PATH        "/etc/vpn/client.yaml"
#define PROFILE_TUNNELS_MAX 1024
#define PROFILE_NAME_MAX    64
#define PROFILE_TABLE_MAX   9999

/* One login at one server. */
struct profile_tunnel {
    char name[PROFILE_NAME_MAX + 1]; /* [A-Za-z0-9][A-Za-z0-9._-]*: fit to be a file's name */
    char device[IFNAMSIZ];
    const char *server;      /* "host:port" as written, for messages */
    const char *server_host; /* a name or an address, without brackets */
    uint16_t server_port;
    uint8_t server_key[WIRE_KEY_LEN]; /* pinned */
    const char *realm;                /* never NULL with token_file; may be NULL with key_file */
    const char *user;
    const char *token_file;   /* exactly one of the two; relative paths are resolved against the */
    const char *key_file;     /* folder of the file that holds them */
    bool own_network;         /* no routes given: the tunnel's own network and what is pushed */
    struct ip_prefix *routes; /* networks, host bits clear; `default` is 0.0.0.0/0 and ::/0 */
    size_t n_routes;
    struct ip_prefix *networks; /* behind this client: what comes for them is taken in */
    size_t n_networks;
    uint16_t mtu;   /* 0: what the server says */
    uint32_t table; /* for its routes; 0: main, or one of our own */
    bool has_uids;
    struct value_span uids; /* whose packets are looked up in its table */
    bool block_when_down;
    bool allow_lan;
    struct ip_prefix *exclude; /* stays outside */
    size_t n_exclude;
    const char *file;
    uint32_t line;
};

/* Everything it points to lives in its arena. */
struct profile {
    struct arena *arena;
    uint32_t version;               /* of the file's format */
    struct profile_tunnel *tunnels; /* at least one, sorted by name */
    size_t n_tunnels;
    const char *state;
    const char *control_socket;
    const char *control_group;
    enum log_level log_level;
    const char *log_file; /* NULL: standard error or the journal */
};

/** profile_load() - as config_load() of the server, for a client's file. */
int profile_load(const char *path, struct profile **out, struct problems *problems);

/** profile_parse() - the same for one text in memory; @name stands for the file's name. */
int profile_parse(const char *name, const void *text, size_t len, struct profile **out,
                  struct problems *problems);

/* How it is read; its table is what the JSON Schema is made of. */
extern const struct conf_kind profile_kind;

/** profile_free() - accepts NULL. */
void profile_free(struct profile *profile);

#endif
