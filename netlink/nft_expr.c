/* A rule as nf_tables has it; see nft_expr.h. */
#include "netlink/nft_expr.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define IP4_SADDR 12
#define IP4_DADDR 16
#define IP6_SADDR 8
#define IP6_DADDR 24
#define L4_SPORT  0
#define L4_DPORT  2
#define LOOPBACK  "lo"

/* ---- rule to steps --------------------------------------------------------------------------- */

struct program {
    struct net_nft_expr *exprs;
    size_t n;
};

static struct net_nft_expr *step(struct program *p, enum net_nft_kind kind)
{
    struct net_nft_expr *e = &p->exprs[p->n++];

    memset(e, 0, sizeof(*e));
    e->kind = kind;
    return e;
}

static void load_meta(struct program *p, uint32_t key)
{
    struct net_nft_expr *e = step(p, NET_NFT_META);

    e->reg = NFT_REG_1;
    e->key = key;
}

static void load_payload(struct program *p, uint32_t base, uint32_t offset, uint32_t len)
{
    struct net_nft_expr *e = step(p, NET_NFT_PAYLOAD);

    e->reg = NFT_REG_1;
    e->base = base;
    e->offset = offset;
    e->len = len;
}

static void load_fib(struct program *p, uint32_t result, uint32_t flags)
{
    struct net_nft_expr *e = step(p, NET_NFT_FIB);

    e->reg = NFT_REG_1;
    e->key = result;
    e->flags = flags;
}

static void compare(struct program *p, uint32_t op, const void *data, uint32_t len)
{
    struct net_nft_expr *e = step(p, NET_NFT_CMP);

    e->reg = NFT_REG_1;
    e->key = op;
    e->len = len;
    memcpy(e->data, data, len);
}

static void compare_name(struct program *p, uint32_t op, const char *name)
{
    char padded[IFNAMSIZ] = {0};

    memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
    compare(p, op, padded, sizeof(padded));
}

static void compare_u8(struct program *p, uint8_t value)
{
    compare(p, NFT_CMP_EQ, &value, sizeof(value));
}

static void compare_u32(struct program *p, uint32_t value)
{
    compare(p, NFT_CMP_EQ, &value, sizeof(value));
}

static void match_devices(struct program *p, const struct net_fw_rule *r)
{
    if (r->iif[0]) {
        load_meta(p, NFT_META_IIFNAME);
        compare_name(p, NFT_CMP_EQ, r->iif);
    }
    if (r->not_iif[0]) {
        load_meta(p, NFT_META_IIFNAME);
        compare_name(p, NFT_CMP_NEQ, r->not_iif);
        load_meta(p, NFT_META_IIFNAME);
        compare_name(p, NFT_CMP_NEQ, LOOPBACK);
    }
    if (r->oif[0]) {
        load_meta(p, NFT_META_OIFNAME);
        compare_name(p, NFT_CMP_EQ, r->oif);
    }
}

/* A length of whole bytes needs no mask: so many bytes are compared. */
static void match_prefix(struct program *p, const struct ip_prefix *prefix, uint32_t offset)
{
    const uint32_t bytes = (uint32_t)ip_addr_bytes(&prefix->addr);
    struct net_nft_expr *mask;

    if (prefix->addr.family == 0 || prefix->len == 0)
        return;
    if (prefix->len % 8 == 0) {
        load_payload(p, NFT_PAYLOAD_NETWORK_HEADER, offset, prefix->len / 8U);
        compare(p, NFT_CMP_EQ, prefix->addr.bytes, prefix->len / 8U);
        return;
    }
    load_payload(p, NFT_PAYLOAD_NETWORK_HEADER, offset, bytes);
    mask = step(p, NET_NFT_BITWISE);
    mask->reg = NFT_REG_1;
    mask->len = bytes;
    memset(mask->data, 0xff, prefix->len / 8U);
    mask->data[prefix->len / 8U] = (uint8_t)(0xff00U >> (prefix->len % 8U));
    compare(p, NFT_CMP_EQ, prefix->addr.bytes, bytes);
}

