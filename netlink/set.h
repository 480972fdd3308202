/*
 * Sets of kernel objects: what is wanted, and what is there.
 *
 * An object is a noun's plain struct (object.h, tc.h, firewall.h) with its kind and the *name* of
 * its device.  Who wants something knows names; the engine finds the interface index when it plans,
 * and fills it in.  So leave .ifindex 0 in objects that are wanted.
 *
 * Pure: no system call, no netlink library.
 */
#ifndef NETLINK_SET_H
#define NETLINK_SET_H

#include <net/if.h>
#include <stddef.h>

#include "common/err.h"
#include "netlink/firewall.h"
#include "netlink/object.h"
#include "netlink/tc.h"

/*
 * In the order in which things are made; they are removed in the reverse order.  The firewall comes
 * before the settings, so that nothing is forwarded a moment too early, and rules after the routes
 * of the tables they lead to.  Qdiscs and classes form a tree and are made from its root.
 */
enum net_kind {
    NET_KIND_LINK,
    NET_KIND_FIREWALL, /* an nf_tables table, whole */
    NET_KIND_SETTING,  /* a sysctl below /proc/sys/net */
    NET_KIND_ADDR,
    NET_KIND_ROUTE,
    NET_KIND_RULE,
    NET_KIND_QDISC,
    NET_KIND_CLASS,
    NET_KIND_FILTER,
    NET_KINDS, /* how many there are */
};

#define NET_SETTING_PATH  64
#define NET_SETTING_VALUE 32

/* A sysctl: "ipv4/conf/tun0/rp_filter" (slashes, because device names may hold dots), and "0". */
struct net_setting {
    char path[NET_SETTING_PATH];
    char value[NET_SETTING_VALUE];
};

struct net_object {
    enum net_kind kind;
    char dev[IFNAMSIZ]; /* whose device it is on; empty: on none */
    union {
        struct net_link link;
        struct net_firewall *firewall; /* in a set: the set's own copy */
        struct net_setting setting;
        struct net_addr addr;
        struct net_route route;
        struct net_rule rule;
        struct net_qdisc qdisc;
        struct net_class cls;
        struct net_filter filter;
    };
};

struct net_set;

/** net_set_new() - an empty set.  Return: NULL when out of memory. */
struct net_set *net_set_new(void);
/** net_set_free() - the set and all in it; NULL is allowed. */
void net_set_free(struct net_set *set);
/** net_set_freep() - for _cleanup_(). */
void net_set_freep(struct net_set **set);
/** net_set_copy() - Return: NULL when out of memory. */
struct net_set *net_set_copy(const struct net_set *set);

/**
 * net_set_add() - put a copy of @object into the set
 *
 * Networks lose their host bits, as the kernel keeps them.  The others do the same for one kind; a
 * device may be NULL where an object has none.
 *
 * Return: 0, -ENOMEM, or -EINVAL for a device or path that cannot be one.
 */
int net_set_add(struct net_set *set, const struct net_object *object);
int net_set_add_link(struct net_set *set, const struct net_link *link);
/* Without rules it is a table that is not there, and nothing is added. */
int net_set_add_firewall(struct net_set *set, const struct net_firewall *firewall);
/* "ipv4/conf/tun0/..." waits for tun0. */
int net_set_add_setting(struct net_set *set, const char *path, const char *value);
int net_set_add_addr(struct net_set *set, const char *dev, const struct net_addr *addr);
int net_set_add_route(struct net_set *set, const char *dev, const struct net_route *route);
int net_set_add_rule(struct net_set *set, const struct net_rule *rule);
int net_set_add_qdisc(struct net_set *set, const char *dev, const struct net_qdisc *qdisc);
int net_set_add_class(struct net_set *set, const char *dev, const struct net_class *cls);
int net_set_add_filter(struct net_set *set, const char *dev, const struct net_filter *filter);

/**
 * net_set_sort() - order by kind and identity
 *
 * Of objects with one identity the first that was added stays.
 *
 * Return: 0; -EEXIST when two of one identity differed (@err shows both, the set can be used); or
 * -ENOMEM.
 */
int net_set_sort(struct net_set *set, struct err *err);

/** net_set_sort_all() - the same, but all stay, as in a kernel.  Return: 0 or -ENOMEM. */
int net_set_sort_all(struct net_set *set);

/** net_set_keep - shall this object stay?  It may be edited. */
typedef bool net_set_keep(struct net_object *object, void *ctx);
/** net_set_filter() - of the objects from number @first on, keep those that shall stay. */
void net_set_filter(struct net_set *set, size_t first, net_set_keep *keep, void *ctx);

size_t net_set_count(const struct net_set *set);
/** net_set_at() - object @i in order.  Return: NULL past the end. */
const struct net_object *net_set_at(const struct net_set *set, size_t i);
/** net_set_place() - which object of the set this is. */
size_t net_set_place(const struct net_set *set, const struct net_object *object);
/** net_set_edit() - as net_set_at(), for whoever fills in what is no identity. */
struct net_object *net_set_edit(struct net_set *set, size_t i);
/** net_set_find() - the object with @id's kind and identity in a sorted set, or NULL. */
const struct net_object *net_set_find(const struct net_set *set, const struct net_object *id);

#endif
