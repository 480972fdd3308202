/*
 * The shared memory between one lane and one enclave worker: two single-producer single-consumer
 * rings of slot numbers, and the slots.
 *
 * Theory of operation
 * -------------------
 * A slot holds a *batch*: up to RING_PACKETS packets and a table that says where each begins, how
 * long it is and whose it is.  The caller fills a free slot and submits its number; the worker
 * works on it in place, writes the results into the table and completes it.  A slot is at every
 * moment in exactly one hand: free (caller), submitted (worker) or completed (caller).  There are
 * at least as many ring entries as slots, so an honest side never finds a ring full.
 *
 * A table and not a (length, stride) pair describes the batch, so that packets of different users
 * and lengths share one crossing; a super-packet cut into equal pieces is just a regular table.
 *
 * Each side treats what the other wrote as foreign: the own index is kept in private memory, the
 * peer's is loaded once with acquire and must be at most RING_ENTRIES away, an entry is copied once
 * and then checked.  A violation is -EPROTO; the enclave then wipes and exits.
 *
 * Sleeping: a consumer that finds nothing sets its flag, issues a seq_cst fence and looks again
 * before it waits for its bell (bell.h); a producer publishes, issues a seq_cst fence and rings
 * only when the flag is set.  So no wake-up is lost and a busy pair makes no system call.
 */
#ifndef COMMON_RING_H
#define COMMON_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_ENTRIES   64
#define RING_SLOTS     32
#define RING_PACKETS   128
#define RING_SLOT_SIZE (80 * 1024)
#define RING_CACHELINE 64

enum ring_op {
    RING_OPEN = 1, /* datagrams → plaintexts */
    RING_SEAL = 2, /* plaintexts → datagrams */
};

/* What became of a packet. */
enum ring_status {
    RING_STATUS_OK = 0,
    RING_STATUS_MALFORMED,     /* not a transport message of exact length, or outside its slot */
    RING_STATUS_UNKNOWN_INDEX, /* no such session: answer STALE */
    RING_STATUS_WRONG_LANE,
    RING_STATUS_EXPIRED, /* older than 180 s or out of counters */
    RING_STATUS_REPLAY,
    RING_STATUS_FORGED,
    RING_STATUS_NOT_FRESH, /* older or newer than 5 s against the session's floor */
    RING_STATUS_BAD_SEQUENCE,
    RING_STATUS_BAD_INNER,  /* not a valid IP packet, padding or control message */
    RING_STATUS_SPOOFED,    /* its inner source (client: destination) is not the peer's */
    RING_STATUS_NO_SESSION, /* seal: no such peer, or no confirmed session yet */
    RING_STATUS_NUM,
};

/* Flags of an opened packet. */
#define RING_FLAG_NEWEST   0x1 /* counter above the highest seen: the endpoint may move */
#define RING_FLAG_PROMOTED 0x2 /* this packet confirmed a new session */

/*
 * One packet of a batch.  To open: offset, length name a datagram; after it type, peer, flags are
 * set and the plaintext of the new length begins at offset + WIRE_OVERHEAD.  To seal: the
 * plaintext of length bytes begins at offset + WIRE_OVERHEAD; after it the datagram of the new
 * length begins at offset.  Offsets count from the slot's start.
 */
struct ring_packet {
    uint32_t offset;
    uint16_t length;
    uint8_t type;   /* enum wire_type */
    uint8_t status; /* enum ring_status, written by the worker */
    uint32_t peer;
    uint32_t flags;
};

#define RING_TABLE_SIZE (RING_PACKETS * sizeof(struct ring_packet))

struct ring_slot {
    struct ring_packet packets[RING_PACKETS];
    uint8_t data[RING_SLOT_SIZE - RING_TABLE_SIZE];
};

/*
 * One direction.  Only the producer writes tail and entries, only the consumer head.  The consumer
 * sets sleeping, whoever rings the bell clears it.
 */
struct ring {
    _Alignas(RING_CACHELINE) _Atomic uint32_t tail;
    _Alignas(RING_CACHELINE) _Atomic uint32_t head;
    _Alignas(RING_CACHELINE) _Atomic uint32_t sleeping;
    _Alignas(RING_CACHELINE) _Atomic uint32_t entries[RING_ENTRIES];
};

struct ring_area {
    struct ring submit;
    struct ring complete;
    _Alignas(4096) struct ring_slot slots[RING_SLOTS];
};

/* What travels in an entry. */
struct ring_entry {
    uint16_t slot;
    uint8_t op;    /* enum ring_op */
    uint8_t count; /* packets in the slot's table, 1 to RING_PACKETS */
};

/* One end's private view of a ring. */
struct ring_end {
    struct ring *ring;
    uint32_t index; /* next to write (producer) or to read (consumer) */
    uint32_t limit; /* consumer: last tail seen */
};

/**
 * ring_area_create() - make the shared memory of one lane
 *
 * A memfd of exactly sizeof(struct ring_area) bytes, sealed against growing, shrinking and further
 * sealing, so that neither side can take the memory away from under the other.
 *
 * Return: a descriptor (close-on-exec) or -errno.
 */
int ring_area_create(void);

/**
 * ring_area_map() - check the seals and the size, and map
 *
 * Return: 0 or -errno; -EPERM when a seal is missing.
 */
int ring_area_map(int fd, struct ring_area **out);
void ring_area_unmap(struct ring_area *area);

void ring_end_init(struct ring_end *end, struct ring *ring);

/**
 * ring_push() - publish an entry
 *
 * Return: 0; -EPROTO when the consumer's index cannot be true or the ring is full (an honest pair
 * never fills it).
 */
int ring_push(struct ring_end *producer, struct ring_entry entry);

/**
 * ring_pop() - take the next entry, checked: slot and count in bounds, op known
 *
 * Return: 1 with @entry; 0 when empty; -EPROTO on a violation.
 */
int ring_pop(struct ring_end *consumer, struct ring_entry *entry);

/** ring_wants_bell() - producer, after pushing: is the other side asleep?  Clears the wish. */
bool ring_wants_bell(struct ring_end *producer);

/** ring_sleep() - consumer: announce sleep.  Return: true when still empty, so blocking is safe. */
bool ring_sleep(struct ring_end *consumer);
/** ring_awake() - consumer: withdraw the announcement. */
void ring_awake(struct ring_end *consumer);

/** ring_pause() - between two looks at memory: lets the other hyper-thread run. */
static inline void ring_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/** ring_status_name() - as `vpnctl status` counts it; never NULL. */
const char *ring_status_name(unsigned int status);

#endif
