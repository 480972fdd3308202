/* The lanes' table of peers; see peers.h. */
#include "daemon/datapath/peers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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

static union packed_path load_words(struct dp_peer *peer)
{
    union packed_path p;
    uint32_t before, after;
    int i;

    do {
        before = atomic_load_explicit(&peer->path_seq, memory_order_acquire);
        for (i = 0; i < PATH_WORDS; i++)
            p.words[i] = atomic_load_explicit(&peer->path_words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&peer->path_seq, memory_order_relaxed);
    } while ((before & 1) || before != after);
    return p;
}

struct path peer_path(struct dp_peer *peer)
{
    union packed_path p = load_words(peer);

    return unpack(&p);
}

bool peer_move(struct dp_peer *peer, const struct path *path)
{
    union packed_path old = load_words(peer), new = pack(path);
    uint32_t seq;
    int i;

    if (memcmp(&old, &new, sizeof(old)) == 0)
        return false;
    /* Writers are the owning lane and, rarely, the main thread: odd means one of them is at it. */
    do {
        seq = atomic_load_explicit(&peer->path_seq, memory_order_relaxed) & ~1U;
    } while (!atomic_compare_exchange_weak_explicit(&peer->path_seq, &seq, seq + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    atomic_thread_fence(memory_order_release);
    for (i = 0; i < PATH_WORDS; i++)
        atomic_store_explicit(&peer->path_words[i], new.words[i], memory_order_relaxed);
    atomic_store_explicit(&peer->path_seq, seq + 2, memory_order_release);
    return true;
}

void peers_add(struct peers *p, uint32_t handle, uint32_t port, uint16_t mtu,
               const struct path *path, uint64_t now_ms)
{
    struct dp_peer *peer = &p->table[IPC_PEER_SLOT(handle)];

    atomic_store_explicit(&peer->handle, 0, memory_order_release);
    peer_move(peer, path);
    atomic_store_explicit(&peer->port, port, memory_order_relaxed);
    atomic_store_explicit(&peer->mtu, mtu, memory_order_relaxed);
    atomic_store_explicit(&peer->rx_packets, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->rx_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->tx_packets, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->tx_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->last_rx_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->last_rx_data_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->last_tx_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->unanswered_since_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->next_counter, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->handle, handle, memory_order_release);
}

void peers_remove(struct peers *p, uint32_t handle)
{
    struct dp_peer *peer = peers_get(p, handle);

    if (peer)
        atomic_store_explicit(&peer->handle, 0, memory_order_release);
}
