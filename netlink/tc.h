/*
 * Traffic control as plain structs: queueing disciplines, HTB classes, u32 filters.
 *
 * Theory of operation: a qdisc hangs at a device's root, at its ingress, or at a class of another
 * qdisc; HTB divides a rate among classes; u32 filters say which packet goes to which class.  All
 * are numbered by handles of 32 bits: "1:10" is major 1, minor 0x10; a qdisc is "1:", minor 0.
 *
 * As for the other nouns, identity is what the kernel matches on (_cmp_id), and the rest are
 * attributes; but of these the kernel lets only some be changed in place.  So instead of "same or
 * not" the question here has three answers, enum net_tc_diff:
 *
 *  - HTB takes no change at all of a qdisc; a class's parent in a change is silently passed over,
 *    so another parent means another class; so are a u32 key and the number of fq_codel's flows.
 *  - Where an object is recreated, the kernel drops all below it: see net_tc_below().
 *  - A class with filters that point to it, or with child classes, is not removed (EBUSY): filters
 *    go first, then classes from the leaves up, then qdiscs; creating runs the other way.  The
 *    _rank() functions give the order.
 *
 * u32: a filter "table" is a hash table of filters; a "link" sends packets on into a table, to the
 * bucket that some bits of an address choose.  The first table of each priority is made by the
 * kernel and numbered as it comes (800, 801, ...), so here it is always table 0.  All tables of one
 * qdisc share one space of numbers but each is shown with its own priority only, and one whose
 * priority was deleted is in the way though no dump shows it; so all of ours hang at one priority
 * of protocol "all" and tell IPv4 from IPv6 by the packet's first bits.  An empty table costs 2 KiB
 * and cannot be removed while the kernel still frees (later, at its leisure) the link that led
 * there: it refuses, EBUSY.  So a table that is no longer wanted stays until its qdisc goes: see
 * net_filter_lingers().
 *
 * This file has no system call, and links no netlink library.
 */
#ifndef NETLINK_TC_H
#define NETLINK_TC_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "netlink/object.h"

#define NET_TC_ROOT                 UINT32_C(0xffffffff)
#define NET_TC_INGRESS              UINT32_C(0xfffffff1) /* the parent of ingress and clsact */
#define NET_TC_HANDLE(major, minor) (((uint32_t)(major) << 16) | ((uint32_t)(minor)&0xffff))
#define NET_TC_MAJOR(handle)        ((uint32_t)(handle) >> 16)
#define NET_TC_MINOR(handle)        ((uint32_t)(handle)&0xffff)

#define NET_TC_INGRESS_HANDLE NET_TC_HANDLE(0xffff, 0)      /* of the qdisc; ingress's filters */
#define NET_TC_CLSACT_INGRESS NET_TC_HANDLE(0xffff, 0xfff2) /* where clsact's filters hang */
#define NET_TC_CLSACT_EGRESS  NET_TC_HANDLE(0xffff, 0xfff3)

/* A u32 handle: table, bucket, node.  Tables 1 to 0x7ff, nodes 1 to 0xfff are ours to number. */
#define NET_U32_HANDLE(table, bucket, node)                                                        \
    (((uint32_t)(table) << 20) | ((uint32_t)(bucket) << 12) | (uint32_t)(node))
#define NET_U32_TABLE(handle)  ((uint32_t)(handle) >> 20)
#define NET_U32_BUCKET(handle) (((uint32_t)(handle) >> 12) & 0xff)
#define NET_U32_NODE(handle)   ((uint32_t)(handle)&0xfff)
#define NET_U32_TABLE_MAX      0x7ff
#define NET_U32_NODE_MAX       0xfff
#define NET_U32_BUCKETS        256

/* What it takes to make one object like another of the same identity. */
enum net_tc_diff {
    NET_TC_SAME,
    NET_TC_CHANGE,   /* in place: queues and counters stay */
    NET_TC_RECREATE, /* delete and create; what is below goes with it */
};

/* What a request asks for. */
enum net_tc_verb {
    NET_TC_ADD,   /* refused with EEXIST when there is one already */
    NET_TC_ALTER, /* NET_TC_CHANGE of one that is there */
    NET_TC_DEL,
};

enum net_qdisc_kind {
    NET_QDISC_HTB,
    NET_QDISC_FQ_CODEL,
    NET_QDISC_BFIFO,
    NET_QDISC_TBF,     /* splits what is too large; its one class, minor 1, is there by itself */
    NET_QDISC_INGRESS, /* only carries filters for what the device receives */
    NET_QDISC_CLSACT,  /* the same for both directions */
    NET_QDISC_OTHER,   /* read only: a kind we never write */
};

struct net_fq_codel {
    uint32_t limit; /* packets */
    uint32_t flows;
    uint32_t quantum; /* bytes a flow may send in its turn; the kernel takes at least 256 */
    uint32_t target_us;
    uint32_t interval_us;
    uint32_t memory_limit; /* bytes */
    bool ecn;
};

/* Above all other qdiscs, at a rate that nobody reaches: a super-packet is cut into its segments.
 */
struct net_tbf {
    uint64_t rate_bytes_s;
    uint32_t max_bytes; /* what is larger is split, or dropped where that cannot be */
};

struct net_qdisc {
    uint32_t ifindex;
    uint32_t parent; /* NET_TC_ROOT, NET_TC_INGRESS, or a class */
    uint32_t handle; /* minor 0 */
    enum net_qdisc_kind kind;
    char other[NET_KIND_SIZE];  /* read only: what the kernel calls an OTHER */
    uint32_t htb_default;       /* HTB: minor of the class for what no filter knows */
    struct net_fq_codel fq;     /* fq_codel */
    uint32_t bfifo_limit_bytes; /* bfifo */
    struct net_tbf tbf;         /* tbf */
    bool has_more;              /* read only: set up in a way that we never write */
};

