/* The kernel behind the engine: each noun's messages, sent in batches; see kernel.h. */
#include "netlink/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/addr.h"
#include "netlink/batch.h"
#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/filter.h"
#include "netlink/link.h"
#include "netlink/monitor.h"
#include "netlink/msg.h"
#include "netlink/nft.h"
#include "netlink/noun.h"
#include "netlink/plan_tree.h"
#include "netlink/qdisc.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/sysctl.h"

#define OP_MSGS NET_LINK_MSGS /* the most that one operation takes */

struct kernel {
    struct net_conn *conn;
    struct net_conn *netfilter; /* NULL: this kernel has none */
};

/* ---- reading --------------------------------------------------------------------------------- */

static int take_link(const struct net_link *link, void *ctx)
{
    return net_set_add_link(ctx, link);
}

static int take_addr(const struct net_addr *addr, void *ctx)
{
    return net_set_add_addr(ctx, NULL, addr);
}

static int take_route(const struct net_route *route, void *ctx)
{
    return net_set_add_route(ctx, NULL, route);
}

/* A rule's place in the list of its family. */
struct rule_take {
    struct net_set *out;
    uint32_t position;
};

static int take_rule(const struct net_rule *rule, void *ctx)
{
    struct rule_take *take = ctx;
    struct net_rule placed = *rule;

    placed.position = take->position++;
    return net_set_add_rule(take->out, &placed);
}

static int take_qdisc(const struct net_qdisc *qdisc, const struct net_tc_stats *stats, void *ctx)
{
    (void)stats;
    return net_set_add_qdisc(ctx, NULL, qdisc);
}

static int take_class(const struct net_class *cls, const struct net_tc_stats *stats, void *ctx)
{
    (void)stats;
    return net_set_add_class(ctx, NULL, cls);
}

static int take_filter(const struct net_filter *filter, void *ctx)
{
    return net_set_add_filter(ctx, NULL, filter);
}

