/* What the kernel shows of nf_tables; see nft_read.h. */
#include "netlink/nft_read.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netlink/msg.h"
#include "netlink/nft_expr.h"
#include "netlink/nft_msg.h"
#include "netlink/nft_read_expr.h"

static const void *nft_header(const struct nlmsghdr *nlh, int nft_msg)
{
    if (nlh->nlmsg_type != net_nft_msg_type(nft_msg) ||
        !nlmsg_valid_hdr(nlh, sizeof(struct nfgenmsg)))
        return NULL;
    return nlmsg_data(nlh);
}

static bool is_of_family(const struct nfgenmsg *hdr)
{
    for (size_t i = 0; i < NET_NFT_FAMILIES; i++)
        if (hdr->nfgen_family == net_nft_families[i])
            return true;
    return false;
}

int net_nft_read_gen(const struct nlmsghdr *nlh, struct net_nft_gen *out)
{
    struct net_nft_gen gen = {0};
    struct nlattr *attr;
    int left, rc = 0;

    if (!nft_header(nlh, NFT_MSG_NEWGEN))
        return -EBADMSG;
    nlmsg_for_each_attr(attr, nlh, sizeof(struct nfgenmsg), left)
    {
        switch (nla_type(attr)) {
        case NFTA_GEN_ID:
            rc |= net_attr_be32(attr, &gen.id);
            break;
        case NFTA_GEN_PROC_PID:
            rc |= net_attr_be32(attr, &gen.pid);
            break;
        case NFTA_GEN_PROC_NAME:
            rc |= net_attr_str(attr, gen.who, sizeof(gen.who));
            break;
        default:
            break;
        }
    }
    if (rc < 0)
        return -EBADMSG;
    *out = gen;
    return 0;
}

/* The comment that nft(8) would show. */
static void read_comment(const struct nlattr *attr, char owner[NET_FW_NAME_SIZE])
{
    const uint8_t *data = nla_data(attr);
    size_t left = (size_t)nla_len(attr);

    owner[0] = '\0';
    while (left >= 2 && data[1] <= left - 2) {
        const size_t len = data[1];

        if (data[0] == NET_NFT_UDATA_COMMENT && len < NET_FW_NAME_SIZE) {
            memcpy(owner, data + 2, len);
            owner[len] = '\0';
        }
        data += 2 + len;
        left -= 2 + len;
    }
}

int net_nft_read_table(const struct nlmsghdr *nlh, struct net_firewall *fw)
{
    char name[NET_FW_NAME_SIZE] = "";
    struct nlattr *attr;
    uint32_t flags = 0;
    int left;

    if (!nft_header(nlh, NFT_MSG_NEWTABLE))
        return -EBADMSG;
    fw->owner[0] = '\0';
    nlmsg_for_each_attr(attr, nlh, sizeof(struct nfgenmsg), left)
    {
        switch (nla_type(attr)) {
        case NFTA_TABLE_NAME:
            if (net_attr_str(attr, name, sizeof(name)) < 0)
                return -EBADMSG;
            break;
        case NFTA_TABLE_FLAGS:
            if (net_attr_be32(attr, &flags) < 0)
                return -EBADMSG;
            break;
        case NFTA_TABLE_USERDATA:
            read_comment(attr, fw->owner);
            break;
        default:
            break;
        }
    }
    /* Dormant, for instance: there, but without effect. */
    fw->has_more = fw->has_more || flags != 0;
    return strcmp(name, fw->table) == 0 ? 0 : -EBADMSG;
}

/* Whether @attr, if any, names fw->table; longer names than any of ours cannot. */
static bool names_table(const struct nlattr *attr, const char *table)
{
    char name[NET_FW_NAME_SIZE];

    return attr && net_attr_str(attr, name, sizeof(name)) == 0 && strcmp(name, table) == 0;
}

static int chain_by_name(const struct nfgenmsg *hdr, const struct nlattr *attr,
                         enum net_fw_chain *out)
{
    char name[NET_FW_NAME_SIZE];

    if (!attr || net_attr_str(attr, name, sizeof(name)) < 0)
        return NET_NFT_NOT_OURS;
    for (enum net_fw_chain chain = 0; chain < NET_FW_CHAIN_NUM; chain++) {
        if (net_nft_chains[chain].family == hdr->nfgen_family &&
            strcmp(name, net_fw_chain_name(chain)) == 0) {
            *out = chain;
            return 0;
        }
    }
    return NET_NFT_NOT_OURS;
}

