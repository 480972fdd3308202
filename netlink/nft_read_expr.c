/* One step of a rule as the kernel shows it; see nft_read_expr.h. */
#include "netlink/nft_read_expr.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <netlink/attr.h>

#include "common/cleanup.h"
#include "netlink/msg.h"

int net_nft_expect(const struct nlattr *attr, uint32_t want)
{
    uint32_t value;

    if (net_attr_be32(attr, &value) < 0)
        return -EBADMSG;
    return value == want ? 0 : NET_NFT_NOT_OURS;
}

/* A value of up to 16 bytes inside a nest. */
static int get_value(const struct nlattr *nest, uint8_t data[NET_NFT_DATA_MAX], uint32_t *len)
{
    struct nlattr *attr;
    int left;

    nla_for_each_nested(attr, nest, left)
    {
        if (nla_type(attr) != NFTA_DATA_VALUE || nla_len(attr) > NET_NFT_DATA_MAX)
            return NET_NFT_NOT_OURS;
        memset(data, 0, NET_NFT_DATA_MAX);
        memcpy(data, nla_data(attr), (size_t)nla_len(attr));
        *len = (uint32_t)nla_len(attr);
    }
    return 0;
}

/* A value that must be all zeros. */
static int expect_zeros(const struct nlattr *nest)
{
    static const uint8_t zero[NET_NFT_DATA_MAX];
    uint8_t data[NET_NFT_DATA_MAX] = {0};
    uint32_t len;
    int rc = get_value(nest, data, &len);

    return rc == 0 && memcmp(data, zero, sizeof(zero)) != 0 ? NET_NFT_NOT_OURS : rc;
}

typedef int read_attr(const struct nlattr *attr, struct net_nft_expr *e);

static int read_meta(const struct nlattr *attr, struct net_nft_expr *e)
{
    switch (nla_type(attr)) {
    case NFTA_META_KEY:
        return net_attr_be32(attr, &e->key);
    case NFTA_META_DREG:
        return net_attr_be32(attr, &e->reg);
    case NFTA_META_SREG:
        e->kind = NET_NFT_SET;
        return net_attr_be32(attr, &e->reg);
    default:
        return NET_NFT_NOT_OURS;
    }
}

static int read_payload(const struct nlattr *attr, struct net_nft_expr *e)
{
    switch (nla_type(attr)) {
    case NFTA_PAYLOAD_DREG:
        return net_attr_be32(attr, &e->reg);
    case NFTA_PAYLOAD_BASE:
        return net_attr_be32(attr, &e->base);
    case NFTA_PAYLOAD_OFFSET:
        return net_attr_be32(attr, &e->offset);
    case NFTA_PAYLOAD_LEN:
        return net_attr_be32(attr, &e->len);
    default:
        return NET_NFT_NOT_OURS;
    }
}

static int read_fib(const struct nlattr *attr, struct net_nft_expr *e)
{
    switch (nla_type(attr)) {
    case NFTA_FIB_DREG:
        return net_attr_be32(attr, &e->reg);
    case NFTA_FIB_RESULT:
        return net_attr_be32(attr, &e->key);
    case NFTA_FIB_FLAGS:
        return net_attr_be32(attr, &e->flags);
    default:
        return NET_NFT_NOT_OURS;
    }
}

static int read_bitwise(const struct nlattr *attr, struct net_nft_expr *e)
{
    uint32_t len;

    switch (nla_type(attr)) {
    case NFTA_BITWISE_SREG:
        return net_nft_expect(attr, NFT_REG_1);
    case NFTA_BITWISE_DREG:
        return net_attr_be32(attr, &e->reg);
    case NFTA_BITWISE_LEN:
        return net_attr_be32(attr, &e->len);
    case NFTA_BITWISE_OP:
        return net_nft_expect(attr, NFT_BITWISE_BOOL);
    case NFTA_BITWISE_MASK:
        return get_value(attr, e->data, &len);
    case NFTA_BITWISE_XOR:
        return expect_zeros(attr);
    default:
        return NET_NFT_NOT_OURS;
    }
}

