/*
 * Any message through the readers of nf_tables: whatever comes out is a table that can be written
 * again, and a rule that was read reads the same once more.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <netlink/msg.h>

#include "netlink/nft_msg.h"
#include "netlink/nft_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

static void check_rule(const struct net_fw_rule *rule)
{
    struct net_firewall again = {.table = NET_FW_TABLE_SERVER};
    struct nl_msg *msg = net_nft_msg_new_rule(NET_FW_TABLE_SERVER, rule);
    char text[NET_FW_FORMAT_SIZE];

    require(msg != NULL);
    require(net_nft_read_rule(nlmsg_hdr(msg), &again) == 0);
    require(again.n == 1 && net_fw_rule_same(rule, &again.rules[0]));
    require(strlen(net_fw_rule_format(rule, text)) < sizeof(text) - 1);
    net_firewall_clear(&again);
    nlmsg_free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_firewall fw = {.table = NET_FW_TABLE_SERVER};
    struct net_nft_gen gen;
    unsigned int chains = 0;
    struct nlmsghdr *nlh;

    if (size < sizeof(*nlh))
        return 0;
    nlh = malloc(size);
    require(nlh != NULL);
    memcpy(nlh, data, size);
    nlh->nlmsg_len = (uint32_t)size; /* the connection has checked it */
    (void)net_nft_read_gen(nlh, &gen);
    (void)net_nft_read_table(nlh, &fw);
    require(memchr(fw.owner, 0, sizeof(fw.owner)) != NULL);
    (void)net_nft_read_chain(nlh, &fw, &chains);
    (void)net_nft_read_rule(nlh, &fw);
    (void)net_nft_read_event(nlh, NET_FW_TABLE_SERVER);
    for (size_t i = 0; i < fw.n; i++)
        check_rule(&fw.rules[i]);
    net_firewall_clear(&fw);
    free(nlh);
    return 0;
}
