/* Quality of service in the running server; see shaper.h. */
#include "daemon/shaper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/problem.h"
#include "common/rate.h"
#include "daemon/desired.h"
#include "daemon/keeper.h"
#include "daemon/qos.h"
#include "daemon/server.h"
#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/plan.h"
#include "netlink/qdisc.h"
#include "netlink/tc_probe.h"

/*
 * Leaves that are added in one turn of the engine.  Among 10,000 others the kernel takes up to 5 ms
 * for a leaf in both directions, and the control loop waits.
 */
#define STEP 200

struct shaper {
    struct net_conn *conn; /* of its own: counters are read while the engine works */
    bool probed;
    struct qos_support support;
    size_t laid;           /* leaves that were handed to the engine */
    bool whole;            /* in trees that pass super-packets */
    size_t adding, behind; /* leaves in the set that was made last, and left out of it */
    bool adding_whole;
};

int shaper_open(struct server *s, struct err *err)
{
    struct shaper *shaper = calloc(1, sizeof(*shaper));
    int rc;

    if (!shaper)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_conn_open(&shaper->conn, err);
    if (rc < 0)
        free(shaper);
    else
        s->shaper = shaper;
    return rc;
}

void shaper_close(struct server *s)
{
    if (!s->shaper)
        return;
    net_conn_close(s->shaper->conn);
    free(s->shaper);
    s->shaper = NULL;
}

/* Trying takes a few milliseconds and a device that comes and goes, so: once, and when needed. */
static void probe(struct shaper *shaper)
{
    struct net_tc_kinds kinds = {0};
    struct err err;

    if (shaper->probed)
        return;
    shaper->probed = true;
    if (net_tc_probe(shaper->conn, &kinds, &err) < 0) {
        /* Then what is refused is told one by one. */
        log_warning("qos: cannot find out what this kernel can do: %s", err.msg);
        kinds = (struct net_tc_kinds){
            .htb = true, .u32 = true, .ifb = true, .redirect = true, .tbf = true};
    }
    shaper->support = (struct qos_support){
        .htb = kinds.htb,
        .u32 = kinds.u32,
        .ifb = kinds.ifb && kinds.redirect,
        .fq_codel = kinds.fq_codel,
        .tbf = kinds.tbf,
    };
}

/* Everybody who is connected.  Return: to be freed, or NULL without memory. */
static struct qos_session *sessions_list(struct server *s, size_t *n)
{
    struct qos_session *list = calloc((size_t)sessions_bound(s->sessions) + 1, sizeof(*list));
    size_t most = sessions_bound(s->sessions);

    *n = 0;
    for (struct server_session *at = sessions_each(s->sessions, NULL); list && at && *n < most;
         at = sessions_each(s->sessions, at)) {
        const struct lease *lease = at->lease;

        if (at->state != SERVER_SESSION_BOUND || !lease)
            continue;
        list[*n] = (struct qos_session){.number = lease->user, .user = session_name(s, at)};
        if (lease->ip4.family && leases_holds(s->leases, lease, &lease->ip4))
            list[*n].ip4 = lease->ip4;
        if (lease->ip6.family && leases_holds(s->leases, lease, &lease->ip6))
            list[*n].ip6 = lease->ip6;
        ++*n;
    }
    return list;
}

int shaper_add(struct server *s, const struct config *config, struct net_set *set, struct err *err)
{
    struct qos_session *sessions;
    size_t n, left, most;
    int rc;

    if (!s->shaper)
        return 0;
    s->shaper->adding = s->shaper->behind = 0;
    if (!qos_wanted(config))
        return 0;
    probe(s->shaper);
    sessions = sessions_list(s, &n);
    if (!sessions)
        return err_set(err, -ENOMEM, "out of memory");
    s->shaper->adding_whole = qos_offload(config);
    /* Other trees are built from the ground. */
    most = (s->shaper->adding_whole == s->shaper->whole ? s->shaper->laid : 0) + STEP;
    rc = qos_lower(config, &s->shaper->support, sessions, n, most, DESIRED_ALIAS, set, &left, err);
    free(sessions);
    if (rc == 0) {
        s->shaper->adding = left ? most : n;
        s->shaper->behind = left;
    }
    return rc;
}

bool shaper_laid(struct server *s)
{
    struct shaper *shaper = s->shaper;

    if (!shaper)
        return false;
    shaper->laid = shaper->adding;
    shaper->whole = shaper->adding_whole;
    return shaper->behind > 0;
}

