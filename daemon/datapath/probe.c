/* Path questions of the main thread; see probe.h. */
#include "daemon/datapath/probe.h"

#include <string.h>
#include <sys/random.h>

#include "common/wire.h"

static void ping(struct datapath *dp, uint32_t peer, uint64_t id, uint16_t answered, size_t size)
{
    uint8_t text[WIRE_MTU_MAX] = {0};

    be64_put(text, id);
    be16_put(text + 8, answered);
    /* A lane that does not keep up loses a probe, as a path may: it is sent again. */
    (void)datapath_seal(dp, peer, WIRE_PING, text, size);
}

static void publish(struct dp_peer *peer, const struct pmtu *p)
{
    atomic_store_explicit(&peer->whole, p->whole, memory_order_relaxed);
    atomic_store_explicit(&peer->limit, p->limit, memory_order_relaxed);
}

void probe_begin(struct datapath *dp, uint32_t peer, struct pmtu *p, bool fresh, uint64_t now_ms)
{
    struct dp_peer *dpp = peers_get(&dp->peers, peer);
    uint64_t base;

    if (!dpp || getrandom(&base, sizeof(base), GRND_NONBLOCK) != sizeof(base))
        return;
    pmtu_begin(p, (uint16_t)atomic_load_explicit(&dpp->mtu, memory_order_relaxed), base, fresh,
               now_ms);
    publish(dpp, p);
    atomic_store_explicit(&dpp->probe_answered, 0, memory_order_relaxed);
    atomic_store_explicit(&dpp->probe_base, p->base, memory_order_release);
    atomic_store_explicit(&dpp->shrunk, 0, memory_order_relaxed);
    probe_tick(dp, peer, p, now_ms);
}

void probe_answered(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t id)
{
    struct dp_peer *dpp = peers_get(&dp->peers, peer);

    if (!dpp || p->base == 0)
        return;
    pmtu_answer(p, id);
    publish(dpp, p);
}

void probe_shrunk(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms)
{
    /* A search that is on finds it out by itself. */
    if (p->base == 0 || p->due_ms != PMTU_NEVER)
        return;
    probe_begin(dp, peer, p, true, now_ms);
}

uint64_t probe_tick(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms)
{
    struct dp_peer *dpp = peers_get(&dp->peers, peer);
    uint16_t sizes[PMTU_ROUND];
    size_t n;

    if (!dpp || p->base == 0)
        return PMTU_NEVER;
    n = pmtu_send(p, now_ms, sizes);
    for (size_t i = 0; i < n; i++)
        ping(dp, peer, pmtu_id(p, sizes[i]), p->low, sizes[i]);
    publish(dpp, p);
    return p->due_ms;
}

void probe_path(struct datapath *dp, uint32_t peer)
{
    struct dp_peer *dpp = peers_get(&dp->peers, peer);
    uint64_t id = dpp ? atomic_load_explicit(&dpp->path_ping, memory_order_relaxed) : 0;

    if (id)
        ping(dp, peer, id, 0, WIRE_PAD);
}
