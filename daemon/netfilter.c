/* What the kernel can do of the server's packet filter; see netfilter.h. */
#include "daemon/netfilter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/firewall.h"
#include "daemon/keeper.h"
#include "daemon/server.h"
#include "netlink/conn.h"
#include "netlink/nft.h"
#include "netlink/plan.h"

#define AGAIN_MS 10000 /* until a question that failed is asked again */

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
    NETFILTER_UNKNOWN, /* to be asked again; until then all is wanted */
};

struct netfilter {
    enum netfilter_state state;
    uint64_t asked_ms;
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
        return "missing";
    case NETFILTER_UNKNOWN:
        break;
    }
    return "unknown";
}

static void say(const struct netfilter *nf)
{
    switch (nf->state) {
    case NETFILTER_ACTIVE:
        log_info("packet filter: this kernel has all that it needs");
        break;
    case NETFILTER_PARTIAL:
        log_warning("packet filter: " LOST_FIB ": %s", nf->reason);
        break;
    case NETFILTER_MISSING:
        log_warning("packet filter: " LOST_ALL ": %s", nf->reason);
        break;
    case NETFILTER_UNKNOWN:
        log_warning("packet filter: what the kernel can do of it is not known yet: %s", nf->reason);
        break;
    }
}

static int check(struct net_conn *conn, const struct config *config, bool fib, struct err *err)
{
    _cleanup_(net_firewall_clear) struct net_firewall fw = {.n = 0};
    int rc = firewall_lower(config, fib, &fw);

    if (rc < 0)
        return err_set(err, rc, "%s", strerror(-rc));
    return net_nft_check(conn, &fw, err);
}

/* What says nothing of the kernel's abilities: the next time it may be otherwise. */
static bool is_passing(int rc)
{
    return rc == -ENOMEM || rc == -ENOBUFS || rc == -EAGAIN || rc == -EINTR || rc == -EMFILE ||
           rc == -ENFILE || rc == -ETIMEDOUT;
}

/* @reason: of what is less than all. */
static enum netfilter_state ask(struct net_conn *conn, const struct config *config,
                                struct err *reason)
{
    struct err other;
    int rc = check(conn, config, true, reason);

    if (rc == 0)
        return NETFILTER_ACTIVE;
    if (!is_passing(rc)) {
        rc = check(conn, config, false, &other);
        if (rc == 0)
            return NETFILTER_PARTIAL;
    }
    return is_passing(rc) ? NETFILTER_UNKNOWN : NETFILTER_MISSING;
}

static enum netfilter_state connect_and_ask(const struct config *config, struct err *reason)
{
    struct net_conn *conn = NULL;
    enum netfilter_state state;
    int rc = net_conn_open_netfilter(&conn, reason);

    if (rc < 0)
        return is_passing(rc) ? NETFILTER_UNKNOWN : NETFILTER_MISSING;
    state = ask(conn, config, reason);
    net_conn_close(conn);
    return state;
}

/* Return: whether the answer is another one than before. */
static bool find_out(struct server *s, struct netfilter *nf)
{
    const enum netfilter_state former = nf->state;
    struct err reason = {{0}};

    nf->state = connect_and_ask(s->config, &reason);
    nf->asked_ms = s->now.mono_ms;
    memcpy(nf->reason, reason.msg, sizeof(nf->reason));
    return nf->state != former;
}

void netfilter_open(struct server *s)
{
    struct netfilter *nf = calloc(1, sizeof(*nf));

    s->netfilter = nf;
    if (!nf)
        return;
    (void)find_out(s, nf);
    say(nf);
}

void netfilter_tick(struct server *s)
{
    struct netfilter *nf = s->netfilter;

    if (!nf || nf->state != NETFILTER_UNKNOWN || s->now.mono_ms < nf->asked_ms + AGAIN_MS ||
        !find_out(s, nf))
        return;
    say(nf);
    keeper_changed(s);
}

struct desired_support netfilter_support(const struct server *s)
{
    const struct netfilter *nf = s->netfilter;

    return (struct desired_support){.firewall = nf && nf->state != NETFILTER_MISSING,
                                    .fib = nf && (nf->state == NETFILTER_ACTIVE ||
                                                  nf->state == NETFILTER_UNKNOWN)};
}

void netfilter_close(struct server *s)
{
    free(s->netfilter);
    s->netfilter = NULL;
}

/* As the configuration in force has them. */
static size_t count_rules(const struct server *s)
{
    _cleanup_(net_firewall_clear) struct net_firewall fw = {.n = 0};
    const struct desired_support support = netfilter_support(s);

    return support.firewall && firewall_lower(s->config, support.fib, &fw) == 0 ? fw.n : 0;
}

json_t *netfilter_status(struct server *s)
{
    const struct netfilter *nf = s->netfilter;
    char clash[NET_OP_FORMAT_SIZE];
    json_t *out;

    if (!nf)
        return json_pack("{s:s}", "state", state_name(NETFILTER_MISSING));
    if (keeper_clash(s, NET_KIND_FIREWALL, clash))
        return json_pack("{s:s, s:s}", "state", "clash", "reason", clash);
    out = json_pack("{s:s, s:I}", "state", state_name(nf->state), "rules",
                    (json_int_t)count_rules(s));
    if (out && nf->reason[0])
        json_object_set_new(out, "reason", json_string(nf->reason));
    return out;
}
