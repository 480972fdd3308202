/*
 * The tree as objects of the kernel.  See qos.h.
 *
 * Theory of operation: the filters of one HTB qdisc, IPv4's and IPv6's alike:
 *
 *   0 (the kernel's first table)
 *   ├─ 1  IPv4 ► table 1, bucket: byte 2 of the address ► table 100+byte, bucket: byte 3 ► host
 *   ├─ 2  IPv6 ► table 2, bucket: byte 14             ► table 200+byte, bucket: byte 15 ► host
 *   ├─ 3  IPv4 ► table 3, one bucket: networks
 *   └─ 4  IPv6 ► table 4, one bucket: networks
 *
 * So a packet to a single address is looked up in two steps however many users there are; networks
 * have lengths of their own and are looked through.  Their order does not matter: the configuration
 * was checked for networks of different users not to overlap, nor with the tunnel's.
 *
 * Every number follows from the address alone, so an entry stays what it is as others come and go.
 * Only of addresses that meet in a bucket and also have one hash does the later move up.
 */
#include "daemon/qos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ip.h"
#include "common/wire.h"
#include "netlink/set.h"

#define PREF         1
#define PARENT_MINOR 1 /* the class that has the total */
#define SPLIT_MAJOR  0xfffe
#define SPLIT_RATE   UINT64_C(12500000000) /* bytes per second: nobody waits for it */
#define NODE_HASHES  3071                  /* of NET_U32_NODE_MAX: the rest is room to move up */

#define TABLE_HOSTS(f)    ((f) == 4 ? 1u : 2u)
#define TABLE_NETWORKS(f) ((f) == 4 ? 3u : 4u)
#define TABLE_BYTE(f, b)  (((f) == 4 ? 0x100u : 0x200u) + (b))
#define BYTE_FIRST(f)     ((uint8_t)((f) == 4 ? 2 : 14))
#define BYTE_SECOND(f)    ((uint8_t)((f) == 4 ? 3 : 15))

/* Where the walk is: one direction's device. */
struct lowering {
    const struct qos_tree *tree;
    enum qos_direction direction;
    const char *dev;
    struct net_set *set;
};

/* An entry with its place in the hash tables. */
struct placed {
    uint32_t handle;
    const struct qos_entry *entry;
};

/* ---- classes ------------------------------------------------------------------------------- */

static int add_htb(const struct lowering *l, uint32_t parent, uint32_t handle)
{
    struct net_qdisc htb = {.parent = parent,
                            .handle = handle,
                            .kind = NET_QDISC_HTB,
                            .htb_default = QOS_MINOR_DEFAULT};

    return net_set_add_qdisc(l->set, l->dev, &htb);
}

static int add_class(const struct lowering *l, uint32_t handle, uint32_t parent, uint64_t rate,
                     uint64_t ceil, uint32_t prio, bool inner)
{
    struct net_class cls = {.handle = handle,
                            .parent = parent,
                            .rate_bytes_s = rate,
                            .ceil_bytes_s = ceil,
                            .prio = prio,
                            .inner = inner};

    qos_class_params(l->tree, l->direction, &cls);
    return net_set_add_class(l->set, l->dev, &cls);
}

/* The HTB qdisc of a whole tree: itself, the class with the total. */
static int add_root(const struct lowering *l, uint32_t parent, uint32_t handle)
{
    uint64_t total = l->tree->total[l->direction];
    int rc = add_htb(l, parent, handle);

    if (rc == 0)
        rc = add_class(l, handle | PARENT_MINOR, handle, total, total, 0, true);
    return rc;
}

static int add_leaf(const struct lowering *l, const struct qos_leaf *leaf)
{
    enum qos_direction d = l->direction;
    struct net_qdisc qdisc = {.parent = leaf->handle, .handle = leaf->qdisc};
    int rc = add_class(l, leaf->handle, NET_TC_HANDLE(NET_TC_MAJOR(leaf->handle), PARENT_MINOR),
                       leaf->rate[d], leaf->ceil[d], leaf->priority, false);

    if (rc < 0)
        return rc;
    /* By what was promised: the queue is not resized each time that somebody comes or goes. */
    qos_leaf_params(l->tree, leaf->promised[d], leaf->ceil[d], &qdisc);
    return net_set_add_qdisc(l->set, l->dev, &qdisc);
}

/* ---- filters ------------------------------------------------------------------------------- */

static uint32_t hash(const struct ip_prefix *prefix)
{
    uint32_t h = 2166136261u ^ prefix->len;

    for (size_t i = 0; i < ip_addr_bytes(&prefix->addr); i++)
        h = (h ^ prefix->addr.bytes[i]) * 16777619u;
    return h;
}

static bool is_host(const struct ip_prefix *prefix)
{
    return prefix->len == ip_addr_bits(&prefix->addr);
}

static uint32_t place_of(const struct ip_prefix *prefix)
{
    uint8_t family = prefix->addr.family;
    uint32_t node = 1 + hash(prefix) % NODE_HASHES;

    if (!is_host(prefix))
        return NET_U32_HANDLE(TABLE_NETWORKS(family), 0, node);
    return NET_U32_HANDLE(TABLE_BYTE(family, prefix->addr.bytes[BYTE_FIRST(family)]),
                          prefix->addr.bytes[BYTE_SECOND(family)], node);
}

