/* SPSC rings of slot numbers in shared memory; see ring.h for the theory of operation. */
#include "common/ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

static_assert(sizeof(struct ring_packet) == 16, "the table is shared between two programs");
static_assert(sizeof(struct ring_slot) == RING_SLOT_SIZE, "slots are page-aligned");
static_assert(RING_ENTRIES >= RING_SLOTS, "an honest side never finds a ring full");
static_assert((RING_ENTRIES & (RING_ENTRIES - 1)) == 0, "indexes wrap by masking");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomics in shared memory need no lock");

#define RING_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int ring_area_create(void)
{
    _cleanup_(close_fdp) int fd = memfd_create("vpn-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct ring_area)) < 0 || fcntl(fd, F_ADD_SEALS, RING_SEALS) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int ring_area_map(int fd, struct ring_area **out)
{
    struct stat st;
    void *mem;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0)
        return -errno;
    if ((seals & RING_SEALS) != RING_SEALS)
        return -EPERM;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size != (off_t)sizeof(struct ring_area))
        return -EINVAL;
    mem = mmap(NULL, sizeof(struct ring_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return -errno;
    *out = mem;
    return 0;
}

void ring_area_unmap(struct ring_area *area)
{
    if (area)
        munmap(area, sizeof(*area));
}

void ring_end_init(struct ring_end *end, struct ring *ring)
{
    end->ring = ring;
    end->index = 0;
    end->limit = 0;
}

int ring_push(struct ring_end *producer, struct ring_entry entry)
{
    struct ring *ring = producer->ring;
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t word = entry.slot | (uint32_t)entry.op << 16 | (uint32_t)entry.count << 24;

    if (producer->index - head >= RING_ENTRIES)
        return -EPROTO;
    atomic_store_explicit(&ring->entries[producer->index % RING_ENTRIES], word,
                          memory_order_relaxed);
    producer->index++;
    atomic_store_explicit(&ring->tail, producer->index, memory_order_release);
    return 0;
}

int ring_pop(struct ring_end *consumer, struct ring_entry *entry)
{
    struct ring *ring = consumer->ring;
    uint32_t word;

    if (consumer->index == consumer->limit) {
        uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

        if (tail - consumer->index > RING_ENTRIES)
            return -EPROTO;
        if (tail == consumer->index)
            return 0;
        consumer->limit = tail;
    }
    word =
        atomic_load_explicit(&ring->entries[consumer->index % RING_ENTRIES], memory_order_relaxed);
    entry->slot = word & 0xffff;
    entry->op = word >> 16 & 0xff;
    entry->count = (uint8_t)(word >> 24);
    if (entry->slot >= RING_SLOTS || (entry->op != RING_OPEN && entry->op != RING_SEAL) ||
        entry->count == 0 || entry->count > RING_PACKETS)
        return -EPROTO;
    consumer->index++;
    atomic_store_explicit(&ring->head, consumer->index, memory_order_release);
    return 1;
}

bool ring_wants_bell(struct ring_end *producer)
{
    /* Pairs with the fence in ring_sleep(): one of the two sides sees the other's store. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&producer->ring->sleeping, memory_order_relaxed))
        return false;
    /* Clearing it here rings once for many pushes. */
    atomic_store_explicit(&producer->ring->sleeping, 0, memory_order_relaxed);
    return true;
}

bool ring_sleep(struct ring_end *consumer)
{
    struct ring *ring = consumer->ring;

    atomic_store_explicit(&ring->sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring->tail, memory_order_acquire) == consumer->index;
}

void ring_awake(struct ring_end *consumer)
{
    atomic_store_explicit(&consumer->ring->sleeping, 0, memory_order_relaxed);
}

const char *ring_status_name(unsigned int status)
{
    static const char *const names[] = {
        [RING_STATUS_OK] = "ok",
        [RING_STATUS_MALFORMED] = "malformed",
        [RING_STATUS_UNKNOWN_INDEX] = "unknown-index",
        [RING_STATUS_WRONG_LANE] = "wrong-lane",
        [RING_STATUS_EXPIRED] = "expired",
        [RING_STATUS_REPLAY] = "replay",
        [RING_STATUS_FORGED] = "forged",
        [RING_STATUS_NOT_FRESH] = "not-fresh",
        [RING_STATUS_BAD_SEQUENCE] = "bad-sequence",
        [RING_STATUS_BAD_INNER] = "bad-inner",
        [RING_STATUS_SPOOFED] = "spoofed",
        [RING_STATUS_NO_SESSION] = "no-session",
    };
    static_assert(ARRAY_SIZE(names) == RING_STATUS_NUM, "a new status needs its name here");

    return status < RING_STATUS_NUM ? names[status] : "unknown";
}
