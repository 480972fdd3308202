/*
 * What the steps of planning share: the verdict on what is wanted, the fate of what is there.
 *
 * For plan.c and the files of its steps only; see plan.c for the steps.
 */
#ifndef NETLINK_PLANNER_H
#define NETLINK_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/plan.h"
#include "netlink/plan_tree.h"
#include "netlink/snapshot.h"

#define PLANNER_NONE SIZE_MAX

/* What becomes of an object that is there. */
enum fate {
    FATE_STAYS,
    FATE_EARLY, /* removed before anything is made */
    FATE_LATE,  /* removed when everything is made */
};

struct have_state {
    enum fate fate;
    bool implied; /* it goes by itself */
    size_t want;  /* the wanted object of that identity, or PLANNER_NONE */
};

struct want_state {
    bool create, change;
    size_t have;
};

/* Step 1's answer about one wanted object. */
struct verdict {
    bool waits;
    enum net_wait reason;
    char device[IFNAMSIZ]; /* DEVICE, FOREIGN: which */
    const struct net_object *clash;
};

/* A device by its name, as it will be when the plan is done. */
struct device {
    char name[IFNAMSIZ];
    uint32_t ifindex; /* 0: it is not there, or somebody else's and to be ours */
    bool foreign;     /* the latter */
    bool up;
};

struct planner {
    const struct net_set *asked;
    const struct net_snapshot *snapshot;
    struct net_plan *plan;
    const struct net_set *want, *have; /* plan->want, snapshot->have */
    struct verdict *verdicts;
    struct want_state *w;
    struct have_state *h;
    struct net_tree want_tree, have_tree;
    struct device device; /* the one that was looked up last */
};

/** planner_judge() - find devices; what waits or clashes is put aside.  Return: 0 or -ENOMEM. */
int planner_judge(struct planner *p);
/** planner_merge() - what is wanted gets a verb, what is there gets a fate.  0 or -ENOMEM. */
int planner_merge(struct planner *p);
/** planner_fall() - what goes along, what stands in the way.  Return: 0 or -ENOMEM. */
int planner_fall(struct planner *p);
/** planner_order() - the operations, in the order in which they are done.  0 or -ENOMEM. */
int planner_order(struct planner *p);

/** planner_link() - the link of that name in a sorted set, or NULL. */
const struct net_object *planner_link(const struct net_set *set, const char *name);
/** planner_lets_be() - unwanted and yet let be: what lingers, and a TUN that some process holds. */
bool planner_lets_be(const struct net_object *have);
/** planner_cmp_rule() - where an object stands to a rule's family and priority: <0, 0, >0. */
int planner_cmp_rule(const struct net_object *object, const struct net_rule *rule);

#endif
