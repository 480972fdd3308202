/* Cutting super-packets; see gso.h. */
#include "daemon/datapath/gso.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/wire.h"
#include "daemon/datapath/checksum.h"

#define IP4_HEADER     20
#define IP6_HEADER     40
#define TCP_HEADER     20
#define TCP_CHECKSUM   16
#define TCP_FIN        0x01
#define TCP_PSH        0x08
#define TCP_CWR        0x80
#define UDP_HEADER     8
#define UDP_CHECKSUM   6
#define IP4_FRAGMENTED 0x3fff /* offset and "more fragments" */

/* ---- one packet ----------------------------------------------------------------------------- */

/* The kernel has put the pseudo header's sum into the field; the data's is ours to add. */
static int finish_checksum(const struct virtio_net_hdr *hdr, uint8_t *packet, size_t len)
{
    size_t start = hdr->csum_start;
    size_t field = start + hdr->csum_offset;
    uint16_t sum;

    if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
        return 0;
    if (start >= len || field + sizeof(sum) > len)
        return -EINVAL;
    sum = checksum_finish(checksum_add(0, packet + start, len - start));
    /* In UDP zero means that there is none. */
    if (sum == 0 && hdr->csum_offset == UDP_CHECKSUM)
        sum = 0xffff;
    checksum_put(packet + field, sum);
    return 0;
}

/* ---- a super-packet ------------------------------------------------------------------------- */

/* Where the network header ends; 0 when it cannot be that of a whole packet of @len bytes. */
static size_t network_header(const uint8_t *packet, size_t len)
{
    size_t header;

    switch (len ? packet[0] >> 4 : 0) {
    case 4:
        header = (size_t)(packet[0] & 0x0f) * 4;
        if (len < IP4_HEADER || header < IP4_HEADER || be16_get(packet + 6) & IP4_FRAGMENTED)
            return 0;
        return header;
    case 6:
        return len < IP6_HEADER ? 0 : IP6_HEADER;
    default:
        return 0;
    }
}

static int measure_tcp(struct gso_split *s)
{
    size_t header;

    if (s->transport + TCP_HEADER > s->len)
        return -EINVAL;
    header = (size_t)(s->packet[s->transport + 12] >> 4) * 4;
    s->headers = s->transport + header;
    s->tcp = true;
    return header < TCP_HEADER || s->headers >= s->len ? -EINVAL : 0;
}

static int measure_udp(struct gso_split *s)
{
    s->headers = s->transport + UDP_HEADER;
    s->tcp = false;
    return s->headers >= s->len ? -EINVAL : 0;
}

static uint16_t field_get(const uint8_t *field)
{
    uint16_t value;

    memcpy(&value, field, sizeof(value));
    return value;
}

static int measure(struct gso_split *s, const struct virtio_net_hdr *hdr)
{
    const uint8_t family = s->len ? s->packet[0] >> 4 : 0;
    size_t network = network_header(s->packet, s->len);
    uint16_t field;
    int rc = -EINVAL;

    /* IPv6 extension headers may stand between the two: csum_start says where they end. */
    s->transport = hdr->csum_start;
    s->stride = hdr->gso_size;
    if (network == 0 || s->transport < network || (family == 4 && s->transport != network) ||
        s->stride == 0 || !(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || s->len > UINT16_MAX)
        return -EINVAL;
    switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        rc = family == 4 && s->packet[9] == IPPROTO_TCP ? measure_tcp(s) : -EINVAL;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        rc = family == 6 ? measure_tcp(s) : -EINVAL;
        break;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        rc = family == 6 || s->packet[9] == IPPROTO_UDP ? measure_udp(s) : -EINVAL;
        break;
    default:
        break;
    }
    if (rc < 0)
        return rc;
    field = field_get(s->packet + s->transport + (s->tcp ? TCP_CHECKSUM : UDP_CHECKSUM));
    s->pseudo = checksum_sub16(field, (uint16_t)(s->len - s->transport));
    return 0;
}

int gso_split_begin(struct gso_split *s, uint8_t *frame, size_t len)
{
    struct virtio_net_hdr hdr;

    if (len <= GSO_HEADER_LEN)
        return -EINVAL;
    memcpy(&hdr, frame, sizeof(hdr));
    *s = (struct gso_split){.packet = frame + GSO_HEADER_LEN, .len = len - GSO_HEADER_LEN};
    if (hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE)
        return measure(s, &hdr);
    s->stride = s->len;
    return finish_checksum(&hdr, frame + GSO_HEADER_LEN, s->len);
}

/* Lengths, identification, and the IPv4 header's own checksum. */
static void put_network(uint8_t *out, size_t size, uint16_t number)
{
    if (out[0] >> 4 == 6) {
        be16_put(out + 4, (uint16_t)(size - IP6_HEADER));
        return;
    }
    be16_put(out + 2, (uint16_t)size);
    be16_put(out + 4, (uint16_t)(be16_get(out + 4) + number));
    checksum_put(out + 10, 0);
    checksum_put(out + 10, checksum_finish(checksum_add(0, out, (size_t)(out[0] & 0x0f) * 4)));
}

void gso_split_next(struct gso_split *s, uint8_t *out)
{
    const size_t size = gso_split_size(s), data = size - s->headers;
    const bool first = s->done == 0, last = s->headers + s->done + data == s->len;
    uint8_t *transport = out + s->transport;
    uint8_t *field = transport + (s->tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    uint16_t sum;

    memcpy(out, s->packet, s->headers);
    memcpy(out + s->headers, s->packet + s->headers + s->done, data);
    if (s->headers > 0) {
        put_network(out, size, (uint16_t)(s->done / s->stride));
        if (s->tcp) {
            be32_put(transport + 4, be32_get(transport + 4) + (uint32_t)s->done);
            transport[13] &= (uint8_t) ~((first ? 0 : TCP_CWR) | (last ? 0 : TCP_FIN | TCP_PSH));
        } else {
            be16_put(transport + 4, (uint16_t)(size - s->transport));
        }
        checksum_put(field, 0);
        sum =
            checksum_finish(checksum_add(checksum_add16(s->pseudo, (uint16_t)(size - s->transport)),
                                         transport, size - s->transport));
        checksum_put(field, !s->tcp && sum == 0 ? 0xffff : sum);
    }
    s->done += data;
}
