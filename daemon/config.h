/* The server's configuration: /etc/vpn/vpn.yaml as plain values, checked. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

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
struct bundle;
struct conf_kind;

#define CONFIG_PATH            "/etc/vpn/vpn.yaml"
#define CONFIG_USERS_MAX       65536
#define CONFIG_LISTEN_MAX      16
/* Of all users together: the enclave has room for four times as many, see allow.c. */
#define CONFIG_NETWORKS_MAX    4096
#define CONFIG_PUSH_ROUTES_MAX 1024
#define CONFIG_ROUTES_MAX      16384
#define CONFIG_RULES_MAX       16384
#define CONFIG_MASQUERADE_MAX  64
#define CONFIG_TABLE_MAIN      254

#define CONFIG_CLASSES_MAX     256
#define CONFIG_CLASS_NAME_SIZE 65

/* Bits per second. */
struct config_rates {
    uint64_t rate; /* guaranteed */
    uint64_t ceil; /* at most; never below the rate */
};

/* A template: each user of it gets as much, unless it is shared. */
struct config_class {
    char name[CONFIG_CLASS_NAME_SIZE];
    struct config_rates both;             /* as written; zero where there is none */
    struct config_rates download, upload; /* what counts: both where they say nothing */
    uint32_t priority;                    /* 0 is served first */
    bool shared;                          /* all its users have it together */
    bool guaranteed; /* the rates of all users that may be connected fit the total */
};

/* What hangs below a user's class and decides which of their packets goes first. */
enum config_leaf {
    CONFIG_LEAF_AUTO, /* fq_codel where the kernel has it */
    CONFIG_LEAF_FQ_CODEL,
    CONFIG_LEAF_BFIFO,
};

struct config_qos {
    uint64_t download, upload; /* bits per second in all; 0 and 0: there is no QoS */
    const char *default_name;
    const struct config_class *default_class; /* of users without one; or NULL */
    enum config_leaf leaf;
    struct config_class *classes; /* sorted by name */
    size_t n_classes;
};

struct config_user {
    char name[WIRE_USER_MAX + 1];
    uint8_t key[WIRE_KEY_LEN]; /* public */
    struct ip_addr *fixed;     /* in the order of the file */
    size_t n_fixed;
    struct ip_prefix *networks; /* behind the user, host bits clear; no other user's overlap */
    size_t n_networks;
    bool enabled;
    uint64_t expires_s; /* CLOCK_REALTIME from which on there is no login; 0: never */
    uint32_t max_devices;
    const char *class_name;
    const struct config_class *cls; /* the default class counts as well; NULL: none */
    const char *file;               /* where the user is described */
    uint32_t line;
};

enum config_route_type {
    CONFIG_ROUTE_UNICAST,
    CONFIG_ROUTE_UNREACHABLE,
    CONFIG_ROUTE_BLACKHOLE,
};

struct config_route {
    struct ip_prefix *to; /* one, or both families' /0; host bits clear */
    size_t n_to;
    char device[IFNAMSIZ]; /* empty: whatever leads to via */
    struct ip_addr via;    /* family 0: none */
    uint32_t table;        /* never 0 */
    uint32_t metric;
    enum config_route_type type;
};

enum config_family {
    CONFIG_FAMILY_BOTH,
    CONFIG_FAMILY_IP4,
    CONFIG_FAMILY_IP6,
};

struct config_rule {
    uint32_t priority;
    struct ip_prefix from, to; /* family 0: any */
    char iif[IFNAMSIZ];        /* empty: any */
    char oif[IFNAMSIZ];
    struct value_mark mark;      /* mask 0: any */
    struct value_span uids;      /* when has_uids */
    uint32_t table;              /* never 0 */
    uint32_t suppress_prefixlen; /* when has_suppress */
    enum config_family family;   /* as written; what it comes to: */
    bool ip4, ip6, has_uids, has_suppress;
};

struct config_masquerade {
    struct ip_prefix from;
    char device[IFNAMSIZ];
};

/* What becomes of drift: somebody else changed what is ours. */
enum config_drift {
    CONFIG_DRIFT_REPAIR,
    CONFIG_DRIFT_REPORT,
};

/* What a start with a bad file does. */
enum config_invalid {
    CONFIG_INVALID_LAST_GOOD,
    CONFIG_INVALID_REFUSE,
};

/* Everything it points to lives in its arena; never keep a pointer into it across a reload. */
struct config {
    struct arena *arena;
    uint32_t version; /* of the file's format */

    /* server */
    struct ip_endpoint *listen; /* at least one */
    size_t n_listen;
    const char *endpoint; /* "host:port" as clients are told, or NULL */
    const char *identity;
    const char *realm;
    uint32_t max_clients;
    uint32_t session_timeout_s;
    uint32_t workers; /* 0 = auto */

    /* tunnel */
    char device[IFNAMSIZ];
    struct ip_prefix *addresses; /* the server's own, host bits kept; at most one per family */
    size_t n_addresses;
    uint16_t mtu;
    struct ip_range *pool; /* sorted, disjoint; without the server's own address */
    size_t n_pool;
    struct ip_addr *dns; /* in the order of the file */
    size_t n_dns;
    struct ip_addr dns4, dns6; /* the same by family; family 0: none */
    bool client_to_client;
    struct ip_prefix *push_routes; /* told to clients; in the order of the file */
    size_t n_push_routes;

    struct config_user *users; /* sorted by name */
    size_t n_users;

    struct config_qos qos;

    /* the host's routing; in the order of the file */
    struct config_route *routes;
    size_t n_routes;
    struct config_rule *rules;
    size_t n_rules;
    bool forwarding; /* false: as the host has it */
    struct config_masquerade *masquerade;
    size_t n_masquerade;

    uint32_t reconcile_interval_s;
    enum config_drift drift;
    enum config_invalid on_invalid;

    enum log_level log_level;
    const char *log_file; /* NULL: standard error or the journal */
    const char *control_socket;
    const char *control_group;
    const char *state;
};

/**
 * config_load() - read a server file and its drop-ins, and check all of it
 * @path: the file; drop-ins are `<path>.d/` + `*.yaml`, merged in lexical order
 * @out: written on success; config_free() it
 * @problems: gets every error and note, sorted; zeroed or used before
 *
 * Return: 0, also with notes; -EINVAL when the contents are wrong; another -errno when a file could
 * not be read or memory ran out.  Every failure leaves at least one error in @problems.
 */
int config_load(const char *path, struct config **out, struct problems *problems);

/**
 * config_parse() - the same for one text in memory
 * @name: stands for the file's name in messages
 */
int config_parse(const char *name, const void *text, size_t len, struct config **out,
                 struct problems *problems);

/** config_read() - the same for texts that have been read already. */
int config_read(const struct bundle *bundle, struct config **out, struct problems *problems);

/* How it is read; its table is what the JSON Schema is made of. */
extern const struct conf_kind config_kind;

/** config_free() - accepts NULL. */
void config_free(struct config *config);

/** config_user_find() - by name.  Return: NULL when there is none. */
const struct config_user *config_user_find(const struct config *config, const char *name);

/** config_user_allowed() - may this user be logged in at this moment? */
bool config_user_allowed(const struct config_user *user, uint64_t now_s);

/** config_pool_holds() - is @addr in one of the pool's ranges? */
bool config_pool_holds(const struct config *config, const struct ip_addr *addr);
/** config_pool_serves() - has the pool a range of this family? */
bool config_pool_serves(const struct config *config, uint8_t family);

/** config_prefix() - the tunnel's own address and length in one family, or NULL. */
const struct ip_prefix *config_prefix(const struct config *config, uint8_t family);

#endif