static int placed_cmp(const void *a, const void *b)
{
    const struct placed *pa = a, *pb = b;

    if (pa->handle != pb->handle)
        return pa->handle > pb->handle ? 1 : -1;
    /* The entries are sorted by prefix, in one array. */
    return (pa->entry > pb->entry) - (pa->entry < pb->entry);
}

static struct net_filter filter_at(uint32_t parent, uint32_t handle, enum net_filter_kind kind)
{
    struct net_filter filter = {.parent = parent, .pref = PREF, .handle = handle, .kind = kind};

    return filter;
}

static int add_table(const struct lowering *l, uint32_t parent, uint32_t table, uint32_t buckets)
{
    struct net_filter filter = filter_at(parent, NET_U32_HANDLE(table, 0, 0), NET_FILTER_TABLE);

    filter.buckets = buckets;
    return net_set_add_filter(l->set, l->dev, &filter);
}

static enum net_filter_side side_of(const struct lowering *l)
{
    return l->direction == QOS_DOWNLOAD ? NET_FILTER_DST : NET_FILTER_SRC;
}

static int add_link(const struct lowering *l, uint32_t parent, uint32_t handle, uint8_t family,
                    uint32_t table, uint8_t byte)
{
    struct net_filter filter = filter_at(parent, handle, NET_FILTER_LINK);

    filter.side = NET_FILTER_VERSION;
    filter.prefix.addr.family = family;
    filter.table = table;
    filter.hash_side = side_of(l);
    filter.hash_byte = byte;
    return net_set_add_filter(l->set, l->dev, &filter);
}

static int add_entry(const struct lowering *l, uint32_t parent, const struct placed *placed,
                     bool root)
{
    const struct qos_leaf *leaf = &l->tree->leaves[placed->entry->leaf];
    struct net_filter filter = filter_at(parent, placed->handle, NET_FILTER_CLASS);

    filter.side = side_of(l);
    filter.prefix = placed->entry->prefix;
    filter.classid = root && leaf->group ? leaf->group : leaf->handle;
    return net_set_add_filter(l->set, l->dev, &filter);
}

/* The tables that lead to where entry @i of the sorted ones is, unless the former needed them. */
static int add_way(const struct lowering *l, uint32_t parent, const struct placed *placed,
                   const struct placed *former)
{
    const struct ip_prefix *prefix = &placed->entry->prefix;
    uint8_t family = prefix->addr.family, byte = prefix->addr.bytes[BYTE_FIRST(family)];
    uint32_t table = NET_U32_TABLE(placed->handle);
    int rc;

    if (former && NET_U32_TABLE(former->handle) == table)
        return 0;
    if (!is_host(prefix)) {
        rc = add_table(l, parent, table, 1);
        if (rc == 0)
            rc = add_link(l, parent, NET_U32_HANDLE(0, 0, table), family, table,
                          BYTE_SECOND(family));
        return rc;
    }
    if (!former || !is_host(&former->entry->prefix) ||
        former->entry->prefix.addr.family != family) {
        rc = add_table(l, parent, TABLE_HOSTS(family), NET_U32_BUCKETS);
        if (rc == 0)
            rc = add_link(l, parent, NET_U32_HANDLE(0, 0, TABLE_HOSTS(family)), family,
                          TABLE_HOSTS(family), BYTE_FIRST(family));
        if (rc < 0)
            return rc;
    }
    rc = add_table(l, parent, table, NET_U32_BUCKETS);
    if (rc == 0)
        rc = add_link(l, parent, NET_U32_HANDLE(TABLE_HOSTS(family), byte, 1), family, table,
                      BYTE_SECOND(family));
    return rc;
}

/* The filters of one HTB qdisc: the root's for all entries, a group's for its own. */
static int add_filters(const struct lowering *l, uint32_t parent, uint32_t group)
{
    const struct qos_tree *tree = l->tree;
    struct placed *placed = calloc(tree->n_entries + 1, sizeof(*placed));
    size_t n = 0;
    int rc = placed ? 0 : -ENOMEM;

    for (size_t i = 0; placed && i < tree->n_entries; i++) {
        uint32_t leaf = tree->entries[i].leaf;

        if (leaf < tree->n_ready && (group == 0 || tree->leaves[leaf].group == group))
            placed[n++] = (struct placed){place_of(&tree->entries[i].prefix), &tree->entries[i]};
    }
    if (placed)
        qsort(placed, n, sizeof(*placed), placed_cmp);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct placed *former = i > 0 ? &placed[i - 1] : NULL;

        if (former && placed[i].handle <= former->handle) {
            placed[i].handle = former->handle;
            /* No room (see QOS_NETWORKS_MAX): what no filter knows is in the default leaf. */
            if (NET_U32_NODE(former->handle) == NET_U32_NODE_MAX)
                continue;
            placed[i].handle++;
        }
        rc = add_way(l, parent, &placed[i], former);
        if (rc == 0)
            rc = add_entry(l, parent, &placed[i], group == 0);
    }
    free(placed);
    return rc;
}

