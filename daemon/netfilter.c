/* The server's table of the packet filter in the kernel; see netfilter.h. */
#include "daemon/netfilter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/firewall.h"
#include "daemon/server.h"
#include "netlink/conn.h"
#include "netlink/nft.h"

#define LOST_ALL                                                                                   \
    "packets to tunnel addresses from other interfaces are not dropped, nothing is masqueraded, "  \
    "and clients can take the server's port through another NAT of this host"
#define LOST_FIB                                                                                   \
    "packets that other interfaces forward into the tunnel are not checked for their source, and " \
    "the server's ports are tracked"

enum netfilter_state {
    NETFILTER_ACTIVE,
    NETFILTER_PARTIAL, /* without what needs the routing tables */
    NETFILTER_MISSING,
};

struct netfilter {
    struct net_conn *conn;
    enum netfilter_state state;
    size_t rules;
    char reason[sizeof(((struct err *)0)->msg)];
};

static const char *state_name(enum netfilter_state state)
{
    switch (state) {
    case NETFILTER_ACTIVE:
        return "active";
    case NETFILTER_PARTIAL:
        return "partial";
    case NETFILTER_MISSING:
        break;
    }
    return "missing";
}

static int put(struct netfilter *nf, const struct config *config, bool fib, struct err *err)
{
    _cleanup_(net_firewall_clear) struct net_firewall want = {.n = 0};
    int rc = firewall_lower(config, fib, &want);

    if (rc < 0)
        return err_set(err, rc, "the packet filter: %s", strerror(-rc));
    rc = net_nft_put(nf->conn, &want, err);
    nf->rules = rc == 0 ? want.n : 0;
    return rc;
}

static void say(const struct netfilter *nf)
{
    switch (nf->state) {
    case NETFILTER_ACTIVE:
        log_info("packet filter: table inet " NET_FW_TABLE_SERVER " set (%zu rules)", nf->rules);
        break;
    case NETFILTER_PARTIAL:
        log_warning("packet filter: " LOST_FIB ": %s", nf->reason);
        break;
    case NETFILTER_MISSING:
        log_warning("packet filter: " LOST_ALL ": %s", nf->reason);
        break;
    }
}

static void probe(struct server *s, struct netfilter *nf)
{
    struct err err = {{0}};
    int rc;

    rc = put(nf, s->config, true, &err);
    if (rc < 0) {
        nf->state = NETFILTER_MISSING;
        snprintf(nf->reason, sizeof(nf->reason), "%s", err.msg);
    }
    if (rc == -EOPNOTSUPP && put(nf, s->config, false, &err) == 0)
        nf->state = NETFILTER_PARTIAL;
    say(nf);
}

void netfilter_open(struct server *s)
{
    struct netfilter *nf = calloc(1, sizeof(*nf));
    struct err err;

    s->netfilter = nf;
    if (!nf)
        return;
    if (net_conn_open_netfilter(&nf->conn, &err) < 0) {
        nf->state = NETFILTER_MISSING;
        snprintf(nf->reason, sizeof(nf->reason), "%s", err.msg);
        say(nf);
        return;
    }
    probe(s, nf);
}

struct desired_support netfilter_support(const struct server *s)
{
    const struct netfilter *nf = s->netfilter;

    return (struct desired_support){.firewall = nf && nf->state != NETFILTER_MISSING,
                                    .fib = nf && nf->state == NETFILTER_ACTIVE};
}

void netfilter_close(struct server *s)
{
    const struct net_firewall nothing = {.table = NET_FW_TABLE_SERVER,
                                         .owner = NET_FW_OWNER_SERVER};
    struct netfilter *nf = s->netfilter;
    struct err err;

    if (!nf)
        return;
    if (nf->conn && nf->state != NETFILTER_MISSING && net_nft_put(nf->conn, &nothing, &err) < 0)
        log_warning("packet filter: not removed: %s", err.msg);
    net_conn_close(nf->conn);
    free(nf);
    s->netfilter = NULL;
}

/* As the configuration in force has them. */
static size_t count_rules(const struct server *s)
{
    _cleanup_(net_firewall_clear) struct net_firewall fw = {.n = 0};
    const struct desired_support support = netfilter_support(s);

    return support.firewall && firewall_lower(s->config, support.fib, &fw) == 0 ? fw.n : 0;
}

json_t *netfilter_status(const struct server *s)
{
    const struct netfilter *nf = s->netfilter;
    json_t *out;

    if (!nf)
        return json_pack("{s:s}", "state", state_name(NETFILTER_MISSING));
    out = json_pack("{s:s, s:I}", "state", state_name(nf->state), "rules",
                    (json_int_t)count_rules(s));
    if (out && nf->reason[0])
        json_object_set_new(out, "reason", json_string(nf->reason));
    return out;
}