static int read_cmp(const struct nlattr *attr, struct net_nft_expr *e)
{
    switch (nla_type(attr)) {
    case NFTA_CMP_SREG:
        return net_attr_be32(attr, &e->reg);
    case NFTA_CMP_OP:
        return net_attr_be32(attr, &e->key);
    case NFTA_CMP_DATA:
        return get_value(attr, e->data, &e->len);
    default:
        return NET_NFT_NOT_OURS;
    }
}

/* The only verdicts that we write: to drop or to accept, nowhere to jump. */
static int read_verdict(const struct nlattr *nest, struct net_nft_expr *e)
{
    struct nlattr *attr;
    uint32_t code = NF_DROP;
    int left;

    nla_for_each_nested(attr, nest, left)
    {
        if (nla_type(attr) != NFTA_VERDICT_CODE)
            return NET_NFT_NOT_OURS;
        if (net_attr_be32(attr, &code) < 0)
            return -EBADMSG;
    }
    if (code != NF_DROP && code != NF_ACCEPT)
        return NET_NFT_NOT_OURS;
    e->kind = code == NF_DROP ? NET_NFT_DROP : NET_NFT_ACCEPT;
    return 0;
}

static int read_immediate(const struct nlattr *attr, struct net_nft_expr *e)
{
    struct nlattr *inner;
    int left;

    if (nla_type(attr) == NFTA_IMMEDIATE_DREG)
        return net_attr_be32(attr, &e->reg);
    if (nla_type(attr) != NFTA_IMMEDIATE_DATA)
        return NET_NFT_NOT_OURS;
    nla_for_each_nested(inner, attr, left)
    {
        if (nla_type(inner) == NFTA_DATA_VERDICT) {
            return read_verdict(inner, e);
        }
    }
    return get_value(attr, e->data, &e->len);
}

/* What has been counted is nobody's wish. */
static int read_counter(const struct nlattr *attr, struct net_nft_expr *e)
{
    (void)attr;
    (void)e;
    return 0;
}

static int read_notrack(const struct nlattr *attr, struct net_nft_expr *e)
{
    (void)attr;
    (void)e;
    return NET_NFT_NOT_OURS;
}

static int read_masq(const struct nlattr *attr, struct net_nft_expr *e)
{
    switch (nla_type(attr)) {
    case NFTA_MASQ_FLAGS:
        return net_attr_be32(attr, &e->flags);
    case NFTA_MASQ_REG_PROTO_MIN:
        return net_nft_expect(attr, NFT_REG_1);
    case NFTA_MASQ_REG_PROTO_MAX:
        return net_nft_expect(attr, NFT_REG_2);
    default:
        return NET_NFT_NOT_OURS;
    }
}

static const struct {
    enum net_nft_kind kind;
    read_attr *read;
} readers[] = {
    {NET_NFT_META, read_meta},       {NET_NFT_PAYLOAD, read_payload},
    {NET_NFT_FIB, read_fib},         {NET_NFT_BITWISE, read_bitwise},
    {NET_NFT_CMP, read_cmp},         {NET_NFT_IMMEDIATE, read_immediate},
    {NET_NFT_COUNTER, read_counter}, {NET_NFT_NOTRACK, read_notrack},
    {NET_NFT_MASQ, read_masq},
};

int net_nft_read_expr(const struct nlattr *elem, struct net_nft_expr *e)
{
    const struct nlattr *name = NULL, *data = NULL;
    char text[16];
    struct nlattr *attr;
    size_t i;
    int left, rc = 0;

    nla_for_each_nested(attr, elem, left)
    {
        if (nla_type(attr) == NFTA_EXPR_NAME)
            name = attr;
        else if (nla_type(attr) == NFTA_EXPR_DATA)
            data = attr;
    }
    if (!name || net_attr_str(name, text, sizeof(text)) < 0)
        return NET_NFT_NOT_OURS;
    for (i = 0; i < ARRAY_SIZE(readers); i++)
        if (strcmp(text, net_nft_kind_name(readers[i].kind)) == 0)
            break;
    if (i == ARRAY_SIZE(readers))
        return NET_NFT_NOT_OURS;
    memset(e, 0, sizeof(*e));
    e->kind = readers[i].kind;
    if (!data)
        return 0;
    nla_for_each_nested(attr, data, left)
    {
        rc = readers[i].read(attr, e);
        if (rc != 0)
            return rc;
    }
    return 0;
}