/* An HTB class.  Rates are bytes per second, as the kernel counts; bursts are time at that rate. */
struct net_class {
    uint32_t ifindex;
    uint32_t handle; /* major of its qdisc */
    uint32_t parent; /* another class, or the qdisc itself: major:0 */
    uint64_t rate_bytes_s;
    uint64_t ceil_bytes_s;
    uint32_t burst_us;
    uint32_t cburst_us;
    uint32_t quantum; /* bytes in its turn when borrowing; of a leaf only */
    uint32_t prio;    /* 0 (first) to 7; of a leaf only */
    bool inner;       /* read only: it has child classes */
    uint32_t leaf;    /* read only: handle of the qdisc below it, or 0 */
    bool has_more;    /* read only: no HTB class, or with settings we never write */
};

enum net_filter_kind {
    NET_FILTER_TABLE,    /* a hash table of `buckets` */
    NET_FILTER_LINK,     /* what matches goes on in `table`, in a bucket by `hash_byte` */
    NET_FILTER_CLASS,    /* what matches belongs to `classid` */
    NET_FILTER_REDIRECT, /* what matches is sent by another device instead (mirred) */
    NET_FILTER_OTHER,    /* read only: something we never write */
};

/* What of a packet is looked at. */
enum net_filter_side {
    NET_FILTER_ANY,     /* nothing: every packet of the protocol */
    NET_FILTER_VERSION, /* that it is of the prefix's family */
    NET_FILTER_SRC,
    NET_FILTER_DST,
};

struct net_filter {
    uint32_t ifindex;
    uint32_t parent; /* the qdisc it hangs at */
    uint16_t pref;   /* "prio": the lowest is asked first; one protocol each */
    uint8_t family;  /* 4, 6, or 0 for every protocol */
    uint16_t other;  /* read only: ETH_P_ of a protocol we never write */
    uint32_t handle; /* NET_U32_HANDLE; a table's has bucket and node 0 */
    enum net_filter_kind kind;
    uint32_t buckets; /* table: a power of two up to 256 */

    enum net_filter_side side;
    struct ip_prefix prefix; /* what that address must lie in; length 0: anywhere */
    uint32_t classid;        /* class */
    uint32_t table;          /* link */
    enum net_filter_side hash_side;
    uint8_t hash_byte;         /* link: the bucket is this byte of the address, from 0 */
    uint32_t redirect_ifindex; /* redirect */
    char redirect[IFNAMSIZ];   /* redirect: its name; whoever sends it fills in the number */
    uint32_t root_table;       /* read only: the kernel's number of table 0 of this pref */
    bool has_more;             /* read only: matches or does something that we never write */
};

/* What the kernel counts for a qdisc or a class. */
struct net_tc_stats {
    uint64_t bytes;
    uint64_t packets;
    uint32_t drops;
    uint32_t overlimits;
    uint32_t requeues;
    uint32_t backlog_bytes;
    uint32_t backlog_packets;
    /* HTB class */
    uint32_t lends;
    uint32_t borrows;
    /* fq_codel */
    bool has_fq;
    uint32_t fq_maxpacket;
    uint32_t fq_drop_overlimit;
    uint32_t fq_drop_overmemory;
    uint32_t fq_ecn_mark;
    uint32_t fq_new_flows;
    uint32_t fq_memory;
};

/** net_qdisc_cmp_id() - one qdisc per device and parent. */
int net_qdisc_cmp_id(const struct net_qdisc *a, const struct net_qdisc *b);
enum net_tc_diff net_qdisc_diff(const struct net_qdisc *want, const struct net_qdisc *have);
/** net_qdisc_kind_name() - "htb"; the kernel's word for any but NET_QDISC_OTHER. */
const char *net_qdisc_kind_name(enum net_qdisc_kind kind);

/** net_class_cmp_id() - device and handle. */
int net_class_cmp_id(const struct net_class *a, const struct net_class *b);
enum net_tc_diff net_class_diff(const struct net_class *want, const struct net_class *have);

/** net_filter_cmp_id() - device, qdisc, pref, handle. */
int net_filter_cmp_id(const struct net_filter *a, const struct net_filter *b);
enum net_tc_diff net_filter_diff(const struct net_filter *want, const struct net_filter *have);
/** net_filter_rank() - create in rising order, remove in falling: tables 0, keys 1, links 2 and 3.
 */
int net_filter_rank(const struct net_filter *filter);
/** net_filter_lingers() - an unwanted one is let be: it does nothing and may not be removable. */
bool net_filter_lingers(const struct net_filter *filter);

/**
 * net_tc_below() - does what has this handle hang below @qdisc, directly?
 * @at: the parent of a qdisc or filter, the handle of a class; all of the same device
 *
 * Removing a qdisc removes its classes and filters, and the qdiscs at these classes, and so on.
 */
bool net_tc_below(const struct net_qdisc *qdisc, uint32_t at);

/**
 * net_qdisc_format() - as tc(8) writes it: "qdisc htb 1: dev tun0 root default 0x2"
 * @dev: the device's name, NULL to write its number
 * @buf: at least NET_FORMAT_SIZE bytes
 *
 * Return: @buf.  The others likewise.
 */
const char *net_qdisc_format(const struct net_qdisc *qdisc, const char *dev, char *buf);
const char *net_class_format(const struct net_class *cls, const char *dev, char *buf);
const char *net_filter_format(const struct net_filter *filter, const char *dev, char *buf);

/** net_rate_format() - bytes per second as "5Mbit", in the largest unit that is exact. */
const char *net_rate_format(uint64_t bytes_s, char buf[32]);

#endif
