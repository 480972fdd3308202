/*
 * Quality of service as vpnctl shows it: what is in force, and who has sent how much.  See
 * shaper.h.
 */
#include "daemon/shaper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/keeper.h"
#include "daemon/qos.h"
#include "daemon/server.h"
#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/noun.h"
#include "netlink/plan.h"
#include "netlink/qdisc.h"
#include "netlink/set.h"

/* What an object of the kernel is for: a direction, or QOS_DIRECTIONS for something else. */
static enum qos_direction direction_of(const struct qos_tree *tree, const struct net_object *object)
{
    bool incoming = false; /* what the TUN receives is led to the ifb */

    switch (object->kind) {
    case NET_KIND_LINK:
        return strcmp(object->link.name, tree->device[QOS_UPLOAD]) == 0 ? QOS_UPLOAD
                                                                        : QOS_DIRECTIONS;
    case NET_KIND_QDISC:
        incoming = object->qdisc.parent == NET_TC_INGRESS;
        break;
    case NET_KIND_FILTER:
        incoming = object->filter.parent == NET_TC_INGRESS_HANDLE;
        break;
    case NET_KIND_CLASS:
        break;
    default:
        return QOS_DIRECTIONS;
    }
    if (strcmp(object->dev, tree->device[QOS_UPLOAD]) == 0)
        return QOS_UPLOAD;
    if (strcmp(object->dev, tree->device[QOS_DOWNLOAD]) != 0)
        return QOS_DIRECTIONS;
    return incoming ? QOS_UPLOAD : QOS_DOWNLOAD;
}

/* The first object of a direction's tree that is not there as wanted, and why; or NULL. */
static const char *obstacle(struct server *s, const struct qos_tree *tree, enum qos_direction d,
                            char text[NET_OP_FORMAT_SIZE])
{
    const struct net_plan *last = keeper_last(s);
    char object[NET_FORMAT_SIZE];

    /* Without the sign in front. */
    for (size_t i = 0; last && i < last->n_clashes; i++)
        if (direction_of(tree, last->clashes[i].want) == d)
            return net_clash_format(&last->clashes[i], text) + 2;
    for (size_t i = 0; last && i < last->n_ops; i++) {
        const struct net_op *op = &last->ops[i];

        if (!op->want || direction_of(tree, op->want) != d)
            continue;
        snprintf(text, NET_OP_FORMAT_SIZE, "%s is not set (the log says why)",
                 net_object_format(op->want, object));
        return text;
    }
    for (size_t i = 0; last && i < last->n_waiting; i++)
        if (direction_of(tree, last->waiting[i].want) == d)
            return net_waiting_format(&last->waiting[i], text) + 2;
    return NULL;
}

static json_t *status_of(struct server *s, const struct qos_tree *tree)
{
    static const char *const names[] = {"download", "upload"};
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE], text[NET_OP_FORMAT_SIZE];
    size_t n = qos_complaints(s->config, shaper_support(s), tree, said);
    bool whole = tree->shaped[QOS_UPLOAD];
    json_t *reasons = json_array();

    for (int d = 0; d < QOS_DIRECTIONS; d++) {
        const char *why = tree->shaped[d] ? obstacle(s, tree, (enum qos_direction)d, text) : NULL;

        if (why)
            json_array_append_new(reasons, json_sprintf("qos.%s is not in force, or not wholly: %s",
                                                        names[d], why));
        whole = whole && !why;
    }
    for (size_t i = 0; i < n; i++)
        json_array_append_new(reasons, json_string(said[i]));
    return json_pack("{s:s,s:s,s:o}", "state",
                     !tree->shaped[QOS_DOWNLOAD] ? "missing"
                     : whole                     ? "active"
                                                 : "partial",
                     "leaf", net_qdisc_kind_name(tree->leaf_kind), "reasons", reasons);
}

