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
#include "daemon/qos.h"
#include "daemon/server.h"
#include "netlink/conn.h"
#include "netlink/link.h"
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

int shaper_tree(struct server *s, const struct config *config, struct qos_tree **tree)
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

struct net_conn *shaper_conn(const struct server *s)
{
    return s->shaper->conn;
}

const struct qos_support *shaper_support(const struct server *s)
{
    return &s->shaper->support;
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

    if (!s->shaper || !qos_wanted(config) || shaper_tree(s, config, &tree) < 0)
        return;
    n = qos_complaints(config, &s->shaper->support, tree, said);
    for (size_t i = 0; i < n; i++)
        problem_add(problems, PROBLEM_NOTE, NULL, NULL, "%s", said[i]);
    if (s->shaper->behind > 0)
        problem_add(problems, PROBLEM_NOTE, NULL, NULL,
                    "qos: the leaves of %zu more users follow these, %d at a time, and are not "
                    "listed; until its turn a user is in the default leaf",
                    s->shaper->behind, STEP);
    qos_tree_free(tree);
}
