/* clang-format off */
/*
 * Quality of service: users and their classes as a tree of the kernel's.
 *
 * Theory of operation
 * -------------------
 *   download: root of tun0          upload: ingress of tun0 ─ mirred ─► ifb-tun0: the same
 *
 *   1:  HTB, default 1:2
 *   └─ 1:1  the total, rate = ceil
 *      ├─ 1:2       default leaf: users without a class, anything else
 *      ├─ 1:10+N    user number N: rate, ceil and priority of the class ── leaf qdisc 10+N:
 *      └─ 1:fd00+h  a shared class, all its users together
 *   filters: u32, hashed over the last two bytes of the inner address, one entry for each
 *
 * HTB sends a packet in one piece, and what this host forwards was merged where it came in, to up to
 * 64 KiB: where the rates are too low for that (see qos_offload()), each tree hangs below a tbf,
 * fffe:, which cuts them up.
 *
 * A user's number stays while the server runs, so a user's class has the same handle for as long as
 * the user is connected, whatever else happens: it is changed in place and keeps what it has
 * queued.
 *
 * Creating a class costs time in proportion to the classes of its qdisc (the kernel looks at each
 * of them for filters that wait for the new one: tc_bind_tclass()), so beyond QOS_FLAT_MAX possible
 * leaves users hang below HTB qdiscs of QOS_GROUP each, which hang at classes of the first:
 *
 *   1:1 ─ 1:10+G ── 10+G: HTB ─ 10+G:1 ─┬─ 10+G:2     default
 *                                       └─ 10+G:10+i  user number G * QOS_GROUP + i
 *
 * But then each packet is classified and scheduled twice, 0.8 to 1.2 µs more of 4 to 5 (see
 * tests/bench/RESULTS.md), so not before it must be.  What makes many classes at once slow is met
 * by laying out a part at a time: see qos_lower().
 *
 * HTB does not see to it that the rates of a class's children stay within its own, so this does:
 * where those who are connected are promised more than there is, what is neither shared nor
 * guaranteed is scaled down to fit.
 *
 * Pure: no system call, clock or log line.
 */
/* clang-format on */
#ifndef DAEMON_QOS_H
#define DAEMON_QOS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ip.h"
#include "daemon/config.h"
#include "netlink/tc.h"

struct net_set;

#define QOS_FLAT_MAX     12000
#define QOS_GROUP        250
#define QOS_NUMBER_MAX   64000 /* users with higher numbers share the default leaf */
#define QOS_NETWORKS_MAX 4000  /* of each family: a list holds no more */
#define QOS_PREFIX_MANY  64    /* networks are looked through one by one: beyond this, say so */

enum qos_direction {
    QOS_DOWNLOAD,
    QOS_UPLOAD,
    QOS_DIRECTIONS,
};

/* What this kernel can do. */
struct qos_support {
    bool htb;
    bool u32;
    bool ifb; /* with ingress and mirred: upload */
    bool tbf;
    bool fq_codel;
};

/* A connected device. */
struct qos_session {
    uint32_t number;         /* of its user, see users.h */
    const char *user;        /* name */
    struct ip_addr ip4, ip6; /* family 0: none */
};

/* What one user, or a shared class, has. */
struct qos_leaf {
    char name[CONFIG_CLASS_NAME_SIZE > WIRE_USER_MAX + 1 ? CONFIG_CLASS_NAME_SIZE
                                                         : WIRE_USER_MAX + 1];
    char cls[CONFIG_CLASS_NAME_SIZE]; /* empty: the default leaf */
    bool shared;
    bool fixed;      /* what it was promised is never scaled */
    uint32_t users;  /* connected */
    uint32_t group;  /* nested: handle of the class at the root that leads to it; else 0 */
    uint32_t handle; /* of its class */
    uint32_t qdisc;  /* of what hangs below */
    uint32_t priority;
    uint64_t rate[QOS_DIRECTIONS]; /* bytes per second, scaled where that is needed */
    uint64_t ceil[QOS_DIRECTIONS];
    uint64_t promised[QOS_DIRECTIONS]; /* the rate before scaling */
};

/* An address or network, and whose it is. */
struct qos_entry {
    struct ip_prefix prefix;
    uint32_t leaf; /* index */
};

