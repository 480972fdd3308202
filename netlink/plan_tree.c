/* Queueing disciplines and classes as the tree that they are; see plan_tree.h. */
#include "netlink/plan_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The kernel allows 8 levels of classes and nested qdiscs; more than this is a circle. */
#define TREE_DEPTH_MAX 64

bool net_in_tree(const struct net_object *object)
{
    return object->kind == NET_KIND_QDISC || object->kind == NET_KIND_CLASS ||
           object->kind == NET_KIND_FILTER;
}

static int cmp_handle(const char *dev_a, uint32_t a, const char *dev_b, uint32_t b)
{
    int order = strcmp(dev_a, dev_b);

    if (order == 0)
        order = (NET_TC_MAJOR(a) > NET_TC_MAJOR(b)) - (NET_TC_MAJOR(a) < NET_TC_MAJOR(b));
    return order;
}

static int cmp_qdiscs(const void *left, const void *right)
{
    const struct net_object *const *a = left, *const *b = right;

    return cmp_handle((*a)->dev, (*a)->qdisc.handle, (*b)->dev, (*b)->qdisc.handle);
}

int net_tree_init(struct net_tree *tree, const struct net_set *set)
{
    size_t n = net_set_count(set);

    *tree = (struct net_tree){.set = set};
    if (n == 0)
        return 0;
    tree->qdiscs = reallocarray(NULL, n, sizeof(const struct net_object *));
    if (!tree->qdiscs)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (net_set_at(set, i)->kind == NET_KIND_QDISC)
            tree->qdiscs[tree->n++] = net_set_at(set, i);
    qsort(tree->qdiscs, tree->n, sizeof(const struct net_object *), cmp_qdiscs);
    return 0;
}

void net_tree_clear(struct net_tree *tree)
{
    free(tree->qdiscs);
    *tree = (struct net_tree){0};
}

const struct net_object *net_tree_qdisc(const struct net_tree *tree, const char *dev,
                                        uint32_t handle)
{
    size_t low = 0, high = tree->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct net_object *qdisc = tree->qdiscs[mid];
        int order = cmp_handle(qdisc->dev, qdisc->qdisc.handle, dev, handle);

        if (order == 0)
            return qdisc;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* What a handle of that device names: a class, or with minor 0 a qdisc. */
static const struct net_object *tree_find(const struct net_tree *tree,
                                          const struct net_object *child, uint32_t ifindex,
                                          uint32_t handle)
{
    struct net_object id = {.kind = NET_KIND_CLASS, .cls = {.ifindex = ifindex, .handle = handle}};
    const struct net_object *qdisc = net_tree_qdisc(tree, child->dev, handle);

    /* A class that is there by itself is no object of its own. */
    if (NET_TC_MINOR(handle) == 0 || (qdisc && qdisc->qdisc.kind == NET_QDISC_TBF))
        return qdisc;
    memcpy(id.dev, child->dev, sizeof(id.dev));
    return net_set_find(tree->set, &id);
}

const struct net_object *net_tree_parent(const struct net_tree *tree,
                                         const struct net_object *object)
{
    switch (object->kind) {
    case NET_KIND_QDISC:
        if (object->qdisc.parent == NET_TC_ROOT || object->qdisc.parent == NET_TC_INGRESS)
            return NULL;
        return tree_find(tree, object, object->qdisc.ifindex, object->qdisc.parent);
    case NET_KIND_CLASS:
        if (object->cls.parent == NET_TC_ROOT)
            return net_tree_qdisc(tree, object->dev, object->cls.handle);
        return tree_find(tree, object, object->cls.ifindex, object->cls.parent);
    case NET_KIND_FILTER:
        /* clsact's filters hang at minors that are no classes. */
        return net_tree_qdisc(tree, object->dev, object->filter.parent);
    default:
        return NULL;
    }
}

int net_tree_level(const struct net_tree *tree, const struct net_object *object)
{
    int level = 0;

    while (level < TREE_DEPTH_MAX && (object = net_tree_parent(tree, object)) != NULL)
        level++;
    return level;
}
