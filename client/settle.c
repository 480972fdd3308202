/* What all tunnels together need of the kernel; see settle.h. */
#include "client/settle.h"

#include <errno.h>

#include "client/client.h"
#include "client/firewall.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "netlink/firewall.h"

/* Make the kernel equal to what all tunnels need now. */
static int settle(struct client *c, struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *want = net_set_new();
    const size_t n = c->profile->n_tunnels;
    bool marked = false;
    int rc = -ENOMEM;

    if (want)
        rc = netstate_lower(c->netstate, n, c->dns.port, want);
    if (rc == 0)
        rc = neighbours_lower(&c->neighbours, netstate_catches(c->netstate, n), want, &marked);
    if (rc == 0)
        rc = firewall_guard(c->netstate, c->guard.state == ABILITY_MISSING ? 0 : n,
                            marked ? ROUTING_MARK : 0, want);
    if (rc < 0)
        return err_set(err, rc, "out of memory");
    return keeper_want(c->keeper, want, c->env.now_ms, err);
}

/* A kernel without nf_tables is no reason not to connect.  Return: is the answer another one? */
static bool find_guard(struct client *c)
{
    const struct net_fw_rule rule = {.chain = NET_FW_PREROUTING,
                                     .not_iif = "lo",
                                     .action = NET_FW_DROP};

    if (!ability_ask(&c->guard, &rule, false, c->env.now_ms))
        return false;
    switch (c->guard.state) {
    case ABILITY_THERE:
        log_info("packets to tunnel addresses from other interfaces are dropped");
        break;
    case ABILITY_MISSING:
        log_warning("packets to tunnel addresses from other interfaces are not dropped: %s",
                    c->guard.why.msg);
        break;
    case ABILITY_UNKNOWN:
        log_warning("whether packets to tunnel addresses from other interfaces can be dropped is "
                    "not known yet: %s",
                    c->guard.why.msg);
        break;
    }
    return true;
}

static void say_blocked(const struct client *c)
{
    for (size_t i = 0; i < c->profile->n_tunnels; i++)
        if (c->profile->tunnels[i].block_when_down)
            tunnel_line(&c->tunnels[i], LOG_LEVEL_INFO,
                        "what this tunnel carries is blocked while it is down (block-when-down)");
}

void settle_begin(struct client *c)
{
    struct err err;

    (void)find_guard(c);
    neighbours_open(&c->neighbours, c->profile->state, c->env.now_ms);
    if (settle(c, &err) < 0)
        log_warning("%s", err.msg);
    say_blocked(c);
}

uint64_t settle_again(struct client *c)
{
    const uint64_t now = c->env.now_ms;
    uint64_t guard, neighbours;

    if (now >= ability_due(&c->guard) && find_guard(c))
        c->env.changed = true;
    if (neighbours_tick(&c->neighbours, now))
        c->env.changed = true;
    guard = ability_due(&c->guard);
    neighbours = neighbours_due(&c->neighbours);
    return guard < neighbours ? guard : neighbours;
}

void settle_changes(struct client *c)
{
    struct err err;
    int rc;

    if (!c->env.changed)
        return;
    c->env.changed = false;
    rc = settle(c, &err);
    for (size_t i = 0; i < c->n_tunnels; i++)
        tunnel_settled(&c->tunnels[i], rc, &err);
}

void settle_end(struct client *c)
{
    _cleanup_(net_set_freep) struct net_set *want = net_set_new();
    const bool asked = c->exit_status == 0;
    struct err err;
    int rc = want ? 0 : -ENOMEM;

    if (!c->netstate || !c->keeper)
        return;
    if (rc == 0 && !asked)
        rc = netstate_lower_blocks(c->netstate, c->profile->n_tunnels, want);
    if (rc == 0 && net_set_count(want) > 0)
        log_warning("what tunnels with block-when-down carry stays blocked: start vpn-client "
                    "again, or lift it with vpn-client --unblock");
    if (rc < 0)
        err_set(&err, rc, "out of memory");
    else
        rc = keeper_want(c->keeper, want, clock_mono_ms(), &err);
    if (rc < 0)
        log_warning("not removed: %s", err.msg);
}
