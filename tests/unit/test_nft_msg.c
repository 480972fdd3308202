/* netlink/nft_expr, nft_msg, nft_read: rules to messages and back, without a kernel. */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/msg.h"
#include "netlink/nft_expr.h"
#include "netlink/nft_msg.h"
#include "netlink/nft_read.h"

#define ROUNDS 20000

static uint32_t below(uint32_t n)
{
    return (uint32_t)random() % n;
}

static void random_name(char name[IFNAMSIZ])
{
    static const char *const names[] = {"", "", "eth0", "tun0", "a-name-of-15.xx", "x"};

    strcpy(name, names[below(ARRAY_SIZE(names))]);
}

static struct ip_prefix random_prefix(uint8_t family)
{
    struct ip_prefix out = {.addr = {.family = below(3) ? family : 0}};

    for (size_t i = 0; i < ip_addr_bytes(&out.addr); i++)
        out.addr.bytes[i] = (uint8_t)below(256);
    out.len = (uint8_t)below(ip_addr_bits(&out.addr) + 1U);
    return out;
}

/* Any rule that may be: what does not fit is left out by net_firewall_add(). */
static struct net_fw_rule random_rule(void)
{
    struct net_fw_rule rule = {.chain = below(NET_FW_CHAIN_NUM)};
    uint8_t family = below(2) ? 4 : 6;

    if (rule.chain == NET_FW_ARP) {
        rule.action = NET_FW_MARK;
        rule.mark = (uint32_t)random() | 1;
        return rule;
    }
    random_name(rule.iif);
    random_name(rule.not_iif);
    random_name(rule.oif);
    random_name(rule.routed_to);
    rule.from = random_prefix(family);
    rule.to = random_prefix(family);
    rule.wrong_way = below(2);
    rule.to_local = below(2);
    rule.proto = below(2) ? 0 : below(2) ? IPPROTO_UDP : IPPROTO_TCP;
    if (rule.proto) {
        rule.sport = (uint16_t)(below(2) * below(65536));
        rule.dport = (uint16_t)(below(2) * below(65536));
    }
    rule.action = below(3);
    if (rule.proto && rule.action == NET_FW_MASQUERADE && below(2)) {
        rule.port_first = (uint16_t)(1 + below(30000));
        rule.port_last = (uint16_t)(rule.port_first + below(30000));
    }
    return rule;
}

static struct net_firewall table(void)
{
    return (struct net_firewall){.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};
}

/* A rule in canonical form; tries until one fits. */
static struct net_fw_rule some_rule(void)
{
    struct net_firewall fw = table();
    struct net_fw_rule rule;

    do
        rule = random_rule();
    while (net_firewall_add(&fw, &rule) < 0);
    rule = fw.rules[0];
    net_firewall_clear(&fw);
    return rule;
}

static void test_expr_round_trip(void **state)
{
    struct net_nft_expr exprs[NET_NFT_EXPRS_MAX];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct net_fw_rule rule = some_rule();
        size_t n = net_nft_compile(&rule, exprs);
        struct net_fw_rule back;

        assert_true(n > 0 && n <= NET_NFT_EXPRS_MAX);
        assert_true(net_nft_decompile(rule.chain, exprs, n, &back));
        assert_true(net_fw_rule_same(&rule, &back));
    }
}

/* A list of steps with anything changed is another rule, or none. */
static void test_expr_changed(void **state)
{
    struct net_nft_expr exprs[NET_NFT_EXPRS_MAX], again[NET_NFT_EXPRS_MAX];
    unsigned int none = 0;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct net_fw_rule rule = some_rule();
        size_t n = net_nft_compile(&rule, exprs), at = below((uint32_t)n);
        uint8_t *byte = (uint8_t *)&exprs[at] + below(sizeof(exprs[at]));
        struct net_fw_rule back;

        if (below(4) == 0)
            n--;
        else
            *byte = (uint8_t)(*byte ^ (1U << below(8)));
        if (!net_nft_decompile(rule.chain, exprs, n, &back)) {
            none++;
            continue;
        }
        assert_false(net_fw_rule_same(&rule, &back));
        assert_int_equal(net_nft_compile(&back, again), n);
    }
    assert_true(none > ROUNDS / 2);
}