json_t *shaper_status(struct server *s)
{
    struct qos_tree *tree;
    json_t *status;

    if (!s->shaper || !qos_wanted(s->config) || shaper_tree(s, s->config, &tree) < 0)
        return NULL;
    status = status_of(s, tree);
    qos_tree_free(tree);
    return status;
}

/* What the kernel has counted for each leaf, in both directions. */
struct counted {
    const struct qos_tree *tree;
    enum qos_direction direction;
    struct net_tc_stats *cls[QOS_DIRECTIONS], *qdisc[QOS_DIRECTIONS]; /* by leaf */
    bool *seen[QOS_DIRECTIONS];
};

static int handle_cmp(const void *key, const void *item)
{
    const uint32_t *handle = key;
    const struct qos_leaf *leaf = item;

    return (*handle > leaf->handle) - (*handle < leaf->handle);
}

static size_t leaf_at(const struct qos_tree *tree, uint32_t handle)
{
    const struct qos_leaf *leaf =
        bsearch(&handle, tree->leaves, tree->n_leaves, sizeof(*leaf), handle_cmp);

    return leaf ? (size_t)(leaf - tree->leaves) : SIZE_MAX;
}

static int note_class(const struct net_class *cls, const struct net_tc_stats *stats, void *ctx)
{
    struct counted *c = ctx;
    size_t i = leaf_at(c->tree, cls->handle);

    if (i != SIZE_MAX) {
        c->cls[c->direction][i] = *stats;
        c->seen[c->direction][i] = true;
    }
    return 0;
}

static int note_qdisc(const struct net_qdisc *qdisc, const struct net_tc_stats *stats, void *ctx)
{
    struct counted *c = ctx;
    size_t i = leaf_at(c->tree, qdisc->parent);

    if (i != SIZE_MAX && qdisc->handle == c->tree->leaves[i].qdisc)
        c->qdisc[c->direction][i] = *stats;
    return 0;
}

/* One direction's counters.  A device that is not there yet has none. */
static int count(struct server *s, struct counted *c, struct err *err)
{
    const struct qos_tree *tree = c->tree;
    struct net_conn *conn = shaper_conn(s);
    struct net_link link;
    uint32_t former = 0;
    int rc = net_link_get(conn, tree->device[c->direction], &link, err);

    if (rc < 0)
        return rc == -ENODEV ? 0 : rc;
    rc = net_qdisc_dump(conn, link.ifindex, note_qdisc, c, err);
    /* The leaves of one HTB qdisc follow each other. */
    for (size_t i = 0; rc == 0 && i < tree->n_leaves; i++) {
        uint32_t htb = NET_TC_HANDLE(NET_TC_MAJOR(tree->leaves[i].handle), 0);

        if (htb != former)
            rc = net_class_dump(conn, link.ifindex, htb, note_class, c, err);
        former = htb;
    }
    return rc;
}

static json_t *json_share(const struct counted *c, size_t i, int d)
{
    const struct qos_leaf *leaf = &c->tree->leaves[i];
    const struct net_tc_stats *cls = &c->cls[d][i], *qdisc = &c->qdisc[d][i];

    if (!c->seen[d][i])
        return json_pack("{s:I,s:I,s:I}", "rate", (json_int_t)leaf->rate[d] * 8, "promised",
                         (json_int_t)leaf->promised[d] * 8, "ceil", (json_int_t)leaf->ceil[d] * 8);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "rate", (json_int_t)leaf->rate[d] * 8,
                     "promised", (json_int_t)leaf->promised[d] * 8, "ceil",
                     (json_int_t)leaf->ceil[d] * 8, "bytes", (json_int_t)cls->bytes, "packets",
                     (json_int_t)cls->packets, "dropped", (json_int_t)qdisc->drops, "marked",
                     (json_int_t)qdisc->fq_ecn_mark, "backlog_bytes",
                     (json_int_t)qdisc->backlog_bytes, "backlog_packets",
                     (json_int_t)qdisc->backlog_packets);
}

