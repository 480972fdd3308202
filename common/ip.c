/* Addresses, prefixes and endpoints of both families in one shape. */
#include "common/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

size_t ip_addr_bytes(const struct ip_addr *addr)
{
    return addr->family == 4 ? 4 : addr->family == 6 ? 16 : 0;
}

uint8_t ip_addr_bits(const struct ip_addr *addr)
{
    return (uint8_t)(ip_addr_bytes(addr) * 8);
}

int ip_addr_parse(const char *text, struct ip_addr *out)
{
    struct ip_addr addr = {0};

    /* inet_pton() takes exactly the dotted quad and RFC 4291 text: no octal, no short forms. */
    if (inet_pton(AF_INET, text, addr.bytes) == 1)
        addr.family = 4;
    else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
        addr.family = 6;
    else
        return -EINVAL;
    *out = addr;
    return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *out)
{
    char host[IP_ADDR_STRLEN];
    struct ip_prefix prefix;
    const char *slash = strchr(text, '/');
    size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
    unsigned int len = 0;

    if (host_len >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (ip_addr_parse(host, &prefix.addr) < 0)
        return -EINVAL;

    if (!slash) {
        prefix.len = ip_addr_bits(&prefix.addr);
        *out = prefix;
        return 0;
    }

    /* One spelling per number: "/024", "/+24" and "/ 24" are refused. */
    slash++;
    if (slash[0] == '\0' || strlen(slash) > 3 || (slash[0] == '0' && slash[1] != '\0'))
        return -EINVAL;
    for (; *slash; slash++) {
        if (*slash < '0' || *slash > '9')
            return -EINVAL;
        len = len * 10 + (unsigned int)(*slash - '0');
    }
    if (len > ip_addr_bits(&prefix.addr))
        return -EINVAL;
    prefix.len = (uint8_t)len;
    *out = prefix;
    return 0;
}

const char *ip_addr_format(const struct ip_addr *addr, char *buf)
{
    int af = addr->family == 4 ? AF_INET : AF_INET6;

    /* glibc writes IPv6 in the form of RFC 5952. */
    if (addr->family == 0 || !inet_ntop(af, addr->bytes, buf, IP_ADDR_STRLEN))
        snprintf(buf, IP_ADDR_STRLEN, "none");
    return buf;
}

const char *ip_prefix_format(const struct ip_prefix *prefix, char *buf)
{
    char host[IP_ADDR_STRLEN];

    if (prefix->addr.family == 0)
        snprintf(buf, IP_PREFIX_STRLEN, "none");
    else
        snprintf(buf, IP_PREFIX_STRLEN, "%s/%u", ip_addr_format(&prefix->addr, host), prefix->len);
    return buf;
}

const char *ip_endpoint_format(const struct ip_endpoint *ep, char *buf)
{
    char host[IP_ADDR_STRLEN];

    ip_addr_format(&ep->addr, host);
    if (ep->addr.family != 6)
        snprintf(buf, IP_ENDPOINT_STRLEN, "%s:%u", host, ep->port);
    else if (ep->scope)
        snprintf(buf, IP_ENDPOINT_STRLEN, "[%s%%%u]:%u", host, ep->scope, ep->port);
    else
        snprintf(buf, IP_ENDPOINT_STRLEN, "[%s]:%u", host, ep->port);
    return buf;
}

int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, ip_addr_bytes(a));
}

bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return ip_addr_cmp(a, b) == 0;
}

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return ip_addr_equal(&a->addr, &b->addr) && a->port == b->port && a->scope == b->scope;
}

struct ip_addr ip_addr_add(struct ip_addr addr, uint32_t n)
{
    uint64_t carry = n;

