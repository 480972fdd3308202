/*
 * What the engine asks about an object, whatever its kind: one row of a table for each kind.
 *
 * To teach the engine another kind: a value in enum net_kind (its place is its order), a member of
 * the union in struct net_object, a row here (noun.c, pure) and one in the kernel's table
 * (kernel.c: how it is built and dumped).
 *
 * Pure: no system call, no netlink library.
 */
#ifndef NETLINK_NOUN_H
#define NETLINK_NOUN_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink/set.h"

struct net_noun {
    const char *name; /* "route" */
    /* Order by identity: <0, 0, >0.  Called for two objects of this kind. */
    int (*cmp_id)(const struct net_object *a, const struct net_object *b);
    /* Is @have, which has @want's identity, as wanted? */
    bool (*same)(const struct net_object *want, const struct net_object *have);
    /* Can @have become @want by a change?  NULL: always.  Else it is removed and made again. */
    bool (*in_place)(const struct net_object *want, const struct net_object *have);
    /* As ip(8), tc(8) or nft(8) write it; @buf has NET_FORMAT_SIZE bytes.  Return: @buf. */
    const char *(*format)(const struct net_object *object, char *buf);
    /* Does it lie on a device, named by .dev?  Then where its index is kept. */
    uint32_t *(*ifindex)(struct net_object *object);
    /* Does it name a second device?  Then that one's name, and where its index is kept. */
    char *(*other_dev)(struct net_object *object, uint32_t **ifindex);
    /* Among its kind what has a lower rank is made first.  NULL: the order of the set. */
    int (*rank)(const struct net_object *object);
    /* Is it let be when it is no longer wanted?  NULL: no. */
    bool (*lingers)(const struct net_object *object);
    /* Bring what was asked for into the form in which the kernel keeps it.  NULL: it is. */
    void (*normalize)(struct net_object *object);
    /* Of kinds that own memory: make what it points to its own.  Return: 0 or -ENOMEM. */
    int (*own)(struct net_object *object);
    void (*clear)(struct net_object *object);
};

/** net_noun_of() - the row of a kind. */
const struct net_noun *net_noun_of(enum net_kind kind);

/** net_object_cmp_id() - order by kind, then identity. */
int net_object_cmp_id(const struct net_object *a, const struct net_object *b);
/** net_object_same() - does @have, with @want's identity, agree in everything that is wanted? */
bool net_object_same(const struct net_object *want, const struct net_object *have);
/**
 * net_object_format() - "route 10.66.0.0/16 dev tun0 table 101 proto 86"
 * @buf: at least NET_FORMAT_SIZE bytes
 *
 * Return: @buf.
 */
const char *net_object_format(const struct net_object *object, char *buf);

#endif