static int read_hook(const struct nlattr *nest, const struct net_nft_chain *spec)
{
    struct nlattr *attr;
    int left, rc = 0;

    nla_for_each_nested(attr, nest, left)
    {
        switch (nla_type(attr)) {
        case NFTA_HOOK_HOOKNUM:
            rc = net_nft_expect(attr, spec->hook);
            break;
        case NFTA_HOOK_PRIORITY:
            rc = net_nft_expect(attr, (uint32_t)spec->priority);
            break;
        default:
            rc = NET_NFT_NOT_OURS;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* A chain of ours sits at its hook, and lets pass what no rule holds. */
static int read_chain_attrs(struct nlattr *const attrs[], const struct net_nft_chain *spec)
{
    char type[NET_FW_NAME_SIZE];
    uint32_t flags = NFT_CHAIN_BASE;
    int rc;

    if (!attrs[NFTA_CHAIN_HOOK] || !attrs[NFTA_CHAIN_POLICY] || !attrs[NFTA_CHAIN_TYPE])
        return NET_NFT_NOT_OURS;
    if (net_attr_str(attrs[NFTA_CHAIN_TYPE], type, sizeof(type)) < 0 ||
        (attrs[NFTA_CHAIN_FLAGS] && net_attr_be32(attrs[NFTA_CHAIN_FLAGS], &flags) < 0))
        return -EBADMSG;
    if (strcmp(type, spec->type) != 0 || flags != NFT_CHAIN_BASE)
        return NET_NFT_NOT_OURS;
    rc = net_nft_expect(attrs[NFTA_CHAIN_POLICY], NF_ACCEPT);
    return rc == 0 ? read_hook(attrs[NFTA_CHAIN_HOOK], spec) : rc;
}

static int parse(const struct nlmsghdr *nlh, struct nlattr *attrs[], int max)
{
    return nlmsg_parse((struct nlmsghdr *)(uintptr_t)nlh, sizeof(struct nfgenmsg), attrs, max,
                       NULL) < 0
               ? -EBADMSG
               : 0;
}

int net_nft_read_chain(const struct nlmsghdr *nlh, struct net_firewall *fw, unsigned int *chains)
{
    struct nlattr *attrs[NFTA_CHAIN_MAX + 1];
    const struct nfgenmsg *hdr = nft_header(nlh, NFT_MSG_NEWCHAIN);
    enum net_fw_chain chain;
    int rc;

    if (!hdr || parse(nlh, attrs, NFTA_CHAIN_MAX) < 0)
        return -EBADMSG;
    if (!is_of_family(hdr) || !names_table(attrs[NFTA_CHAIN_TABLE], fw->table))
        return 0;
    rc = chain_by_name(hdr, attrs[NFTA_CHAIN_NAME], &chain);
    if (rc == 0)
        rc = read_chain_attrs(attrs, &net_nft_chains[chain]);
    if (rc == 0)
        *chains |= 1U << chain;
    else if (rc == NET_NFT_NOT_OURS)
        fw->has_more = true;
    return rc < 0 ? rc : 0;
}

static int read_rule(const struct nfgenmsg *hdr, struct nlattr *const attrs[],
                     struct net_fw_rule *out)
{
    struct net_nft_expr exprs[NET_NFT_EXPRS_MAX];
    enum net_fw_chain chain;
    struct nlattr *elem;
    size_t n = 0;
    int left, rc = chain_by_name(hdr, attrs[NFTA_RULE_CHAIN], &chain);

    if (rc != 0 || !attrs[NFTA_RULE_EXPRESSIONS] || attrs[NFTA_RULE_COMPAT])
        return rc < 0 ? rc : NET_NFT_NOT_OURS;
    nla_for_each_nested(elem, attrs[NFTA_RULE_EXPRESSIONS], left)
    {
        if (n == NET_NFT_EXPRS_MAX)
            return NET_NFT_NOT_OURS;
        rc = net_nft_read_expr(elem, &exprs[n++]);
        if (rc != 0)
            return rc;
    }
    return net_nft_decompile(chain, exprs, n, out) ? 0 : NET_NFT_NOT_OURS;
}

int net_nft_read_rule(const struct nlmsghdr *nlh, struct net_firewall *fw)
{
    struct nlattr *attrs[NFTA_RULE_MAX + 1];
    const struct nfgenmsg *hdr = nft_header(nlh, NFT_MSG_NEWRULE);
    struct net_fw_rule rule;
    int rc;

    if (!hdr || parse(nlh, attrs, NFTA_RULE_MAX) < 0)
        return -EBADMSG;
    if (!is_of_family(hdr) || !names_table(attrs[NFTA_RULE_TABLE], fw->table))
        return 0;
    rc = read_rule(hdr, attrs, &rule);
    if (rc == 0)
        rc = net_firewall_add(fw, &rule);
    if (rc == NET_NFT_NOT_OURS || rc == -ENOSPC) {
        fw->has_more = true;
        rc = 0;
    }
    return rc;
}

bool net_nft_read_event(const struct nlmsghdr *nlh, const char *table)
{
    struct nlattr *attr;
    int left;

    /* The table's name is the first attribute of whatever lies in it, and of itself. */
    _Static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                       NFTA_SET_TABLE == 1 && NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1 &&
                       NFTA_SET_ELEM_LIST_TABLE == 1,
                   "where an event has its table's name");
    if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
        nlh->nlmsg_type == net_nft_msg_type(NFT_MSG_NEWGEN) ||
        !nlmsg_valid_hdr(nlh, sizeof(struct nfgenmsg)) || !is_of_family(nlmsg_data(nlh)))
        return false;
    nlmsg_for_each_attr(attr, nlh, sizeof(struct nfgenmsg), left)
    {
        if (nla_type(attr) == NFTA_TABLE_NAME)
            return names_table(attr, table);
    }
    return false;
}
