/* nf_tables requests; see nft_msg.h. */
#include "netlink/nft_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netlink/msg.h"
#include "netlink/nft_expr.h"

#define PRIORITY_SRCNAT 100 /* NF_IP_PRI_NAT_SRC, of both families */

const struct net_nft_chain net_nft_chains[NET_FW_CHAIN_NUM] = {
    [NET_FW_PREROUTING] = {NFPROTO_INET, "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW},
    [NET_FW_OUTPUT] = {NFPROTO_INET, "filter", NF_INET_LOCAL_OUT, NF_IP_PRI_RAW},
    [NET_FW_POSTROUTING] = {NFPROTO_INET, "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT},
    [NET_FW_ARP] = {NFPROTO_ARP, "filter", NF_ARP_IN, NF_IP_PRI_FILTER},
};

const uint8_t net_nft_families[NET_NFT_FAMILIES] = {NFPROTO_INET, NFPROTO_ARP};

uint16_t net_nft_msg_type(int nft_msg)
{
    return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | nft_msg);
}

static struct nl_msg *msg_new(int type, int flags, uint8_t family, uint16_t res_id)
{
    const struct nfgenmsg hdr = {.nfgen_family = family,
                                 .version = NFNETLINK_V0,
                                 .res_id = htons(res_id)};

    return net_msg_new(type, flags, &hdr, sizeof(hdr));
}

static struct nl_msg *nft_new(int nft_msg, uint8_t family, int flags)
{
    return msg_new(net_nft_msg_type(nft_msg), flags, family, 0);
}

/* The end of each builder: a message that is full is none. */
static struct nl_msg *done(struct nl_msg *msg, int rc)
{
    if (msg && rc < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

static int put_be32(struct nl_msg *msg, int attr, uint32_t value)
{
    return nla_put_u32(msg, attr, htonl(value));
}

struct nl_msg *net_nft_msg_begin(uint32_t gen)
{
    struct nl_msg *msg = msg_new(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);

    return done(msg, msg ? put_be32(msg, NFNL_BATCH_GENID, gen) : 0);
}

struct nl_msg *net_nft_msg_end(void)
{
    return msg_new(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

struct nl_msg *net_nft_msg_new_table(uint8_t family, const struct net_firewall *fw)
{
    struct nl_msg *msg = nft_new(NFT_MSG_NEWTABLE, family, NLM_F_CREATE | NLM_F_EXCL);
    uint8_t udata[2 + NET_FW_NAME_SIZE] = {NET_NFT_UDATA_COMMENT};
    const size_t len = strnlen(fw->owner, sizeof(fw->owner) - 1);
    int rc;

    if (!msg)
        return NULL;
    udata[1] = (uint8_t)(len + 1);
    memcpy(udata + 2, fw->owner, len);
    rc = nla_put_string(msg, NFTA_TABLE_NAME, fw->table);
    rc |= put_be32(msg, NFTA_TABLE_FLAGS, 0);
    rc |= nla_put(msg, NFTA_TABLE_USERDATA, (int)(2 + len + 1), udata);
    return done(msg, rc);
}

struct nl_msg *net_nft_msg_del_table(uint8_t family, const char *table)
{
    struct nl_msg *msg = nft_new(NFT_MSG_DELTABLE, family, 0);

    return done(msg, msg ? nla_put_string(msg, NFTA_TABLE_NAME, table) : 0);
}

struct nl_msg *net_nft_msg_new_chain(const char *table, enum net_fw_chain chain)
{
    const struct net_nft_chain *spec = &net_nft_chains[chain];
    struct nl_msg *msg = nft_new(NFT_MSG_NEWCHAIN, spec->family, NLM_F_CREATE | NLM_F_EXCL);
    struct nlattr *hook;
    int rc;

    if (!msg)
        return NULL;
    rc = nla_put_string(msg, NFTA_CHAIN_TABLE, table);
    rc |= nla_put_string(msg, NFTA_CHAIN_NAME, net_fw_chain_name(chain));
    hook = nla_nest_start(msg, NFTA_CHAIN_HOOK | NLA_F_NESTED);
    if (!hook)
        return done(msg, -EMSGSIZE);
    rc |= put_be32(msg, NFTA_HOOK_HOOKNUM, spec->hook);
    rc |= put_be32(msg, NFTA_HOOK_PRIORITY, (uint32_t)spec->priority);
    nla_nest_end(msg, hook);
    rc |= put_be32(msg, NFTA_CHAIN_POLICY, NF_ACCEPT);
    rc |= nla_put_string(msg, NFTA_CHAIN_TYPE, spec->type);
    return done(msg, rc);
}

static int put_value(struct nl_msg *msg, int attr, const void *data, uint32_t len)
{
    struct nlattr *nest = nla_nest_start(msg, attr | NLA_F_NESTED);

    if (!nest || nla_put(msg, NFTA_DATA_VALUE, (int)len, data) < 0)
        return -EMSGSIZE;
    nla_nest_end(msg, nest);
    return 0;
}

static int put_verdict(struct nl_msg *msg, uint32_t code)
{
    struct nlattr *data = nla_nest_start(msg, NFTA_IMMEDIATE_DATA | NLA_F_NESTED);
    struct nlattr *verdict = data ? nla_nest_start(msg, NFTA_DATA_VERDICT | NLA_F_NESTED) : NULL;

    if (!verdict || put_be32(msg, NFTA_VERDICT_CODE, code) < 0)
        return -EMSGSIZE;
    nla_nest_end(msg, verdict);
    nla_nest_end(msg, data);
    return 0;
}

static int put_bitwise(struct nl_msg *msg, const struct net_nft_expr *e)
{
    static const uint8_t zero[NET_NFT_DATA_MAX];
    int rc = put_be32(msg, NFTA_BITWISE_SREG, e->reg);

    rc |= put_be32(msg, NFTA_BITWISE_DREG, e->reg);
    rc |= put_be32(msg, NFTA_BITWISE_LEN, e->len);
    rc |= put_value(msg, NFTA_BITWISE_MASK, e->data, e->len);
    return rc | put_value(msg, NFTA_BITWISE_XOR, zero, e->len);
}

static int put_masq(struct nl_msg *msg, const struct net_nft_expr *e)
{
    int rc;

    if (e->flags == 0)
        return 0;
    rc = put_be32(msg, NFTA_MASQ_FLAGS, e->flags);
    rc |= put_be32(msg, NFTA_MASQ_REG_PROTO_MIN, NFT_REG_1);
    return rc | put_be32(msg, NFTA_MASQ_REG_PROTO_MAX, NFT_REG_2);
}

static int put_expr_data(struct nl_msg *msg, const struct net_nft_expr *e)
{
    int rc = 0;

    switch (e->kind) {
    case NET_NFT_META:
        rc = put_be32(msg, NFTA_META_KEY, e->key);
        return rc | put_be32(msg, NFTA_META_DREG, e->reg);
    case NET_NFT_PAYLOAD:
        rc = put_be32(msg, NFTA_PAYLOAD_DREG, e->reg);
        rc |= put_be32(msg, NFTA_PAYLOAD_BASE, e->base);
        rc |= put_be32(msg, NFTA_PAYLOAD_OFFSET, e->offset);
        return rc | put_be32(msg, NFTA_PAYLOAD_LEN, e->len);
    case NET_NFT_FIB:
        rc = put_be32(msg, NFTA_FIB_DREG, e->reg);
        rc |= put_be32(msg, NFTA_FIB_RESULT, e->key);
        return rc | put_be32(msg, NFTA_FIB_FLAGS, e->flags);
    case NET_NFT_BITWISE:
        return put_bitwise(msg, e);
    case NET_NFT_CMP:
        rc = put_be32(msg, NFTA_CMP_SREG, e->reg);
        rc |= put_be32(msg, NFTA_CMP_OP, e->key);
        return rc | put_value(msg, NFTA_CMP_DATA, e->data, e->len);
    case NET_NFT_IMMEDIATE:
        rc = put_be32(msg, NFTA_IMMEDIATE_DREG, e->reg);
        return rc | put_value(msg, NFTA_IMMEDIATE_DATA, e->data, e->len);
    case NET_NFT_DROP:
    case NET_NFT_ACCEPT:
        rc = put_be32(msg, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        return rc | put_verdict(msg, e->kind == NET_NFT_DROP ? NF_DROP : NF_ACCEPT);
    case NET_NFT_MASQ:
        return put_masq(msg, e);
    case NET_NFT_SET:
        rc = put_be32(msg, NFTA_META_KEY, e->key);
        return rc | put_be32(msg, NFTA_META_SREG, e->reg);
    case NET_NFT_COUNTER:
    case NET_NFT_NOTRACK:
    case NET_NFT_KIND_NUM:
        break;
    }
    return rc;
}

static int put_expr(struct nl_msg *msg, const struct net_nft_expr *e)
{
    struct nlattr *elem = nla_nest_start(msg, NFTA_LIST_ELEM | NLA_F_NESTED), *data;
    int rc;

    if (!elem)
        return -EMSGSIZE;
    rc = nla_put_string(msg, NFTA_EXPR_NAME, net_nft_kind_name(e->kind));
    /* Written by hand: libnl takes back a nest that stays empty, and a counter's is. */
    data = nla_reserve(msg, NFTA_EXPR_DATA | NLA_F_NESTED, 0);
    if (rc < 0 || !data)
        return -EMSGSIZE;
    rc = put_expr_data(msg, e);
    data->nla_len = (uint16_t)((uint8_t *)nlmsg_tail(nlmsg_hdr(msg)) - (uint8_t *)data);
    nla_nest_end(msg, elem);
    return rc;
}

struct nl_msg *net_nft_msg_new_rule(const char *table, const struct net_fw_rule *rule)
{
    struct nl_msg *msg =
        nft_new(NFT_MSG_NEWRULE, net_nft_chains[rule->chain].family, NLM_F_CREATE | NLM_F_APPEND);
    struct net_nft_expr exprs[NET_NFT_EXPRS_MAX];
    const size_t n = net_nft_compile(rule, exprs);
    struct nlattr *list;
    int rc;

    if (!msg)
        return NULL;
    rc = nla_put_string(msg, NFTA_RULE_TABLE, table);
    rc |= nla_put_string(msg, NFTA_RULE_CHAIN, net_fw_chain_name(rule->chain));
    list = nla_nest_start(msg, NFTA_RULE_EXPRESSIONS | NLA_F_NESTED);
    if (!list)
        return done(msg, -EMSGSIZE);
    for (size_t i = 0; i < n; i++)
        rc |= put_expr(msg, &exprs[i]);
    nla_nest_end(msg, list);
    return done(msg, rc);
}

struct nl_msg *net_nft_msg_get_gen(void)
{
    return msg_new(net_nft_msg_type(NFT_MSG_GETGEN), 0, AF_UNSPEC, 0);
}

struct nl_msg *net_nft_msg_get_table(uint8_t family, const char *table)
{
    struct nl_msg *msg = nft_new(NFT_MSG_GETTABLE, family, 0);

    return done(msg, msg ? nla_put_string(msg, NFTA_TABLE_NAME, table) : 0);
}

struct nl_msg *net_nft_msg_get_chains(uint8_t family)
{
    return nft_new(NFT_MSG_GETCHAIN, family, 0);
}

struct nl_msg *net_nft_msg_get_rules(uint8_t family, const char *table)
{
    struct nl_msg *msg = nft_new(NFT_MSG_GETRULE, family, 0);

    return done(msg, msg ? nla_put_string(msg, NFTA_RULE_TABLE, table) : 0);
}
