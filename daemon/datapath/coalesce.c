/* Merging packets of a flow into super-packets; see coalesce.h. */
#include "daemon/datapath/coalesce.h"

#include <netinet/in.h>
#include <string.h>

#include "common/wire.h"
#include "daemon/datapath/checksum.h"

#define IP4_HEADER        20
#define IP4_DONT_FRAGMENT 0x4000
#define IP6_HEADER        40
#define PORTS             4 /* both, where TCP and UDP begin */
#define TCP_HEADER        20
#define TCP_CHECKSUM      16
#define TCP_FIN           0x01
#define TCP_PSH           0x08
#define TCP_ACK           0x10
#define TCP_ECE           0x40
#define UDP_HEADER        8
#define UDP_CHECKSUM      6
#define UDP_MAX_SEGMENTS  64 /* the kernel's limit before 6.9; later it is 128 */
#define LOOK_BACK         16 /* groups: more flows than that in one batch merge less */

/* What founding and joining need to know of a packet. */
struct segment {
    const uint8_t *packet;
    uint16_t len;
    uint8_t protocol; /* 0: its flow is not known, and it stays alone */
    bool alone;       /* its flow is known, but it must not be merged */
    uint16_t transport, headers;
    uint32_t hosts;
    bool last; /* nothing may follow it in its group */
};

void coalesce_begin(struct coalesce *c)
{
    c->n_packets = c->n_groups = 0;
}

/* ---- what kind of packet is it? -------------------------------------------------------------- */

