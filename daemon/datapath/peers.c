/* The lanes' table of peers; see peers.h. */
#include "daemon/datapath/peers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/datapath/pmtu.h"

/* A path packed into words, so that a reader may copy it while it changes and then look again. */
union packed_path {
    struct {
        uint8_t remote[16], local[16];
        uint32_t scope, socket;
        uint16_t port;
        uint8_t remote_family, local_family;
        uint32_t zero;
    } f;
    uint64_t words[PATH_WORDS];
};
_Static_assert(sizeof(union packed_path) == PATH_WORDS * sizeof(uint64_t), "no hidden padding");

static union packed_path pack(const struct path *path)
{
    union packed_path p;

    memset(&p, 0, sizeof(p));
    memcpy(p.f.remote, path->remote.addr.bytes, 16);
    memcpy(p.f.local, path->local.bytes, 16);
    p.f.scope = path->remote.scope;
    p.f.socket = path->socket;
    p.f.port = path->remote.port;
    p.f.remote_family = path->remote.addr.family;
    p.f.local_family = path->local.family;
    return p;
}

static struct path unpack(const union packed_path *p)
{
    struct path path = {0};

    path.remote.addr.family = p->f.remote_family;
    memcpy(path.remote.addr.bytes, p->f.remote, 16);
    path.remote.port = p->f.port;
    path.remote.scope = p->f.scope;
    path.local.family = p->f.local_family;
    memcpy(path.local.bytes, p->f.local, 16);
    path.socket = p->f.socket;
    return path;
}

int peers_init(struct peers *p)
{
    /* Anonymous memory costs nothing until a peer touches its page. */
    p->table = mmap(NULL, (IPC_MAX_PEERS + 1) * sizeof(*p->table), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->table == MAP_FAILED) {
        p->table = NULL;
        return -errno;
    }
    return 0;
}

void peers_clear(struct peers *p)
{
    if (p->table)
        munmap(p->table, (IPC_MAX_PEERS + 1) * sizeof(*p->table));
    p->table = NULL;
}

struct dp_peer *peers_get(struct peers *p, uint32_t handle)
{
    struct dp_peer *peer = &p->table[IPC_PEER_SLOT(handle)];

    if (handle == 0 || atomic_load_explicit(&peer->handle, memory_order_acquire) != handle)
        return NULL;
    return peer;
}

static union packed_path cell_load(struct path_cell *cell)
{
    union packed_path p;
    uint32_t before, after;
    int i;

    do {
        before = atomic_load_explicit(&cell->seq, memory_order_acquire);
        for (i = 0; i < PATH_WORDS; i++)
            p.words[i] = atomic_load_explicit(&cell->words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&cell->seq, memory_order_relaxed);
    } while ((before & 1) || before != after);
    return p;
}

