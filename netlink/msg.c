/* Building and reading the attributes of one netlink message. */
#include "netlink/msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

struct nl_msg *net_msg_new(int type, int flags, const void *hdr, size_t len)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

    if (msg && nlmsg_append(msg, (void *)hdr, len, NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

void net_msg_freep(struct nl_msg **msg)
{
    nlmsg_free(*msg);
}

int net_msg_put_ip(struct nl_msg *msg, int attr, const struct ip_addr *addr)
{
    return nla_put(msg, attr, (int)ip_addr_bytes(addr), addr->bytes);
}

uint8_t net_af(uint8_t family)
{
    return family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
}

uint8_t net_family(uint8_t af)
{
    return af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0;
}

int net_attr_u8(const struct nlattr *attr, uint8_t *out)
{
    if (nla_len(attr) != sizeof(*out))
        return -EBADMSG;
    *out = nla_get_u8(attr);
    return 0;
}

int net_attr_u32(const struct nlattr *attr, uint32_t *out)
{
    if (nla_len(attr) != sizeof(*out))
        return -EBADMSG;
    *out = nla_get_u32(attr);
    return 0;
}

int net_attr_be32(const struct nlattr *attr, uint32_t *out)
{
    uint32_t value;

    if (net_attr_u32(attr, &value) < 0)
        return -EBADMSG;
    *out = ntohl(value);
    return 0;
}

int net_attr_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *out)
{
    struct ip_addr addr = {.family = family};

    if (ip_addr_bytes(&addr) == 0 || nla_len(attr) != (int)ip_addr_bytes(&addr))
        return -EBADMSG;
    memcpy(addr.bytes, nla_data(attr), ip_addr_bytes(&addr));
    *out = addr;
    return 0;
}

int net_attr_str(const struct nlattr *attr, char *out, size_t size)
{
    size_t len = strnlen(nla_data(attr), (size_t)nla_len(attr));

    if (len >= size)
        return -EBADMSG;
    memcpy(out, nla_data(attr), len);
    out[len] = '\0';
    return 0;
}
