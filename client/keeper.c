/* Keeps the kernel equal to what the tunnels need; see keeper.h. */
#include "client/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/netstate.h"
#include "common/log.h"
#include "netlink/conn.h"
#include "netlink/link.h"

#define INTERVAL_MS 60000

struct keeper {
    struct net_kernel kernel;
    struct net_reconciler *engine;
};

static void on_news(void *ctx, enum net_news news, const char *text)
{
    (void)ctx;
    switch (news) {
    case NET_NEWS_DRIFT:
    case NET_NEWS_FIGHT:
    case NET_NEWS_CLASH:
    case NET_NEWS_REFUSED:
    case NET_NEWS_FAILED:
        log_warning("%s", text);
        break;
    case NET_NEWS_AGAIN:
        log_info("%s", text);
        break;
    case NET_NEWS_WAITING:
    case NET_NEWS_ARRIVED:
        log_debug("%s: %s", news == NET_NEWS_WAITING ? "waiting" : "set at last", text);
        break;
    }
}

int keeper_new(struct keeper **out, struct err *err)
{
    const struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_CLIENT,
                  .alias = NETSTATE_ALIAS,
                  .table = NET_FW_TABLE_CLIENT},
        .drift = NET_DRIFT_REPAIR,
        .interval_ms = INTERVAL_MS,
        .news = on_news,
    };
    struct keeper *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_kernel_open(&k->kernel, err);
    if (rc == 0)
        rc = net_reconciler_new(&k->kernel, &config, &k->engine, err);
    if (rc < 0)
        keeper_free(k);
    else
        *out = k;
    return rc;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    net_reconciler_free(k->engine);
    net_kernel_close(&k->kernel);
    free(k);
}

int keeper_fd(const struct keeper *k)
{
    return net_reconciler_fd(k->engine);
}

uint64_t keeper_deadline(const struct keeper *k)
{
    return net_reconciler_deadline(k->engine);
}

void keeper_service(struct keeper *k, uint64_t now_ms)
{
    net_reconciler_service(k->engine, now_ms);
}

void keeper_status(const struct keeper *k, struct net_reconciler_status *out)
{
    net_reconciler_status(k->engine, out);
}

int keeper_want(struct keeper *k, const struct net_set *want, uint64_t now_ms, struct err *err)
{
    struct net_reconciler_status status;
    int rc = net_reconciler_want(k->engine, want, now_ms, err);

    /* Two tunnels that want different things of one place: the first has it, as is said. */
    if (rc == -EEXIST)
        log_warning("%s", err->msg);
    else if (rc < 0)
        return rc;
    net_reconciler_service(k->engine, now_ms);
    net_reconciler_status(k->engine, &status);
    return status.error[0] ? err_set(err, -EIO, "%s", status.error) : 0;
}

int keeper_check(const struct keeper *k, const struct net_set *mine, struct err *err)
{
    const struct net_plan *plan = net_reconciler_last(k->engine);
    char text[NET_OP_FORMAT_SIZE];

    for (size_t i = 0; plan && i < plan->n_clashes; i++)
        if (net_set_find(mine, plan->clashes[i].want))
            return err_set(err, -EEXIST, "%s", net_clash_format(&plan->clashes[i], text) + 2);
    for (size_t i = 0; plan && i < plan->n_ops; i++)
        if (plan->ops[i].want && net_set_find(mine, plan->ops[i].want))
            return err_set(err, -EEXIST, "the kernel does not take %s",
                           net_op_format(&plan->ops[i], text) + 2);
    return 0;
}

/* ---- devices ----------------------------------------------------------------------------------
 */

int keeper_device_check(struct keeper *k, const char *device, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(net_kernel_conn(&k->kernel), device, &link, err);

    if (rc == -ENODEV)
        return 0;
    if (rc < 0)
        return rc;
    if (strcmp(link.alias, NETSTATE_ALIAS) != 0)
        return err_set(err, -EEXIST,
                       "device %s exists and is not ours: remove it (ip link del %s) or choose "
                       "another name",
                       device, device);
    return 0;
}

int keeper_device_claim(struct keeper *k, const char *device, struct err *err)
{
    struct net_conn *conn = net_kernel_conn(&k->kernel);
    struct net_link link, want = {.alias = NETSTATE_ALIAS};
    int rc = net_link_get(conn, device, &link, err);

    if (rc < 0)
        return rc;
    memcpy(want.name, link.name, sizeof(want.name));
    return net_link_set(conn, link.ifindex, &want, NET_LINK_ALIAS, err);
}

int keeper_device_remove(struct keeper *k, const char *device, struct err *err)
{
    struct net_conn *conn = net_kernel_conn(&k->kernel);
    struct net_link link;
    int rc = net_link_get(conn, device, &link, err);

    if (rc == 0 && strcmp(link.alias, NETSTATE_ALIAS) == 0)
        rc = net_link_del(conn, link.ifindex, err);
    return rc == -ENODEV ? 0 : rc;
}