static void cell_store(struct path_cell *cell, const union packed_path *p)
{
    uint32_t seq;
    int i;

    /* Writers are the owning lane and, rarely, the main thread: odd means one of them is at it. */
    do {
        seq = atomic_load_explicit(&cell->seq, memory_order_relaxed) & ~1U;
    } while (!atomic_compare_exchange_weak_explicit(&cell->seq, &seq, seq + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    atomic_thread_fence(memory_order_release);
    for (i = 0; i < PATH_WORDS; i++)
        atomic_store_explicit(&cell->words[i], p->words[i], memory_order_relaxed);
    atomic_store_explicit(&cell->seq, seq + 2, memory_order_release);
}

static bool packed_equal(const union packed_path *a, const union packed_path *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

struct path peer_path(struct dp_peer *peer)
{
    union packed_path p = cell_load(&peer->path);

    return unpack(&p);
}

void peer_place(struct dp_peer *peer, const struct path *path)
{
    union packed_path p = pack(path);

    cell_store(&peer->proven, &p);
    cell_store(&peer->path, &p);
    atomic_store_explicit(&peer->path_ping, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->credit, PEER_PROVEN, memory_order_relaxed);
}

static bool cell_rehome(struct path_cell *cell, uint32_t from, uint32_t to, bool keep_local)
{
    union packed_path p = cell_load(cell);

    if (p.f.socket != from)
        return false;
    p.f.socket = to;
    if (!keep_local) {
        p.f.local_family = 0;
        memset(p.f.local, 0, sizeof(p.f.local));
    }
    cell_store(cell, &p);
    return true;
}

bool peer_rehome(struct dp_peer *peer, uint32_t from, uint32_t to, bool keep_local)
{
    cell_rehome(&peer->proven, from, to, keep_local);
    return cell_rehome(&peer->path, from, to, keep_local);
}

enum peer_follow peer_follow(struct dp_peer *peer, const struct path *path)
{
    union packed_path old = cell_load(&peer->path), new = pack(path), proven;

    if (packed_equal(&old, &new))
        return PEER_FOLLOW_SAME;
    proven = cell_load(&peer->proven);
    atomic_store_explicit(&peer->path_ping, 0, memory_order_relaxed);
    if (packed_equal(&proven, &new)) {
        cell_store(&peer->path, &new);
        atomic_store_explicit(&peer->credit, PEER_PROVEN, memory_order_release);
        return PEER_FOLLOW_BACK;
    }
    /* The limit first: a sender that sees the new path must not spend the old one's credit. */
    atomic_store_explicit(&peer->credit, 0, memory_order_release);
    cell_store(&peer->path, &new);
    return PEER_FOLLOW_NEW;
}

void peer_challenge(struct dp_peer *peer, uint64_t id)
{
    atomic_store_explicit(&peer->path_ping, id, memory_order_relaxed);
}

void peer_earn(struct dp_peer *peer, const struct path *path, size_t len)
{
    uint64_t credit = atomic_load_explicit(&peer->credit, memory_order_relaxed);
    union packed_path here, from;

    if (credit == PEER_PROVEN)
        return;
    here = cell_load(&peer->path);
    from = pack(path);
    if (!packed_equal(&here, &from))
        return;
    /* A login may prove the path meanwhile: adding to that would wrap around to next to nothing. */
    do {
        if (credit == PEER_PROVEN)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&peer->credit, &credit, credit + 3 * len,
                                                    memory_order_relaxed, memory_order_relaxed));
}

bool peer_prove(struct dp_peer *peer, uint64_t id, const struct path *path)
{
    union packed_path here = cell_load(&peer->path), from = pack(path);

    if (id == 0 || id != atomic_load_explicit(&peer->path_ping, memory_order_relaxed) ||
        !packed_equal(&here, &from))
        return false;
    cell_store(&peer->proven, &here);
    atomic_store_explicit(&peer->path_ping, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->credit, PEER_PROVEN, memory_order_release);
    return true;
}

bool peer_spend(struct dp_peer *peer, size_t len)
{
    uint64_t credit = atomic_load_explicit(&peer->credit, memory_order_acquire);

    do {
        if (credit == PEER_PROVEN)
            return true;
        if (credit < len)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&peer->credit, &credit, credit - len,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool peer_answered(struct dp_peer *peer, uint64_t id)
{
    uint64_t base = atomic_load_explicit(&peer->probe_base, memory_order_acquire);
    uint32_t size = (uint32_t)PMTU_SIZE(id);

    if (base == 0 || PMTU_BASE(id) != base ||
        size <= atomic_load_explicit(&peer->probe_answered, memory_order_relaxed))
        return false;
    atomic_store_explicit(&peer->probe_answered, size, memory_order_relaxed);
    return true;
}

void peers_add(struct peers *p, uint32_t handle, uint32_t port, uint16_t mtu,
               const struct path *path, uint64_t now_ms)
{
    struct dp_peer *peer = &p->table[IPC_PEER_SLOT(handle)];

    atomic_store_explicit(&peer->handle, 0, memory_order_release);
    peer_place(peer, path);
    atomic_store_explicit(&peer->port, port, memory_order_relaxed);
    atomic_store_explicit(&peer->mtu, mtu, memory_order_relaxed);
    atomic_store_explicit(&peer->limit, mtu, memory_order_relaxed);
    atomic_store_explicit(&peer->whole, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->shrunk, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->probe_base, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->probe_answered, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->rx_packets, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->rx_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->tx_packets, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->tx_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->last_rx_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->last_rx_data_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->last_tx_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->unanswered_since_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->control_second, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->next_counter, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->handle, handle, memory_order_release);
}

void peers_remove(struct peers *p, uint32_t handle)
{
    struct dp_peer *peer = peers_get(p, handle);

    if (peer)
        atomic_store_explicit(&peer->handle, 0, memory_order_release);
}