static void match_addresses(struct program *p, const struct net_fw_rule *r)
{
    const uint8_t family = r->from.addr.family ? r->from.addr.family : r->to.addr.family;

    if (family == 0)
        return;
    load_meta(p, NFT_META_NFPROTO);
    compare_u8(p, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
    match_prefix(p, &r->from, family == 6 ? IP6_SADDR : IP4_SADDR);
    match_prefix(p, &r->to, family == 6 ? IP6_DADDR : IP4_DADDR);
}

static void match_routing(struct program *p, const struct net_fw_rule *r)
{
    if (r->routed_to[0]) {
        load_fib(p, NFT_FIB_RESULT_OIFNAME, NFTA_FIB_F_DADDR);
        compare_name(p, NFT_CMP_EQ, r->routed_to);
    }
    if (r->wrong_way) {
        load_fib(p, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT);
        compare_u32(p, 0);
    }
    if (r->to_local) {
        load_fib(p, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR);
        compare_u32(p, RTN_LOCAL);
    }
}

static void match_port(struct program *p, uint32_t offset, uint16_t port)
{
    const uint16_t wire = htons(port);

    if (port == 0)
        return;
    load_payload(p, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(wire));
    compare(p, NFT_CMP_EQ, &wire, sizeof(wire));
}

static void match_protocol(struct program *p, const struct net_fw_rule *r)
{
    if (r->proto == 0)
        return;
    load_meta(p, NFT_META_L4PROTO);
    compare_u8(p, r->proto);
    match_port(p, L4_SPORT, r->sport);
    match_port(p, L4_DPORT, r->dport);
}

static void load_port(struct program *p, uint32_t reg, uint16_t port)
{
    struct net_nft_expr *e = step(p, NET_NFT_IMMEDIATE);
    const uint16_t wire = htons(port);

    e->reg = reg;
    e->len = sizeof(wire);
    memcpy(e->data, &wire, sizeof(wire));
}

static void set_mark(struct program *p, uint32_t mark)
{
    struct net_nft_expr *e = step(p, NET_NFT_IMMEDIATE);

    e->reg = NFT_REG_1;
    e->len = sizeof(mark);
    memcpy(e->data, &mark, sizeof(mark));
    e = step(p, NET_NFT_SET);
    e->reg = NFT_REG_1;
    e->key = NFT_META_MARK;
}

static void act(struct program *p, const struct net_fw_rule *r)
{
    switch (r->action) {
    case NET_FW_DROP:
        step(p, NET_NFT_COUNTER);
        step(p, NET_NFT_DROP);
        break;
    case NET_FW_NOTRACK:
        step(p, NET_NFT_NOTRACK);
        step(p, NET_NFT_ACCEPT);
        break;
    case NET_FW_MASQUERADE:
        if (r->port_first) {
            load_port(p, NFT_REG_1, r->port_first);
            load_port(p, NFT_REG_2, r->port_last);
        }
        step(p, NET_NFT_MASQ)->flags = r->port_first ? NF_NAT_RANGE_PROTO_SPECIFIED : 0;
        break;
    case NET_FW_MARK:
        set_mark(p, r->mark);
        break;
    }
}

size_t net_nft_compile(const struct net_fw_rule *rule,
                       struct net_nft_expr out[static NET_NFT_EXPRS_MAX])
{
    struct program p = {.exprs = out};

    /* What is cheap and seldom true comes first, and what has to be looked up last. */
    match_addresses(&p, rule);
    match_devices(&p, rule);
    match_protocol(&p, rule);
    match_routing(&p, rule);
    act(&p, rule);
    return p.n;
}

/* ---- steps to rule --------------------------------------------------------------------------- */

/* Reads what it can; whether that was all of it, the translation back tells. */
struct reader {
    const struct net_nft_expr *exprs;
    size_t n, at;
    uint8_t family;
    struct net_fw_rule rule;
};

/* The comparison that follows a load, with a mask between them or not. */
static const struct net_nft_expr *next_compare(struct reader *r, const struct net_nft_expr **mask)
{
    *mask = NULL;
    if (r->at < r->n && r->exprs[r->at].kind == NET_NFT_BITWISE)
        *mask = &r->exprs[r->at++];
    if (r->at < r->n && r->exprs[r->at].kind == NET_NFT_CMP)
        return &r->exprs[r->at++];
    return NULL;
}

static void read_name(char out[static IFNAMSIZ], const struct net_nft_expr *cmp)
{
    memcpy(out, cmp->data, IFNAMSIZ);
    out[IFNAMSIZ - 1] = '\0';
}

static void read_meta(struct reader *r, const struct net_nft_expr *load,
                      const struct net_nft_expr *cmp)
{
    switch (load->key) {
    case NFT_META_IIFNAME:
        if (cmp->key == NFT_CMP_EQ)
            read_name(r->rule.iif, cmp);
        else if (!r->rule.not_iif[0])
            read_name(r->rule.not_iif, cmp);
        break;
    case NFT_META_OIFNAME:
        read_name(r->rule.oif, cmp);
        break;
    case NFT_META_NFPROTO:
        r->family = cmp->data[0] == NFPROTO_IPV6 ? 6 : 4;
        break;
    case NFT_META_L4PROTO:
        r->rule.proto = cmp->data[0];
        break;
    default:
        break;
    }
}

static uint8_t mask_bits(const struct net_nft_expr *mask)
{
    uint8_t bits = 0;

    while (bits < 8 * NET_NFT_DATA_MAX && (mask->data[bits / 8] & (0x80U >> (bits % 8U))))
        bits++;
    return bits;
}

static void read_prefix(struct reader *r, bool source, const struct net_nft_expr *mask,
                        const struct net_nft_expr *cmp)
{
    struct ip_prefix prefix = {.addr = {.family = r->family}};
    const size_t bytes = ip_addr_bytes(&prefix.addr);

    memcpy(prefix.addr.bytes, cmp->data, cmp->len < bytes ? cmp->len : bytes);
    prefix.len = mask ? mask_bits(mask) : (uint8_t)(cmp->len * 8);
    if (source)
        r->rule.from = prefix;
    else
        r->rule.to = prefix;
}

static void read_payload(struct reader *r, const struct net_nft_expr *load,
                         const struct net_nft_expr *mask, const struct net_nft_expr *cmp)
{
    uint16_t port;

    if (load->base == NFT_PAYLOAD_NETWORK_HEADER) {
        read_prefix(r, load->offset == (r->family == 6 ? IP6_SADDR : IP4_SADDR), mask, cmp);
        return;
    }
    memcpy(&port, cmp->data, sizeof(port));
    if (load->offset == L4_SPORT)
        r->rule.sport = ntohs(port);
    else
        r->rule.dport = ntohs(port);
}

static void read_fib(struct reader *r, const struct net_nft_expr *load,
                     const struct net_nft_expr *cmp)
{
    if (load->key == NFT_FIB_RESULT_OIFNAME)
        read_name(r->rule.routed_to, cmp);
    else if (load->key == NFT_FIB_RESULT_OIF)
        r->rule.wrong_way = true;
    else
        r->rule.to_local = true;
}

static void read_immediate(struct reader *r, const struct net_nft_expr *e)
{
    uint16_t port;

    memcpy(&port, e->data, sizeof(port));
    if (e->len == sizeof(r->rule.mark))
        memcpy(&r->rule.mark, e->data, sizeof(r->rule.mark));
    else if (e->reg == NFT_REG_1)
        r->rule.port_first = ntohs(port);
    else
        r->rule.port_last = ntohs(port);
}

static void read_step(struct reader *r, const struct net_nft_expr *e)
{
    const struct net_nft_expr *mask = NULL, *cmp = NULL;

    if (e->kind == NET_NFT_META || e->kind == NET_NFT_PAYLOAD || e->kind == NET_NFT_FIB) {
        cmp = next_compare(r, &mask);
        if (!cmp)
            return;
    }
    switch (e->kind) {
    case NET_NFT_META:
        read_meta(r, e, cmp);
        break;
    case NET_NFT_PAYLOAD:
        read_payload(r, e, mask, cmp);
        break;
    case NET_NFT_FIB:
        read_fib(r, e, cmp);
        break;
    case NET_NFT_IMMEDIATE:
        read_immediate(r, e);
        break;
    case NET_NFT_DROP:
        r->rule.action = NET_FW_DROP;
        break;
    case NET_NFT_NOTRACK:
        r->rule.action = NET_FW_NOTRACK;
        break;
    case NET_NFT_MASQ:
        r->rule.action = NET_FW_MASQUERADE;
        break;
    case NET_NFT_SET:
        r->rule.action = NET_FW_MARK;
        break;
    case NET_NFT_BITWISE:
    case NET_NFT_CMP:
    case NET_NFT_COUNTER:
    case NET_NFT_ACCEPT:
    case NET_NFT_KIND_NUM:
        break;
    }
}

static bool expr_same(const struct net_nft_expr *a, const struct net_nft_expr *b)
{
    return a->kind == b->kind && a->reg == b->reg && a->key == b->key && a->base == b->base &&
           a->offset == b->offset && a->flags == b->flags && a->len == b->len &&
           memcmp(a->data, b->data, sizeof(a->data)) == 0;
}

static bool program_same(const struct net_fw_rule *rule, const struct net_nft_expr *exprs, size_t n)
{
    struct net_nft_expr again[NET_NFT_EXPRS_MAX];

    if (!net_fw_rule_valid(rule) || net_nft_compile(rule, again) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!expr_same(&again[i], &exprs[i]))
            return false;
    return true;
}

bool net_nft_decompile(enum net_fw_chain chain, const struct net_nft_expr *exprs, size_t n,
                       struct net_fw_rule *out)
{
    struct reader r = {.exprs = exprs, .n = n, .rule = {.chain = chain}};

    if (n > NET_NFT_EXPRS_MAX)
        return false;
    while (r.at < r.n)
        read_step(&r, &r.exprs[r.at++]);
    if (r.rule.from.addr.family == 0 && r.rule.to.addr.family == 0)
        r.rule.to.addr.family = r.family;
    if (!program_same(&r.rule, exprs, n))
        return false;
    *out = r.rule;
    return true;
}

const char *net_nft_kind_name(enum net_nft_kind kind)
{
    static const char *const names[NET_NFT_KIND_NUM] = {
        [NET_NFT_META] = "meta",       [NET_NFT_PAYLOAD] = "payload",
        [NET_NFT_FIB] = "fib",         [NET_NFT_BITWISE] = "bitwise",
        [NET_NFT_CMP] = "cmp",         [NET_NFT_IMMEDIATE] = "immediate",
        [NET_NFT_COUNTER] = "counter", [NET_NFT_DROP] = "immediate",
        [NET_NFT_NOTRACK] = "notrack", [NET_NFT_ACCEPT] = "immediate",
        [NET_NFT_MASQ] = "masq",       [NET_NFT_SET] = "meta",
    };

    return (unsigned int)kind < NET_NFT_KIND_NUM ? names[kind] : "?";
}
