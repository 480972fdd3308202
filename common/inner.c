/* Inner IP headers: bounds-checked fields and the MSS clamp. */
#include "common/inner.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/wire.h"

static int parse4(const uint8_t *buf, size_t len, struct inner *out)
{
    size_t ihl;

    if (len < 20)
        return -EINVAL;
    ihl = (size_t)(buf[0] & 0x0f) * 4;
    out->total = be16_get(buf + 2);
    if (ihl < 20 || out->total < ihl || out->total > len)
        return -EINVAL;
    out->payload = (uint16_t)ihl;
    out->protocol = buf[9];
    out->fragment = (be16_get(buf + 6) & 0x1fff) != 0;
    out->src = (struct ip_addr){.family = 4};
    out->dst = (struct ip_addr){.family = 4};
    memcpy(out->src.bytes, buf + 12, 4);
    memcpy(out->dst.bytes, buf + 16, 4);
    return 0;
}

static int parse6(const uint8_t *buf, size_t len, struct inner *out)
{
    size_t total;

    if (len < 40)
        return -EINVAL;
    total = 40 + (size_t)be16_get(buf + 4);
    if (total > len)
        return -EINVAL;
    out->total = (uint16_t)total;
    out->payload = 40;
    out->protocol = buf[6];
    out->fragment = 0;
    out->src.family = 6;
    out->dst.family = 6;
    memcpy(out->src.bytes, buf + 8, 16);
    memcpy(out->dst.bytes, buf + 24, 16);
    return 0;
}

int inner_parse(const uint8_t *buf, size_t len, struct inner *out)
{
    if (len < 1 || len > UINT16_MAX)
        return -EINVAL;
    switch (buf[0] >> 4) {
    case 4:
        return parse4(buf, len, out);
    case 6:
        return parse6(buf, len, out);
    default:
        return -EINVAL;
    }
}

#define TCP_HEADER_LEN 20
#define TCP_FLAG_SYN   0x02
#define TCP_OPT_END    0
#define TCP_OPT_NOP    1
#define TCP_OPT_MSS    2

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). */
static uint16_t checksum_adjust(uint16_t checksum, uint16_t old, uint16_t new)
{
    uint32_t sum = (uint16_t)~checksum + (uint32_t)(uint16_t)~old + new;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/*
 * An option may start at an odd offset; the checksum runs over 16-bit words of the segment, so a
 * field at an odd place counts with its bytes swapped.
 */
static void mss_set(uint8_t *tcp, size_t offset, uint16_t old, uint16_t new)
{
    uint16_t checksum = be16_get(tcp + 16);

    if (offset & 1) {
        old = (uint16_t)(old << 8 | old >> 8);
        be16_put(tcp + 16, checksum_adjust(checksum, old, (uint16_t)(new << 8 | new >> 8)));
    } else {
        be16_put(tcp + 16, checksum_adjust(checksum, old, new));
    }
    be16_put(tcp + offset, new);
}

void inner_clamp_mss(uint8_t *buf, const struct inner *in, uint16_t mtu)
{
    uint8_t *tcp = buf + in->payload;
    size_t space = (size_t)in->total - in->payload;
    size_t header, i;
    uint16_t limit;

    if (in->protocol != IPPROTO_TCP || in->fragment || space < TCP_HEADER_LEN ||
        !(tcp[13] & TCP_FLAG_SYN))
        return;
    header = (size_t)(tcp[12] >> 4) * 4;
    if (header < TCP_HEADER_LEN || header > space)
        return;
    limit = (uint16_t)(mtu - (in->src.family == 4 ? 20 : 40) - TCP_HEADER_LEN);

    for (i = TCP_HEADER_LEN; i < header;) {
        size_t len;

        if (tcp[i] == TCP_OPT_END)
            return;
        if (tcp[i] == TCP_OPT_NOP) {
            i++;
            continue;
        }
        if (i + 1 >= header)
            return;
        len = tcp[i + 1];
        if (len < 2 || i + len > header)
            return;
        if (tcp[i] == TCP_OPT_MSS && len == 4) {
            uint16_t mss = be16_get(tcp + i + 2);

            if (mss > limit)
                mss_set(tcp, i + 2, mss, limit);
            return;
        }
        i += len;
    }
}
