/* Can the kernel do a rule of the packet filter?  See ability.h. */
#include "client/ability.h"

#include <errno.h>
#include <string.h>

#include "netlink/nft.h"

#define AGAIN_MS 5000

static bool is_passing(int rc)
{
    switch (-rc) {
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EINTR:
    case EMFILE:
    case ENFILE:
    case ETIMEDOUT:
    case EIO:
    case EEXIST: /* somebody else's table */
        return true;
    default:
        return false;
    }
}

bool ability_ask(struct ability *a, const struct net_fw_rule *rule, bool alone, uint64_t now_ms)
{
    const struct ability former = *a;
    int rc;

    *a = (struct ability){.asked_ms = now_ms};
    rc = net_nft_able(rule, &a->why);
    if (rc == 0 && alone)
        rc = net_nft_vacant(NET_FW_TABLE_CLIENT, NET_FW_OWNER_CLIENT, &a->why);
    if (rc < 0)
        a->state = is_passing(rc) ? ABILITY_UNKNOWN : ABILITY_MISSING;
    return a->state != former.state || strcmp(a->why.msg, former.why.msg) != 0;
}

uint64_t ability_due(const struct ability *a)
{
    return a->state == ABILITY_UNKNOWN ? a->asked_ms + AGAIN_MS : UINT64_MAX;
}