static uint32_t hosts_hash(const uint8_t *addresses, size_t len)
{
    uint64_t hash = 0, word;

    for (size_t i = 0; i < len; i += sizeof(word)) {
        memcpy(&word, addresses + i, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/*
 * The header without options of a whole packet, or the packet stays alone.  The enclave can write
 * to it at any time, so that it is shorter than what its version says now.
 */
static void look_at_ip(struct segment *s)
{
    const uint8_t *p = s->packet;

    if (p[0] >> 4 == 4) {
        s->hosts = hosts_hash(p + 12, 8);
        s->transport = IP4_HEADER;
        /* A reserved or "more fragments" bit, or an offset. */
        if ((p[0] & 0x0f) == IP4_HEADER / 4 && !(be16_get(p + 6) & ~IP4_DONT_FRAGMENT))
            s->protocol = p[9];
    } else if (s->len >= IP6_HEADER) {
        s->hosts = hosts_hash(p + 8, 32);
        s->transport = IP6_HEADER;
        s->protocol = p[6];
    }
}

static bool look_at_tcp(struct segment *s)
{
    const uint8_t *tcp = s->packet + s->transport;
    uint8_t flags;

    if (s->len < s->transport + TCP_HEADER)
        return false;
    s->headers = (uint16_t)(s->transport + (tcp[12] >> 4) * 4);
    flags = tcp[13];
    s->last = flags & (TCP_FIN | TCP_PSH);
    /* The low half of byte 12 is reserved, or AccECN's. */
    return s->headers >= s->transport + TCP_HEADER && s->len > s->headers && !(tcp[12] & 0x0f) &&
           (flags & ~(TCP_FIN | TCP_PSH | TCP_ECE)) == TCP_ACK;
}

static bool look_at_udp(struct segment *s)
{
    const uint8_t *udp = s->packet + s->transport;

    s->headers = (uint16_t)(s->transport + UDP_HEADER);
    /* No checksum: one would have to be added, and the packets would not be the same. */
    return s->len > s->headers && be16_get(udp + 4) == s->len - s->transport &&
           be16_get(udp + UDP_CHECKSUM) != 0;
}

static void look_at(struct segment *s, unsigned int what)
{
    look_at_ip(s);
    if (s->len < s->transport + PORTS)
        s->protocol = 0;
    if (s->protocol == IPPROTO_TCP)
        s->alone = !(what & COALESCE_TCP) || !look_at_tcp(s);
    else if (s->protocol == IPPROTO_UDP)
        s->alone = !(what & COALESCE_UDP) || !look_at_udp(s);
    else
        s->protocol = 0;
}

/* ---- does it go on where the group ends? ------------------------------------------------------
 */

static bool same_flow(const struct coalesce_group *g, const uint8_t *first, const struct segment *s)
{
    const size_t addresses = s->transport == IP4_HEADER ? 12 : 8;

    return g->protocol == s->protocol && g->hosts == s->hosts && g->transport == s->transport &&
           memcmp(first + addresses, s->packet + addresses, s->transport - addresses + PORTS) == 0;
}

static bool same_ip(const struct coalesce_group *g, const uint8_t *first, const struct segment *s)
{
    const uint8_t *p = s->packet;
    uint16_t expected;

    if (s->transport == IP6_HEADER)
        return memcmp(first, p, 4) == 0 && first[7] == p[7];
    /* Version, length and TOS; DF; TTL. */
    if (memcmp(first, p, 2) != 0 || memcmp(first + 6, p + 6, 3) != 0)
        return false;
    expected = (uint16_t)(be16_get(first + 4) + g->count);
    return be16_get(p + 4) == expected || be16_get(p + 6) & IP4_DONT_FRAGMENT;
}

static bool same_tcp(const struct coalesce_group *g, const uint8_t *first, const struct segment *s)
{
    const uint8_t *a = first + g->transport, *b = s->packet + s->transport;
    const uint8_t ending = TCP_FIN | TCP_PSH;

    return g->headers == s->headers && be32_get(b + 4) == be32_get(a + 4) + g->data &&
           memcmp(a + 8, b + 8, 5) == 0 && ((a[13] ^ b[13]) & ~ending) == 0 &&
           memcmp(a + 14, b + 14, 2) == 0 && memcmp(a + 18, b + 18, 2) == 0 &&
           memcmp(a + TCP_HEADER, b + TCP_HEADER,
                  (size_t)(g->headers - g->transport) - TCP_HEADER) == 0;
}

/* The pseudo header's sum but for the length (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint64_t pseudo_sum(const uint8_t *packet, size_t transport, uint8_t protocol)
{
    const size_t addresses = transport == IP4_HEADER ? 12 : 8;

    return checksum_add16(checksum_add(0, packet + addresses, transport - addresses), protocol);
}

/* Both of them, where IP has one. */
static bool checksum_right(const uint8_t *packet, size_t len, size_t transport, uint8_t protocol)
{
    uint64_t sum =
        checksum_add16(pseudo_sum(packet, transport, protocol), (uint16_t)(len - transport));

    if (transport == IP4_HEADER && checksum_finish(checksum_add(0, packet, IP4_HEADER)) != 0)
        return false;
    return checksum_finish(checksum_add(sum, packet + transport, len - transport)) == 0;
}

static bool joins(struct coalesce *c, struct coalesce_group *g, const struct segment *s)
{
    const uint8_t *first = c->packets[g->first].bytes;
    const uint16_t data = (uint16_t)(s->len - s->headers);

    if (g->closed || data > g->stride || (size_t)g->headers + g->data + data > UINT16_MAX ||
        (g->protocol == IPPROTO_UDP && g->count == UDP_MAX_SEGMENTS) || !same_ip(g, first, s) ||
        (g->protocol == IPPROTO_TCP && !same_tcp(g, first, s)))
        return false;
    if (!g->checked) {
        g->checked = true;
        g->closed = !checksum_right(first, c->packets[g->first].length, g->transport, g->protocol);
    }
    return !g->closed && checksum_right(s->packet, s->len, s->transport, s->protocol);
}

/* The newest group of the packet's flow. */
static struct coalesce_group *find_group(struct coalesce *c, const struct segment *s,
                                         uint16_t target)
{
    const unsigned int stop = c->n_groups > LOOK_BACK ? c->n_groups - LOOK_BACK : 0;

    for (unsigned int i = c->n_groups; i > stop; i--) {
        struct coalesce_group *g = &c->groups[i - 1];

        if (g->target == target && same_flow(g, c->packets[g->first].bytes, s))
            return g;
    }
    return NULL;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void found_group(struct coalesce *c, uint8_t number, const struct segment *s,
                        uint16_t target)
{
    c->groups[c->n_groups++] = (struct coalesce_group){
        .first = number,
        .last = number,
        .count = 1,
        .closed = s->protocol == 0 || s->alone || s->last,
        .protocol = s->protocol,
        .transport = s->transport,
        .headers = s->headers,
        .stride = (uint16_t)(s->len - s->headers),
        .target = target,
        .hosts = s->hosts,
        .data = (uint32_t)(s->len - s->headers),
    };
}

static void join_group(struct coalesce *c, struct coalesce_group *g, uint8_t number,
                       const struct segment *s)
{
    const uint16_t data = (uint16_t)(s->len - s->headers);

    c->packets[g->last].next = number;
    g->last = number;
    g->count++;
    g->data += data;
    g->closed = s->last || data < g->stride;
}

void coalesce_add(struct coalesce *c, uint8_t *packet, size_t len, uint16_t target,
                  unsigned int what)
{
    struct segment s = {.packet = packet, .len = (uint16_t)len};
    const uint8_t number = (uint8_t)c->n_packets++;
    struct coalesce_group *g;

    c->packets[number].bytes = packet;
    c->packets[number].length = s.len;
    look_at(&s, what);
    if (s.protocol == 0) {
        for (unsigned int i = 0; i < c->n_groups; i++)
            c->groups[i].closed |= c->groups[i].hosts == s.hosts;
    } else if (!s.alone) {
        g = find_group(c, &s, target);
        if (g && joins(c, g, &s)) {
            join_group(c, g, number, &s);
            return;
        }
    }
    found_group(c, number, &s, target);
}

/* The headers of the whole, and the checksum's part that the kernel does not add up itself. */
static void put_headers(const struct coalesce_group *g, uint8_t *packet, const uint8_t *last)
{
    const size_t total = (size_t)g->headers + g->data, segment = total - g->transport;
    uint8_t *transport = packet + g->transport;
    uint64_t pseudo = pseudo_sum(packet, g->transport, g->protocol);

    if (g->transport == IP4_HEADER) {
        be16_put(packet + 2, (uint16_t)total);
        checksum_put(packet + 10, 0);
        checksum_put(packet + 10, checksum_finish(checksum_add(0, packet, IP4_HEADER)));
    } else {
        be16_put(packet + 4, (uint16_t)(total - IP6_HEADER));
    }
    pseudo = checksum_add16(pseudo, (uint16_t)segment);
    if (g->protocol == IPPROTO_TCP) {
        transport[13] |= last[g->transport + 13] & (TCP_FIN | TCP_PSH);
        checksum_put(transport + TCP_CHECKSUM, checksum_fold(pseudo));
    } else {
        be16_put(transport + 4, (uint16_t)segment);
        checksum_put(transport + UDP_CHECKSUM, checksum_fold(pseudo));
    }
}

static uint8_t gso_type(const struct coalesce_group *g)
{
    if (g->protocol == IPPROTO_UDP)
        return VIRTIO_NET_HDR_GSO_UDP_L4;
    return g->transport == IP4_HEADER ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

unsigned int coalesce_frame(struct coalesce *c, unsigned int group, struct iovec *iov)
{
    const struct coalesce_group *g = &c->groups[group];
    uint8_t *packet = c->packets[g->first].bytes;
    struct virtio_net_hdr hdr = {0};
    unsigned int i, n = 1, number = g->first;

    iov[0] = (struct iovec){.iov_base = packet - GSO_HEADER_LEN,
                            .iov_len = GSO_HEADER_LEN + c->packets[number].length};
    if (g->count > 1) {
        put_headers(g, packet, c->packets[g->last].bytes);
        hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        hdr.gso_type = gso_type(g);
        hdr.gso_size = g->stride;
        hdr.hdr_len = g->headers;
        hdr.csum_start = g->transport;
        hdr.csum_offset = g->protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
    }
    memcpy(packet - GSO_HEADER_LEN, &hdr, sizeof(hdr));
    for (i = 1; i < g->count; i++, n++) {
        number = c->packets[number].next;
        iov[n] = (struct iovec){
            .iov_base = c->packets[number].bytes + g->headers,
            .iov_len = (size_t)c->packets[number].length - g->headers,
        };
    }
    return n;
}