/* A setting that is not there, or too long for one of ours, reads as not there. */
static int dump_settings(const struct net_set *want, struct net_set *out)
{
    for (size_t i = 0; i < net_set_count(want); i++) {
        const struct net_object *object = net_set_at(want, i);
        char path[NET_SETTING_PATH], value[NET_SYSCTL_VALUE_SIZE];
        struct net_sysctl key;

        if (object->kind != NET_KIND_SETTING)
            continue;
        if (net_sysctl_split(object->setting.path, path, &key) < 0 ||
            net_sysctl_read(&key, value, NULL) < 0 || strlen(value) >= NET_SETTING_VALUE)
            continue;
        if (net_set_add_setting(out, object->setting.path, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* A kernel without nf_tables has no table of ours; that only matters when one is wanted. */
static int dump_firewall(struct kernel *k, const struct net_scope *scope, struct net_set *out,
                         struct err *err)
{
    struct net_firewall fw = {.n = 0};
    int rc;

    if (!k->netfilter || !scope->nft_table || strlen(scope->nft_table) >= sizeof(fw.table))
        return 0;
    strcpy(fw.table, scope->nft_table);
    snprintf(fw.owner, sizeof(fw.owner), "%s", scope->nft_owner ? scope->nft_owner : "");
    rc = net_nft_get(k->netfilter, &fw, NULL, err);
    if (rc == -EOPNOTSUPP)
        rc = 0;
    else if (rc == 0 && (fw.n > 0 || fw.owner[0] || fw.has_more))
        rc = net_set_add_firewall(out, &fw);
    net_firewall_clear(&fw);
    return rc;
}

static int kernel_dump(void *ctx, enum net_kind kind, const struct net_scope *scope,
                       struct net_set *out, struct err *err)
{
    struct kernel *k = ctx;
    struct net_route_filter routes = {.table = scope->table, .protocol = scope->protocol};
    struct rule_take rules = {.out = out};

    switch (kind) {
    case NET_KIND_LINK:
        return net_link_dump(k->conn, take_link, out, err);
    case NET_KIND_FIREWALL:
        return dump_firewall(k, scope, out, err);
    case NET_KIND_SETTING:
        return scope->want ? dump_settings(scope->want, out) : 0;
    case NET_KIND_ADDR:
        return net_addr_dump(k->conn, 0, 0, take_addr, out, err);
    case NET_KIND_ROUTE:
        return net_route_dump(k->conn, &routes, take_route, out, err);
    case NET_KIND_RULE:
        return net_rule_dump(k->conn, 0, 0, take_rule, &rules, err);
    case NET_KIND_QDISC:
        return net_qdisc_dump(k->conn, 0, take_qdisc, out, err);
    case NET_KIND_CLASS:
        return net_class_dump(k->conn, scope->ifindex, scope->parent, take_class, out, err);
    case NET_KIND_FILTER:
        return net_filter_dump(k->conn, scope->ifindex, scope->parent, take_filter, out, err);
    case NET_KINDS:
        break;
    }
    return err_set(err, -EINVAL, "there is no such kind of object");
}

/* ---- changing -------------------------------------------------------------------------------- */

/* The operations of one call: messages wait until a batch is full. */
struct run {
    struct kernel *k;
    const struct net_op *ops;
    net_refused *refused;
    void *refused_ctx;
    struct err *err;
    struct nl_msg *msgs[NET_BATCH_MAX];
    size_t op_of[NET_BATCH_MAX];
    size_t n;
    size_t last_refused; /* an operation of several messages is refused once; SIZE_MAX: none */
    const struct net_object **missing; /* qdiscs and classes that were refused */
    size_t n_missing, missing_size;
    bool unfiltered;    /* the firewall was refused */
    char dev[IFNAMSIZ]; /* the last pending device that was found */
    uint32_t ifindex;
};

/* Deleting what is gone already is no failure. */
static bool is_gone(const struct net_op *op, int rc)
{
    if (op->verb != NET_DELETE)
        return false;
    return rc == -ENODEV || rc == -ENOENT || rc == -ESRCH || rc == -EADDRNOTAVAIL;
}

/* Does @object, which is to be made, hang on @above? */
static bool hangs_on(const struct net_object *object, const struct net_object *above)
{
    uint32_t handle = above->kind == NET_KIND_CLASS ? above->cls.handle : above->qdisc.handle;
    bool at_qdisc = above->kind == NET_KIND_QDISC;

    if (!net_in_tree(object) || strcmp(object->dev, above->dev) != 0)
        return false;
    switch (object->kind) {
    case NET_KIND_QDISC:
        if (at_qdisc)
            return above->qdisc.kind == NET_QDISC_TBF &&
                   net_tc_below(&above->qdisc, object->qdisc.parent);
        return object->qdisc.parent == handle;
    case NET_KIND_CLASS:
        return object->cls.parent == handle;
    default:
        return at_qdisc && NET_TC_MAJOR(object->filter.parent) == NET_TC_MAJOR(handle);
    }
}

/* Out of memory the kernel is asked, and refuses or not. */
static void note_missing(struct run *run, const struct net_object *object)
{
    if (object->kind != NET_KIND_QDISC && object->kind != NET_KIND_CLASS)
        return;
    if (run->n_missing == run->missing_size) {
        size_t size = run->missing_size ? 2 * run->missing_size : 16;
        const struct net_object **missing = reallocarray(run->missing, size, sizeof(*missing));

        if (!missing)
            return;
        run->missing = missing;
        run->missing_size = size;
    }
    run->missing[run->n_missing++] = object;
}

/* An absent parent makes a root class, without a word: so what hangs on a refused one is not sent.
 */
static bool hangs_on_missing(const struct run *run, const struct net_object *object)
{
    for (size_t i = 0; i < run->n_missing; i++)
        if (hangs_on(object, run->missing[i]))
            return true;
    return false;
}

/* And for the same reason it is not sent before the kernel has taken what it hangs on. */
static bool hangs_on_unsent(const struct run *run, const struct net_object *object)
{
    for (size_t i = 0; i < run->n; i++) {
        const struct net_op *op = &run->ops[run->op_of[i]];

        if (op->verb == NET_CREATE && net_in_tree(op->want) && op->want->kind != NET_KIND_FILTER &&
            hangs_on(object, op->want))
            return true;
    }
    return false;
}

static void refuse(struct run *run, size_t i, int rc, const char *why)
{
    static const char *const verbs[] = {
        [NET_CREATE] = "make", [NET_CHANGE] = "change", [NET_DELETE] = "remove"};
    const struct net_op *op = &run->ops[i];
    char text[NET_FORMAT_SIZE];
    struct err words;

    if (is_gone(op, rc) || i == run->last_refused)
        return;
    run->last_refused = i;
    if (op->want && op->verb == NET_CREATE)
        note_missing(run, op->want);
    err_set(&words, rc, "cannot %s %s: %s", verbs[op->verb],
            net_object_format(op->want ? op->want : op->have, text), why);
    run->refused(run->refused_ctx, i, rc, words.msg);
}

static void batch_refused(void *ctx, size_t i, int rc, const char *why)
{
    struct run *run = ctx;

    refuse(run, run->op_of[i], rc, why);
}

static int run_flush(struct run *run)
{
    int rc = net_batch(run->k->conn, run->msgs, run->n, batch_refused, run, run->err);

    for (size_t i = 0; i < run->n; i++)
        net_msg_freep(&run->msgs[i]);
    run->n = 0;
    return rc;
}

/* The index of a device that an earlier operation made. */
static int find_pending(struct run *run, const char *dev, uint32_t *ifindex, struct err *err)
{
    struct net_link link;
    int rc;

    if (*ifindex < NET_IFINDEX_PENDING)
        return 0;
    if (strcmp(run->dev, dev) != 0) {
        rc = net_link_get(run->k->conn, dev, &link, err);
        if (rc < 0)
            return rc;
        memcpy(run->dev, link.name, sizeof(run->dev));
        run->ifindex = link.ifindex;
    }
    *ifindex = run->ifindex;
    return 0;
}

static int find_devices(struct run *run, struct net_object *object, struct err *err)
{
    const struct net_noun *noun = net_noun_of(object->kind);
    uint32_t *other = NULL;
    const char *name = noun->other_dev ? noun->other_dev(object, &other) : NULL;
    int rc = 0;

    if (noun->ifindex)
        rc = find_pending(run, object->dev, noun->ifindex(object), err);
    return rc == 0 && name ? find_pending(run, name, other, err) : rc;
}

static int build_tc(const struct net_op *op, const struct net_object *object, struct nl_msg **msg)
{
    static const enum net_tc_verb verbs[] = {
        [NET_CREATE] = NET_TC_ADD, [NET_CHANGE] = NET_TC_ALTER, [NET_DELETE] = NET_TC_DEL};
    struct net_filter filter;

    switch (object->kind) {
    case NET_KIND_QDISC:
        return net_qdisc_build(verbs[op->verb], &object->qdisc, msg);
    case NET_KIND_CLASS:
        return net_class_build(verbs[op->verb], &object->cls, msg);
    case NET_KIND_FILTER:
        filter = object->filter;
        if (op->have)
            filter.root_table = op->have->filter.root_table;
        return net_filter_build(verbs[op->verb], &filter, msg);
    default:
        return -EINVAL;
    }
}

/* Return: how many messages, or -errno. */
static int build(const struct net_op *op, const struct net_object *object,
                 struct nl_msg *msgs[OP_MSGS], struct err *err)
{
    int rc;

    switch (object->kind) {
    case NET_KIND_LINK:
        if (op->verb == NET_CHANGE)
            return net_link_build(op->have->link.ifindex, &object->link,
                                  net_link_diff(&object->link, &op->have->link), msgs, err);
        rc = net_link_build_del(object->link.ifindex, &msgs[0], err);
        break;
    case NET_KIND_ADDR:
        rc = net_addr_build(op->verb, &object->addr, &msgs[0], err);
        break;
    case NET_KIND_ROUTE:
        rc = net_route_build(op->verb, &object->route, &msgs[0], err);
        break;
    case NET_KIND_RULE:
        rc = net_rule_build(op->verb, &object->rule, &msgs[0], err);
        break;
    default:
        rc = build_tc(op, object, &msgs[0]);
        if (rc < 0)
            err_set(err, rc, "cannot build the request: %s", strerror(-rc));
        break;
    }
    return rc < 0 ? rc : 1;
}

/* What is no message of rtnetlink, or must be known to have worked before the next is sent. */
static bool is_direct(const struct net_op *op)
{
    const struct net_object *object = op->want ? op->want : op->have;

    return object->kind == NET_KIND_SETTING || object->kind == NET_KIND_FIREWALL ||
           (object->kind == NET_KIND_LINK && op->verb == NET_CREATE);
}

/* A table without rules is one that is not there. */
static int do_firewall(struct kernel *k, const struct net_op *op, struct err *err)
{
    struct net_firewall want = *(op->want ? op->want : op->have)->firewall;

    if (!k->netfilter)
        return err_set(err, -EOPNOTSUPP, "this kernel has no netfilter (module nfnetlink)");
    if (op->verb == NET_DELETE)
        want.n = 0;
    return net_nft_put(k->netfilter, &want, err);
}

static int do_direct(struct kernel *k, const struct net_op *op, struct err *err)
{
    const struct net_object *object = op->want ? op->want : op->have;
    char path[NET_SETTING_PATH];
    struct net_sysctl key;

    if (object->kind == NET_KIND_FIREWALL)
        return do_firewall(k, op, err);
    if (object->kind == NET_KIND_LINK)
        return net_link_make(k->conn, &object->link, err);
    if (op->verb == NET_DELETE)
        return err_set(err, -EOPNOTSUPP, "a setting has a value and cannot be removed");
    if (net_sysctl_split(object->setting.path, path, &key) < 0)
        return err_set(err, -EINVAL, "no setting can be called so");
    return net_sysctl_write(&key, object->setting.value, err);
}

static int run_op(struct run *run, size_t i)
{
    const struct net_op *op = &run->ops[i];
    struct net_object object = *(op->want ? op->want : op->have);
    const struct net_object *made = op->verb == NET_CREATE ? op->want : NULL;
    struct nl_msg *msgs[OP_MSGS] = {NULL};
    struct err why = {{0}};
    int rc = 0;

    if (is_direct(op) || run->n + OP_MSGS > NET_BATCH_MAX || (made && hangs_on_unsent(run, made)))
        rc = run_flush(run);
    if (rc < 0)
        return rc;
    if (made && hangs_on_missing(run, made)) {
        refuse(run, i, -ENOENT, "what it hangs on was refused");
        return 0;
    }
    if (is_direct(op)) {
        /* Settings come behind the firewall because they are not to be in force without it. */
        if (object.kind == NET_KIND_SETTING && run->unfiltered)
            rc = err_set(&why, -ENOENT, "the packet filter was refused");
        else
            rc = do_direct(run->k, op, &why);
        if (rc < 0)
            refuse(run, i, rc, why.msg);
        run->unfiltered |= rc < 0 && object.kind == NET_KIND_FIREWALL;
        return 0;
    }
    rc = find_devices(run, &object, &why);
    if (rc == 0)
        rc = build(op, &object, msgs, &why);
    if (rc < 0)
        refuse(run, i, rc, why.msg);
    for (int m = 0; m < rc; m++) {
        run->op_of[run->n] = i;
        run->msgs[run->n++] = msgs[m];
    }
    return 0;
}

static int kernel_apply(void *ctx, const struct net_op *ops, size_t n, net_refused *refused,
                        void *refused_ctx, struct err *err)
{
    struct run run = {.k = ctx,
                      .ops = ops,
                      .refused = refused,
                      .refused_ctx = refused_ctx,
                      .err = err,
                      .last_refused = SIZE_MAX};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!ops[i].implied)
            rc = run_op(&run, i);
    if (rc == 0)
        rc = run_flush(&run);
    for (size_t i = 0; i < run.n; i++)
        net_msg_freep(&run.msgs[i]);
    free(run.missing);
    return rc;
}

/* ---- the kernel as a whole ------------------------------------------------------------------- */

static int kernel_listen(void *ctx, const struct net_owner *owner, struct net_monitor **out,
                         struct err *err)
{
    struct kernel *k = ctx;

    const struct net_monitor_scope scope = {
        .protocol = owner->protocol,
        .port = net_conn_port(k->conn),
        .table = owner->table,
        .netfilter_port = k->netfilter ? net_conn_port(k->netfilter) : 0,
    };

    return net_monitor_open(out, &scope, err);
}

int net_kernel_open(struct net_kernel *out, struct err *err)
{
    struct kernel *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        return err_set(err, -ENOMEM, "connecting to the kernel: out of memory");
    rc = net_conn_open(&k->conn, err);
    if (rc < 0) {
        free(k);
        return rc;
    }
    if (net_conn_open_netfilter(&k->netfilter, NULL) < 0)
        k->netfilter = NULL;
    *out = (struct net_kernel){
        .ctx = k, .dump = kernel_dump, .apply = kernel_apply, .listen = kernel_listen};
    return 0;
}

void net_kernel_close(struct net_kernel *kernel)
{
    struct kernel *k = kernel->ctx;

    if (!k)
        return;
    net_conn_close(k->conn);
    net_conn_close(k->netfilter);
    free(k);
    *kernel = (struct net_kernel){0};
}

struct net_conn *net_kernel_conn(const struct net_kernel *kernel)
{
    const struct kernel *k = kernel->ctx;

    return k->conn;
}