/* ---- a tree -------------------------------------------------------------------------------- */

/* A group: the class at the root, the HTB qdisc below it, and its own default. */
static int add_group(const struct lowering *l, uint32_t group, uint64_t rate)
{
    uint64_t total = l->tree->total[l->direction];
    uint32_t handle = NET_TC_HANDLE(NET_TC_MINOR(group), 0);
    int rc = add_class(l, group, NET_TC_HANDLE(NET_TC_MAJOR(group), PARENT_MINOR),
                       rate < total ? rate : total, total, 0, false);

    if (rc == 0)
        rc = add_root(l, group, handle);
    if (rc == 0)
        rc = add_class(l, handle | QOS_MINOR_DEFAULT, handle | PARENT_MINOR, QOS_FLOOR_BYTES_S,
                       total, l->tree->leaves[0].priority, false);
    return rc < 0 ? rc : add_filters(l, handle, group);
}

static int add_groups(const struct lowering *l)
{
    const struct qos_tree *tree = l->tree;
    int rc = 0;

    /* Sorted by handle, whose major is the group's number. */
    for (size_t i = 0, end; rc == 0 && i < tree->n_ready; i = end) {
        uint64_t rate = 0;

        for (end = i; end < tree->n_leaves && tree->leaves[end].group == tree->leaves[i].group;
             end++)
            rate += tree->leaves[end].rate[l->direction];
        if (tree->leaves[i].group)
            rc = add_group(l, tree->leaves[i].group, rate);
    }
    return rc;
}

/*
 * HTB sends a packet as a whole, and what this host forwards has been merged where it came in, to
 * up to 64 KiB: a TUN without offloads cuts it up only after it has passed the tree.  tbf does so
 * before (tbf_segment), and what hangs below sees packets as they are on the wire.  It drops what
 * is larger and not merged, so the limit is what any client may have as its MTU: one that was
 * connected before the server's MTU was lowered goes on with the former one for a while.
 */
static int add_splitter(const struct lowering *l, uint32_t *below)
{
    struct net_qdisc tbf = {.parent = NET_TC_ROOT,
                            .handle = NET_TC_HANDLE(SPLIT_MAJOR, 0),
                            .kind = NET_QDISC_TBF,
                            .tbf = {.rate_bytes_s = SPLIT_RATE, .max_bytes = WIRE_MTU_MAX}};

    *below = NET_TC_HANDLE(SPLIT_MAJOR, 1);
    return net_set_add_qdisc(l->set, l->dev, &tbf);
}

static int add_tree(const struct lowering *l)
{
    const struct qos_tree *tree = l->tree;
    uint32_t top = NET_TC_ROOT;
    int rc = 0;

    if (tree->split)
        rc = add_splitter(l, &top);
    if (rc == 0)
        rc = add_root(l, top, NET_TC_HANDLE(1, 0));
    if (rc == 0)
        rc = add_groups(l);
    for (size_t i = 0; rc == 0 && i < tree->n_ready; i++)
        rc = add_leaf(l, &tree->leaves[i]);
    return rc < 0 ? rc : add_filters(l, NET_TC_HANDLE(1, 0), 0);
}

/* What the TUN receives goes out by the ifb, whose tree shapes it, and comes back. */
static int add_ifb(const struct qos_tree *tree, const char *alias, struct net_set *set)
{
    struct net_link link = {.kind = "ifb", .up = true, .ip6ll = NET_IP6LL_NONE};
    struct net_qdisc ingress = {.parent = NET_TC_INGRESS,
                                .handle = NET_TC_INGRESS_HANDLE,
                                .kind = NET_QDISC_INGRESS};
    struct net_filter redirect =
        filter_at(NET_TC_INGRESS_HANDLE, NET_U32_HANDLE(0, 0, 1), NET_FILTER_REDIRECT);
    int rc;

    memcpy(link.name, tree->device[QOS_UPLOAD], sizeof(link.name));
    strncpy(link.alias, alias, sizeof(link.alias) - 1);
    memcpy(redirect.redirect, tree->device[QOS_UPLOAD], sizeof(redirect.redirect));
    rc = net_set_add_link(set, &link);
    if (rc == 0)
        rc = net_set_add_qdisc(set, tree->device[QOS_DOWNLOAD], &ingress);
    return rc < 0 ? rc : net_set_add_filter(set, tree->device[QOS_DOWNLOAD], &redirect);
}

int qos_tree_lower(const struct qos_tree *tree, const char *alias, struct net_set *set)
{
    int rc = 0;

    for (int d = 0; rc == 0 && d < QOS_DIRECTIONS; d++) {
        const struct lowering l = {tree, (enum qos_direction)d, tree->device[d], set};

        if (tree->shaped[d])
            rc = add_tree(&l);
    }
    return rc == 0 && tree->shaped[QOS_UPLOAD] ? add_ifb(tree, alias, set) : rc;
}
