/* What the client's tunnels mean for the packet filter; see firewall.h. */
#include "client/firewall.h"

#include <string.h>

#include "netlink/set.h"

static int guard(const struct netstate *tunnel, struct net_firewall *fw)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < tunnel->n_addrs; i++) {
        const struct ip_addr *addr = &tunnel->addrs[i].addr;
        struct net_fw_rule rule = {.chain = NET_FW_PREROUTING,
                                   .to = {.addr = *addr, .len = ip_addr_bits(addr)},
                                   .action = NET_FW_DROP};

        memcpy(rule.not_iif, tunnel->device, sizeof(rule.not_iif));
        rc = net_firewall_add(fw, &rule);
    }
    return rc;
}

int firewall_guard(const struct netstate *const *tunnels, size_t n, uint32_t arp_mark,
                   struct net_set *set)
{
    const struct net_fw_rule arp = {.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = arp_mark};
    struct net_firewall fw = {.table = NET_FW_TABLE_CLIENT, .owner = NET_FW_OWNER_CLIENT};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = guard(tunnels[i], &fw);
    if (rc == 0 && arp_mark)
        rc = net_firewall_add(&fw, &arp);
    if (rc == 0 && fw.n > 0)
        rc = net_set_add_firewall(set, &fw);
    net_firewall_clear(&fw);
    return rc;
}