    for (size_t i = ip_addr_bytes(&addr); i-- > 0 && carry;) {
        carry += addr.bytes[i];
        addr.bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return addr;
}

/* The bits of byte @i that belong to the network part of a prefix of @len bits. */
static uint8_t mask_byte(size_t i, uint8_t len)
{
    size_t start = i * 8;

    if (len >= start + 8)
        return 0xff;
    if (len <= start)
        return 0;
    return (uint8_t)(0xff << (8 - (len - start)));
}

struct ip_prefix ip_prefix_network(struct ip_prefix prefix)
{
    for (size_t i = 0; i < ip_addr_bytes(&prefix.addr); i++)
        prefix.addr.bytes[i] &= mask_byte(i, prefix.len);
    return prefix;
}

bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr)
{
    if (prefix->addr.family != addr->family || addr->family == 0)
        return false;
    for (size_t i = 0; i < ip_addr_bytes(addr); i++) {
        if ((prefix->addr.bytes[i] ^ addr->bytes[i]) & mask_byte(i, prefix->len))
            return false;
    }
    return true;
}

bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b)
{
    const struct ip_prefix *wide = a->len <= b->len ? a : b;
    const struct ip_prefix *narrow = wide == a ? b : a;

    return ip_prefix_contains(wide, &narrow->addr);
}

/* Asked twice about every packet: so no table of prefixes. */
static bool is_unicast4(const uint8_t *b)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};

    return b[0] != 0 &&                     /* "this network" */
           b[0] != 127 &&                   /* loopback */
           !(b[0] == 169 && b[1] == 254) && /* link-local */
           (b[0] & 0xf0) != 224 &&          /* multicast */
           memcmp(b, broadcast, sizeof(broadcast)) != 0;
}

static bool is_unicast6(const uint8_t *b)
{
    static const uint8_t zeros[15] = {0};
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return !(memcmp(b, zeros, 15) == 0 && b[15] <= 1) && /* unspecified, loopback */
           memcmp(b, mapped, sizeof(mapped)) != 0 &&     /* IPv4-mapped */
           !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) &&   /* link-local */
           b[0] != 0xff;                                 /* multicast */
}

/* No host may have any of these as its address inside a tunnel. */
bool ip_addr_is_unicast(const struct ip_addr *addr)
{
    switch (addr->family) {
    case 4:
        return is_unicast4(addr->bytes);
    case 6:
        return is_unicast6(addr->bytes);
    default:
        return false;
    }
}

bool ip_prefix_is_routable(const struct ip_prefix *prefix)
{
    static const struct ip_prefix refused[] = {
        {{4, {127}}, 8},         /* loopback */
        {{4, {169, 254}}, 16},   /* link-local */
        {{4, {224}}, 3},         /* multicast, reserved, broadcast */
        {{6, {[15] = 1}}, 128},  /* loopback */
        {{6, {0xfe, 0x80}}, 10}, /* link-local */
        {{6, {0xff}}, 8},        /* multicast */
    };

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (prefix->len >= refused[i].len && ip_prefix_contains(&refused[i], &prefix->addr))
            return false;
    return true;
}

socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *ep, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof(*ss));
    if (ep->addr.family == 6) {
        struct sockaddr_in6 sin6 = {
            .sin6_family = AF_INET6,
            .sin6_port = htons(ep->port),
            .sin6_scope_id = ep->scope,
        };

        memcpy(&sin6.sin6_addr, ep->addr.bytes, 16);
        memcpy(ss, &sin6, sizeof(sin6));
        return sizeof(sin6);
    }

    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(ep->port)};

    memcpy(&sin.sin_addr, ep->addr.bytes, 4);
    memcpy(ss, &sin, sizeof(sin));
    return sizeof(sin);
}

int ip_endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct ip_endpoint *ep)
{
    struct ip_endpoint out = {0};

    if (ss->ss_family == AF_INET) {
        struct sockaddr_in sin;

        memcpy(&sin, ss, sizeof(sin));
        out.addr.family = 4;
        memcpy(out.addr.bytes, &sin.sin_addr, 4);
        out.port = ntohs(sin.sin_port);
    } else if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 sin6;

        memcpy(&sin6, ss, sizeof(sin6));
        out.addr.family = 6;
        memcpy(out.addr.bytes, &sin6.sin6_addr, 16);
        out.port = ntohs(sin6.sin6_port);
        out.scope = sin6.sin6_scope_id;
    } else {
        return -EAFNOSUPPORT;
    }
    *ep = out;
    return 0;
}
