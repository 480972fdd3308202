/* Queueing disciplines and classes as the tree that they are: what hangs on what. */
#ifndef NETLINK_PLAN_TREE_H
#define NETLINK_PLAN_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "netlink/set.h"

/* A set's qdiscs by device and handle; the set knows them by device and parent. */
struct net_tree {
    const struct net_set *set;
    const struct net_object **qdiscs;
    size_t n;
};

/** net_tree_init() - @set must be sorted and outlive the tree.  Return: 0 or -ENOMEM. */
int net_tree_init(struct net_tree *tree, const struct net_set *set);
void net_tree_clear(struct net_tree *tree);

/** net_tree_qdisc() - the qdisc with that major number, or NULL. */
const struct net_object *net_tree_qdisc(const struct net_tree *tree, const char *dev,
                                        uint32_t handle);
/** net_tree_parent() - what a qdisc, class or filter hangs on; NULL: its device, or nothing. */
const struct net_object *net_tree_parent(const struct net_tree *tree,
                                         const struct net_object *object);
/** net_tree_level() - how many are above it. */
int net_tree_level(const struct net_tree *tree, const struct net_object *object);

/** net_in_tree() - is it a qdisc, class or filter? */
bool net_in_tree(const struct net_object *object);

#endif