static json_t *json_leaves(const struct counted *c)
{
    json_t *out = json_array();

    for (size_t i = 0; i < c->tree->n_leaves; i++) {
        const struct qos_leaf *leaf = &c->tree->leaves[i];
        json_t *json =
            json_pack("{s:s,s:s,s:b,s:i,s:i}", "name", leaf->name, "class", leaf->cls, "shared",
                      leaf->shared, "users", (int)leaf->users, "priority", (int)leaf->priority);

        if (c->tree->shaped[QOS_DOWNLOAD])
            json_object_set_new(json, "download", json_share(c, i, QOS_DOWNLOAD));
        if (c->tree->shaped[QOS_UPLOAD])
            json_object_set_new(json, "upload", json_share(c, i, QOS_UPLOAD));
        json_array_append_new(out, json);
    }
    return out;
}

static json_t *json_total(const struct qos_tree *tree, int d)
{
    return json_pack("{s:s,s:I,s:I,s:b}", "device", tree->device[d], "total",
                     (json_int_t)tree->total[d] * 8, "promised", (json_int_t)tree->promised[d] * 8,
                     "scaled", tree->scaled[d]);
}

static json_t *report(struct server *s, const struct counted *c)
{
    json_t *reply = ctl_reply_ok(), *status = status_of(s, c->tree);

    json_object_update(reply, status);
    json_decref(status);
    json_object_set_new(reply, "at_ms", json_integer((json_int_t)s->now.mono_ms));
    json_object_set_new(reply, "download", json_total(c->tree, QOS_DOWNLOAD));
    json_object_set_new(reply, "upload", json_total(c->tree, QOS_UPLOAD));
    json_object_set_new(reply, "leaves", json_leaves(c));
    return reply;
}

/* Room for every leaf's counters.  Return: 0 or -ENOMEM; counted_clear() it in either case. */
static int counted_init(struct counted *c, const struct qos_tree *tree)
{
    bool whole = true;

    *c = (struct counted){.tree = tree};
    for (int d = 0; d < QOS_DIRECTIONS; d++) {
        c->cls[d] = calloc(tree->n_leaves, sizeof(*c->cls[d]));
        c->qdisc[d] = calloc(tree->n_leaves, sizeof(*c->qdisc[d]));
        c->seen[d] = calloc(tree->n_leaves, sizeof(*c->seen[d]));
        whole = whole && c->cls[d] && c->qdisc[d] && c->seen[d];
    }
    return whole ? 0 : -ENOMEM;
}

static void counted_clear(struct counted *c)
{
    for (int d = 0; d < QOS_DIRECTIONS; d++) {
        free(c->cls[d]);
        free(c->qdisc[d]);
        free(c->seen[d]);
    }
}

static json_t *report_tree(struct server *s, const struct qos_tree *tree)
{
    struct counted c;
    struct err err;
    json_t *reply;
    int rc = counted_init(&c, tree);

    for (int d = 0; rc == 0 && d < QOS_DIRECTIONS; d++) {
        c.direction = (enum qos_direction)d;
        if (tree->shaped[d])
            rc = count(s, &c, &err);
    }
    reply = rc == -ENOMEM ? NULL
            : rc < 0      ? ctl_reply_error(CTL_CODE_FAILED, "%s", err.msg)
                          : report(s, &c);
    counted_clear(&c);
    return reply;
}

json_t *shaper_report(struct server *s)
{
    struct qos_tree *tree;
    json_t *reply;

    if (!s->shaper || !qos_wanted(s->config))
        return ctl_reply_error(CTL_CODE_FAILED, "there is no qos: in the configuration, so nobody "
                                                "is limited");
    if (shaper_tree(s, s->config, &tree) < 0)
        return NULL;
    reply = report_tree(s, tree);
    qos_tree_free(tree);
    return reply;
}