static struct nl_msg *keep(struct nl_msg *msg)
{
    assert_non_null(msg);
    return msg;
}

static void test_rule_message(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        const struct net_fw_rule rule = some_rule();
        _cleanup_(net_msg_freep) struct nl_msg *msg =
            keep(net_nft_msg_new_rule(NET_FW_TABLE_SERVER, &rule));
        struct net_firewall fw = table();

        assert_int_equal(net_nft_read_rule(nlmsg_hdr(msg), &fw), 0);
        assert_int_equal(fw.n, 1);
        assert_false(fw.has_more);
        assert_true(net_fw_rule_same(&fw.rules[0], &rule));
        net_firewall_clear(&fw);
        /* Another table's rule is passed over. */
        strcpy(fw.table, NET_FW_TABLE_CLIENT);
        assert_int_equal(net_nft_read_rule(nlmsg_hdr(msg), &fw), 0);
        assert_int_equal(fw.n, 0);
        assert_false(fw.has_more);
    }
}

static void test_table_message(void **state)
{
    const struct net_firewall want = table();
    _cleanup_(net_msg_freep) struct nl_msg *msg =
        keep(net_nft_msg_new_table(net_nft_families[0], &want));
    struct net_firewall have = {.table = NET_FW_TABLE_SERVER};

    (void)state;
    assert_int_equal(net_nft_read_table(nlmsg_hdr(msg), &have), 0);
    assert_string_equal(have.owner, NET_FW_OWNER_SERVER);
    assert_false(have.has_more);
    strcpy(have.table, "another");
    assert_int_equal(net_nft_read_table(nlmsg_hdr(msg), &have), -EBADMSG);
}

/* Chains as we ask for them; in a dump their flags say that they are base chains. */
static void test_chain_message(void **state)
{
    (void)state;
    for (enum net_fw_chain chain = 0; chain < NET_FW_CHAIN_NUM; chain++) {
        _cleanup_(net_msg_freep) struct nl_msg *msg =
            keep(net_nft_msg_new_chain(NET_FW_TABLE_SERVER, chain));
        struct net_firewall fw = table();
        unsigned int seen = 0;

        assert_int_equal(net_nft_read_chain(nlmsg_hdr(msg), &fw, &seen), 0);
        assert_int_equal(seen, 1U << chain);
        assert_false(fw.has_more);
    }
}

static void test_events(void **state)
{
    const struct net_fw_rule rule = some_rule();
    struct nl_msg *msgs[] = {
        keep(net_nft_msg_new_rule(NET_FW_TABLE_SERVER, &rule)),
        keep(net_nft_msg_new_chain(NET_FW_TABLE_SERVER, NET_FW_OUTPUT)),
        keep(net_nft_msg_del_table(net_nft_families[0], NET_FW_TABLE_SERVER)),
        keep(net_nft_msg_new_chain(NET_FW_TABLE_SERVER, NET_FW_ARP)),
        keep(net_nft_msg_del_table(net_nft_families[1], NET_FW_TABLE_SERVER)),
    };
    _cleanup_(net_msg_freep) struct nl_msg *gen = keep(net_nft_msg_begin(7));

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(msgs); i++) {
        assert_true(net_nft_read_event(nlmsg_hdr(msgs[i]), NET_FW_TABLE_SERVER));
        assert_false(net_nft_read_event(nlmsg_hdr(msgs[i]), NET_FW_TABLE_CLIENT));
        nlmsg_free(msgs[i]);
    }
    assert_false(net_nft_read_event(nlmsg_hdr(gen), NET_FW_TABLE_SERVER));
}

/* Every reader, for any bytes: no crash, and only the verdicts that its header names. */
static void read_all(const struct nlmsghdr *nlh)
{
    struct net_firewall fw = table();
    struct net_nft_gen gen;
    unsigned int chains = 0;
    int rc;

    rc = net_nft_read_gen(nlh, &gen);
    assert_true(rc == 0 || rc == -EBADMSG);
    rc = net_nft_read_table(nlh, &fw);
    assert_true(rc == 0 || rc == -EBADMSG);
    rc = net_nft_read_chain(nlh, &fw, &chains);
    assert_true(rc == 0 || rc == -EBADMSG);
    assert_true(chains < 1U << NET_FW_CHAIN_NUM);
    rc = net_nft_read_rule(nlh, &fw);
    assert_true(rc == 0 || rc == -EBADMSG);
    for (size_t i = 0; i < fw.n; i++)
        assert_true(net_fw_rule_valid(&fw.rules[i]));
    net_nft_read_event(nlh, NET_FW_TABLE_SERVER);
    net_firewall_clear(&fw);
}