/* Who gets what.  Written by qos_tree_build() alone. */
struct qos_tree {
    char device[QOS_DIRECTIONS][IFNAMSIZ];
    bool shaped[QOS_DIRECTIONS];
    uint32_t mtu;
    bool whole; /* super-packets pass unsplit: see qos_offload() */
    bool split; /* or else a qdisc above the tree splits them */
    enum net_qdisc_kind leaf_kind;
    bool nested;
    uint64_t total[QOS_DIRECTIONS];    /* bytes per second */
    uint64_t promised[QOS_DIRECTIONS]; /* to those connected */
    uint64_t smallest[QOS_DIRECTIONS]; /* rate of any class */
    uint64_t largest[QOS_DIRECTIONS];
    bool scaled[QOS_DIRECTIONS];
    struct qos_leaf *leaves; /* the default leaf first, then by handle */
    size_t n_leaves;
    size_t n_ready; /* of them, the first so many are laid out; the others' packets are in leaf 0 */
    struct qos_entry *entries; /* sorted by prefix, no two alike */
    size_t n_entries;
    size_t n_networks; /* of them, what is not a single address */
    size_t n_beyond;   /* users beyond QOS_NUMBER_MAX, and networks beyond what a list holds */
};

/**
 * qos_tree_build() - share out the rates
 * @config: with a `qos:` part, see qos_wanted()
 * @out: qos_tree_free() it
 *
 * Return: 0, or -ENOMEM.
 */
int qos_tree_build(const struct config *config, const struct qos_support *support,
                   const struct qos_session *sessions, size_t n, struct qos_tree **out);
/** qos_tree_free() - NULL is allowed. */
void qos_tree_free(struct qos_tree *tree);
void qos_tree_freep(struct qos_tree **tree);

/** qos_wanted() - does the configuration ask for it? */
bool qos_wanted(const struct config *config);

/** qos_ifb_name() - of the device that shapes what @device receives: "ifb-tun0". */
void qos_ifb_name(const char *device, char out[IFNAMSIZ]);

/**
 * qos_tree_lower() - as objects of the kernel
 * @alias: of the ifb device
 *
 * Return: 0, or -ENOMEM.
 */
int qos_tree_lower(const struct qos_tree *tree, const char *alias, struct net_set *set);

/**
 * qos_lower() - all of the above in one: what @config and who is connected come to
 * @most: leaves to lay out now.  Ten thousand at once take the kernel seconds, in which whoever
 * asks it can do nothing else: so they may come a part at a time, from the first on.  Should more
 *        users than a part come in one turn, with lower numbers than those that are there, the last
 *        of these step back into the default leaf until their turn comes again.
 * @left: how many leaves are not laid out yet; NULL: never mind
 *
 * Without a `qos:` part, or on a kernel that cannot, nothing is added.
 */
int qos_lower(const struct config *config, const struct qos_support *support,
              const struct qos_session *sessions, size_t n, size_t most, const char *alias,
              struct net_set *set, size_t *left, struct err *err);

/**
 * qos_offload() - may packets of up to 64 KiB pass the trees whole, and the TUN?
 *
 * HTB sends a packet as a whole.  A super-packet of 64 KiB holds up a 5 Mbit class for 104 ms, all
 * others below a total of 100 Mbit for 5 ms and more; so they are left whole only where the totals
 * are above that, and no class's ceiling is so low that a user would notice with their own packets.
 */
bool qos_offload(const struct config *config);

#define QOS_COMPLAINT_SIZE 256
#define QOS_COMPLAINTS_MAX 6

/**
 * qos_complaints() - what of the wish this kernel, or this tree, cannot fulfil
 * @tree: NULL: only about the kernel
 * @out: one clear sentence each: what does not work, which module, what is done instead
 *
 * Return: how many.
 */
size_t qos_complaints(const struct config *config, const struct qos_support *support,
                      const struct qos_tree *tree,
                      char out[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE]);

/* ---- between qos.c, qos_lower.c and qos_params.c ---- */

#define QOS_MINOR_DEFAULT 2    /* of the default leaf, also of a group's */
#define QOS_FLOOR_BYTES_S 1000 /* of the default leaf, however little is left: 8 kbit */

/** qos_class_params() - burst and quantum of a class with these rates. */
void qos_class_params(const struct qos_tree *tree, enum qos_direction direction,
                      struct net_class *cls);
/** qos_leaf_params() - the qdisc for a leaf that gets @rate, at most @ceil bytes per second. */
void qos_leaf_params(const struct qos_tree *tree, uint64_t rate, uint64_t ceil,
                     struct net_qdisc *qdisc);

#endif