static int find_tree(const struct net_qdisc *qdisc, const struct net_tc_stats *stats, void *ctx)
{
    (void)stats;
    if (qdisc->kind == NET_QDISC_HTB && qdisc->handle == NET_TC_HANDLE(1, 0))
        *(bool *)ctx = true;
    return 0;
}

/* What cannot be found out is not lost. */
static bool tree_there(struct shaper *shaper, const char *device)
{
    struct net_link link;
    struct err err;
    bool there = false;
    int rc = net_link_get(shaper->conn, device, &link, &err);

    if (rc == 0)
        rc = net_qdisc_dump(shaper->conn, link.ifindex, find_tree, &there, &err);
    return rc == -ENODEV ? false : rc < 0 || there;
}

bool shaper_lost(struct server *s)
{
    struct shaper *shaper = s->shaper;
    char ifb[IFNAMSIZ];

    /* A few are as well repaired at once. */
    if (!shaper || shaper->laid <= STEP || !qos_wanted(s->config) || !shaper->support.htb ||
        !shaper->support.u32)
        return false;
    qos_ifb_name(s->config->device, ifb);
    if (tree_there(shaper, s->config->device) && (!shaper->support.ifb || tree_there(shaper, ifb)))
        return false;
    shaper->laid = 0;
    return true;
}

/* What @config makes of those who are connected now.  Return: 0 or -ENOMEM. */
static int present_tree(struct server *s, const struct config *config, struct qos_tree **tree)
{
    struct qos_session *sessions;
    size_t n;
    int rc;

    probe(s->shaper);
    sessions = sessions_list(s, &n);
    if (!sessions)
        return -ENOMEM;
    rc = qos_tree_build(config, &s->shaper->support, sessions, n, tree);
    free(sessions);
    return rc;
}

void shaper_announce(struct server *s)
{
    const struct config_qos *qos = &s->config->qos;
    char down[RATE_STRLEN], up[RATE_STRLEN];

    if (!qos_wanted(s->config))
        return;
    probe(s->shaper);
    if (s->shaper->support.htb && s->shaper->support.u32)
        log_info("QoS initialized: download %s, upload %s, %zu classes",
                 rate_format(qos->download, down), rate_format(qos->upload, up), qos->n_classes);
}

void shaper_warn(struct server *s)
{
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE];
    size_t n;

    if (!qos_wanted(s->config))
        return;
    probe(s->shaper);
    n = qos_complaints(s->config, &s->shaper->support, NULL, said);
    for (size_t i = 0; i < n; i++)
        log_warning("%s", said[i]);
}

void shaper_notes(struct server *s, const struct config *config, struct problems *problems)
{
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE];
    struct qos_tree *tree;
    size_t n;

    if (!s->shaper || !qos_wanted(config) || present_tree(s, config, &tree) < 0)
        return;
    n = qos_complaints(config, &s->shaper->support, tree, said);
    for (size_t i = 0; i < n; i++)
        problem_add(problems, PROBLEM_NOTE, NULL, NULL, "%s", said[i]);
    qos_tree_free(tree);
}

/* ---- for vpnctl ---------------------------------------------------------------------------- */

static json_t *status_of(struct server *s, const struct qos_tree *tree)
{
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE];
    size_t n = qos_complaints(s->config, &s->shaper->support, tree, said);
    char text[NET_OP_FORMAT_SIZE];
    /* The only device that is made for a tree is upload's. */
    const char *clash = tree->shaped[QOS_UPLOAD] ? keeper_clash(s, NET_KIND_LINK, text) : NULL;
    const char *state = !tree->shaped[QOS_DOWNLOAD]          ? "missing"
                        : !tree->shaped[QOS_UPLOAD] || clash ? "partial"
                                                             : "active";
    json_t *reasons = json_array();

    if (clash)
        json_array_append_new(reasons, json_sprintf("qos.upload is not in force, what users send "
                                                    "is not limited: %s",
                                                    clash));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(reasons, json_string(said[i]));
    return json_pack("{s:s,s:s,s:o}", "state", state, "leaf", net_qdisc_kind_name(tree->leaf_kind),
                     "reasons", reasons);
}

json_t *shaper_status(struct server *s)
{
    struct qos_tree *tree;
    json_t *status;

    if (!s->shaper || !qos_wanted(s->config) || present_tree(s, s->config, &tree) < 0)
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
    struct net_conn *conn = s->shaper->conn;
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
    if (present_tree(s, s->config, &tree) < 0)
        return NULL;
    reply = report_tree(s, tree);
    qos_tree_free(tree);
    return reply;
}
