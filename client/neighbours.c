/* Neighbours that ask for this host's address; see neighbours.h. */
#include "client/neighbours.h"

#include <limits.h>
#include <stdio.h>

#include "client/routing.h"
#include "common/log.h"
#include "netlink/nft.h"
#include "netlink/set.h"
#include "netlink/sysctl_keep.h"

static const struct net_setting setting = {"ipv4/conf/all/src_valid_mark", "1"};

void neighbours_open(struct neighbours *n, const char *state)
{
    const struct net_fw_rule rule = {.chain = NET_FW_ARP,
                                     .action = NET_FW_MARK,
                                     .mark = ROUTING_MARK};
    struct err note = {{0}}, err = {{0}};
    char path[PATH_MAX];

    (void)net_nft_able(&rule, &n->unable);
    snprintf(path, sizeof(path), "%s/sysctl", state);
    if (net_sysctl_keep_open(&n->former, path, &note, &err) < 0)
        log_warning("%s is left as it is: %s", setting.path, err.msg);
    else if (note.msg[0])
        log_warning("%s", note.msg);
}

void neighbours_close(struct neighbours *n)
{
    struct err err;

    if (n->former && net_sysctl_keep_restore(n->former, &err) < 0)
        log_warning("%s: not put back: %s", setting.path, err.msg);
    net_sysctl_keep_free(n->former);
    n->former = NULL;
}

int neighbours_lower(struct neighbours *n, bool caught, struct net_set *set, bool *marked)
{
    struct err err;

    if (caught && n->unable.msg[0] && !n->said) {
        n->said = true;
        log_warning("ARP requests are not answered where rp_filter is 1, and while a tunnel blocks "
                    "where it is 2, because they cannot be marked: %s",
                    n->unable.msg);
    }
    *marked = caught && !n->unable.msg[0] && n->former;
    /* Before it is changed, what it was is on disk. */
    if (n->former && net_sysctl_keep_want(n->former, &setting, *marked, &err) < 0)
        log_warning("%s: %s", setting.path, err.msg);
    return *marked ? net_set_add_setting(set, setting.path, setting.value) : 0;
}