static void test_hostile(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct net_firewall fw = table();
        const struct net_fw_rule rule = some_rule();
        _cleanup_(net_msg_freep) struct nl_msg *msg =
            keep(i % 3 == 0   ? net_nft_msg_new_table(net_nft_families[0], &fw)
                 : i % 3 == 1 ? net_nft_msg_new_chain(fw.table, below(NET_FW_CHAIN_NUM))
                              : net_nft_msg_new_rule(fw.table, &rule));
        size_t len = nlmsg_hdr(msg)->nlmsg_len;
        /* Exactly as long as it says, so that a sanitizer sees a step beyond. */
        uint8_t *bytes = malloc(len);
        struct nlmsghdr *nlh = (void *)bytes;

        assert_non_null(bytes);
        memcpy(bytes, nlmsg_hdr(msg), len);
        for (uint32_t n = 1 + below(4); n > 0; n--)
            bytes[NLMSG_HDRLEN + below((uint32_t)len - NLMSG_HDRLEN)] = (uint8_t)below(256);
        if (below(4) == 0)
            nlh->nlmsg_len = (uint32_t)NLMSG_HDRLEN + below((uint32_t)len - NLMSG_HDRLEN);
        if (below(8) == 0)
            nlh->nlmsg_type = net_nft_msg_type((int)below(NFT_MSG_MAX));
        read_all(nlh);
        free(bytes);
    }
}

static struct nlattr *find(const struct nlattr *head, int len, int type)
{
    struct nlattr *attr = nla_find(head, len, type);

    assert_non_null(attr);
    return attr;
}

static void expect_odd(const struct nl_msg *msg, bool odd)
{
    struct net_firewall fw = table();
    unsigned int seen = 0;

    assert_int_equal(net_nft_read_chain(nlmsg_hdr((struct nl_msg *)(uintptr_t)msg), &fw, &seen), 0);
    assert_int_equal(fw.has_more, odd);
    assert_int_equal(seen == 0, odd);
}

/* A chain that is not at its hook, or drops what no rule holds, is none of ours. */
static void test_odd_chain(void **state)
{
    static const int inside[] = {NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY};

    (void)state;
    for (enum net_fw_chain chain = 0; chain < NET_FW_CHAIN_NUM; chain++) {
        _cleanup_(net_msg_freep) struct nl_msg *msg =
            keep(net_nft_msg_new_chain(NET_FW_TABLE_SERVER, chain));
        const struct nlmsghdr *nlh = nlmsg_hdr(msg);
        const struct nlattr *head = nlmsg_attrdata(nlh, sizeof(struct nfgenmsg));
        const int len = nlmsg_attrlen(nlh, sizeof(struct nfgenmsg));
        struct nlattr *hook = find(head, len, NFTA_CHAIN_HOOK);
        uint8_t *policy = nla_data(find(head, len, NFTA_CHAIN_POLICY));
        uint8_t *type = nla_data(find(head, len, NFTA_CHAIN_TYPE));

        for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
            uint8_t *value = nla_data(find(nla_data(hook), nla_len(hook), inside[i]));

            value[3] ^= 1;
            expect_odd(msg, true);
            value[3] ^= 1;
        }
        policy[3] ^= 1;
        expect_odd(msg, true);
        policy[3] ^= 1;
        type[0] ^= 1;
        expect_odd(msg, true);
        type[0] ^= 1;
        expect_odd(msg, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expr_round_trip), cmocka_unit_test(test_expr_changed),
        cmocka_unit_test(test_rule_message),    cmocka_unit_test(test_table_message),
        cmocka_unit_test(test_chain_message),   cmocka_unit_test(test_events),
        cmocka_unit_test(test_hostile),         cmocka_unit_test(test_odd_chain),
    };

    srandom(5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
