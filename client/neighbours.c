/* Neighbours that ask for this host's address; see neighbours.h. */
#include "client/neighbours.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "client/routing.h"
#include "common/log.h"
#include "netlink/firewall.h"
#include "netlink/set.h"
#include "netlink/sysctl_keep.h"

static const struct net_setting setting = {"ipv4/conf/all/src_valid_mark", "1"};
static const struct net_fw_rule rule = {.chain = NET_FW_ARP,
                                        .action = NET_FW_MARK,
                                        .mark = ROUTING_MARK};

void neighbours_open(struct neighbours *n, const char *state, uint64_t now_ms)
{
    struct err note = {{0}}, err = {{0}};
    char path[PATH_MAX];

    (void)ability_ask(&n->ability, &rule, true, now_ms);
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

uint64_t neighbours_due(const struct neighbours *n)
{
    return ability_due(&n->ability);
}

bool neighbours_tick(struct neighbours *n, uint64_t now_ms)
{
    return now_ms >= neighbours_due(n) && ability_ask(&n->ability, &rule, true, now_ms);
}

const char *neighbours_unanswered(const struct neighbours *n)
{
    return n->caught && n->ability.state != ABILITY_THERE ? n->ability.why.msg : NULL;
}

/* Each reason once. */
static void say(struct neighbours *n)
{
    const char *why = neighbours_unanswered(n);

    if (why && strcmp(why, n->said.msg) != 0) {
        n->said = n->ability.why;
        log_warning("ARP requests are not answered where rp_filter is 1, and while a tunnel blocks "
                    "where it is 2, because they cannot be marked: %s",
                    why);
    } else if (n->caught && !why && n->said.msg[0]) {
        n->said.msg[0] = '\0';
        log_info("ARP requests are marked, and answered");
    }
}

/* Before it is changed, what it was is on disk. */
static void keep(struct neighbours *n, bool wanted)
{
    struct err err = {{0}};
    const int rc = net_sysctl_keep_want(n->former, &setting, wanted, &err);

    if (rc < 0 && strcmp(err.msg, n->not_kept.msg) != 0)
        log_warning("%s: %s", setting.path, err.msg);
    n->not_kept = err;
    if (rc == 0)
        n->not_kept.msg[0] = '\0';
}

int neighbours_lower(struct neighbours *n, bool caught, struct net_set *set, bool *marked)
{
    n->caught = caught;
    say(n);
    *marked = caught && n->ability.state == ABILITY_THERE && n->former;
    if (n->former)
        keep(n, *marked);
    /* What was so before us is the host's to change. */
    return *marked && net_sysctl_keep_has(n->former, setting.path)
               ? net_set_add_setting(set, setting.path, setting.value)
               : 0;
}
