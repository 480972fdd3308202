/* Addresses, prefixes and endpoints of both families in one shape. */
#ifndef COMMON_IP_H
#define COMMON_IP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 address is the first 4 of the 16 bytes, the rest are zero.  family: 0 = none, 4 or 6. */
struct ip_addr {
    uint8_t family;
    uint8_t bytes[16];
};

struct ip_prefix {
    struct ip_addr addr;
    uint8_t len;
};

/* Both ends belong to it and have the same family. */
struct ip_range {
    struct ip_addr first;
    struct ip_addr last;
};

/* A UDP address.  scope: interface index of a link-local IPv6 address, else 0. */
struct ip_endpoint {
    struct ip_addr addr;
    uint16_t port; /* host order */
    uint32_t scope;
};

#define IP_ADDR_STRLEN     46
#define IP_PREFIX_STRLEN   50
#define IP_ENDPOINT_STRLEN 72

/** ip_addr_parse() - "10.8.0.1" or "fd08::1".  Return: 0 or -EINVAL. */
int ip_addr_parse(const char *text, struct ip_addr *out);

/** ip_prefix_parse() - "10.8.0.0/24"; without a length a single address.  Return: 0 or -EINVAL. */
int ip_prefix_parse(const char *text, struct ip_prefix *out);

/**
 * ip_addr_format() - canonical text (RFC 5952 for IPv6)
 * @buf: at least IP_ADDR_STRLEN bytes
 *
 * Return: @buf.  ip_prefix_format() and ip_endpoint_format() likewise with their _STRLEN.
 */
const char *ip_addr_format(const struct ip_addr *addr, char *buf);
const char *ip_prefix_format(const struct ip_prefix *prefix, char *buf);
const char *ip_endpoint_format(const struct ip_endpoint *ep, char *buf);

/** ip_addr_bytes() - 4 or 16; 0 for none. */
size_t ip_addr_bytes(const struct ip_addr *addr);
/** ip_addr_bits() - 32 or 128; 0 for none. */
uint8_t ip_addr_bits(const struct ip_addr *addr);

/** ip_addr_cmp() - order by family, then numerically: <0, 0, >0. */
int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b);
bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b);

/** ip_addr_add() - @addr plus @n, carried through all bytes (wraps).  */
struct ip_addr ip_addr_add(struct ip_addr addr, uint32_t n);

/** ip_prefix_network() - the prefix with its host bits cleared. */
struct ip_prefix ip_prefix_network(struct ip_prefix prefix);
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr);
bool ip_prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b);

/**
 * ip_addr_is_unicast() - may this address be a packet's source or destination inside the tunnel?
 *
 * Refused: unspecified, loopback, multicast, IPv4 broadcast 255.255.255.255, link-local of both
 * families, and IPv4-mapped IPv6 (RFC 6890, RFC 4291).
 */
bool ip_addr_is_unicast(const struct ip_addr *addr);

/**
 * ip_prefix_is_routable() - may a route through the tunnel lead there?
 *
 * Refused: what lies wholly inside loopback, link-local, multicast or reserved space.  A larger
 * network that only covers such a place is fine, as is the default route.
 */
bool ip_prefix_is_routable(const struct ip_prefix *prefix);

/** ip_endpoint_to_sockaddr() - Return: the length of what was written to @ss. */
socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *ep, struct sockaddr_storage *ss);
/** ip_endpoint_from_sockaddr() - Return: 0, or -EAFNOSUPPORT for another family. */
int ip_endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct ip_endpoint *ep);

#endif
