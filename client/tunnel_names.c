/*
 * The name servers that a server names.
 *
 * They are not applied: which resolver a host has, and whom it may ask, is its operator's to say.
 * He is told which they are and how to follow, once for each set of them.
 *
 * With a full tunnel that is a warning where systemd-resolved is at work: it asks each link's name
 * servers through that link, from sockets that are bound to its device, and so past all rules.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/tunnel.h"
#include "common/cleanup.h"

#define RESOLVED     "/run/systemd/resolve"
#define SERVERS_SIZE (2 * IP_ADDR_STRLEN + 4)
#define LINE_SIZE    512

/* Each with a blank before it, or the empty text.  Return: are they others than those told of? */
static bool new_name_servers(struct tunnel *t, char text[static SERVERS_SIZE])
{
    const struct ipc_lease *lease = &t->session.lease;
    struct ip_addr addrs[] = {{.family = 4}, {.family = 6}};
    bool fresh = false;

    memcpy(addrs[0].bytes, lease->dns4, sizeof(lease->dns4));
    memcpy(addrs[1].bytes, lease->dns6, sizeof(lease->dns6));
    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
        char addr[IP_ADDR_STRLEN];
        size_t used = strlen(text);

        if (!ip_addr_is_unicast(&addrs[i]))
            continue;
        snprintf(text + used, SERVERS_SIZE - used, " %s", ip_addr_format(&addrs[i], addr));
        fresh = fresh || !ip_addr_equal(&addrs[i], &t->dns_said[i]);
        t->dns_said[i] = addrs[i];
    }
    return fresh;
}

/* By the rules that all of this host's packets meet. */
static bool takes_everything(const struct routing *r)
{
    return !r->has_uids && !r->table && (routing_is_full(r, 4) || routing_is_full(r, 6));
}

static void say_resolved(const struct tunnel *t, const char *servers, bool full)
{
    const char *device = t->profile->device;
    char line[LINE_SIZE];

    if (full)
        snprintf(line, sizeof(line),
                 "names are still looked up beside the tunnel: systemd-resolved asks each link's "
                 "name servers through that link; to have it ask through the tunnel alone, run "
                 "`resolvectl dns %s%s` and `resolvectl domain %s ~.`",
                 device, servers[0] ? servers : " ADDRESS", device);
    else
        snprintf(line, sizeof(line),
                 "the server names name servers (%s), which are not applied: to use them, run "
                 "`resolvectl dns %s%s`",
                 servers + 1, device, servers);
    tunnel_line(t, full ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, line);
}

void tunnel_say_names(struct tunnel *t)
{
    const bool full = takes_everything(&t->netstate.routing);
    char servers[SERVERS_SIZE], line[LINE_SIZE];
    bool fresh = new_name_servers(t, servers);

    fresh = (fresh && servers[0]) || (full && !t->full_said);
    t->full_said = full;
    if (!fresh)
        return;
    if (access(RESOLVED, F_OK) == 0) {
        say_resolved(t, servers, full);
    } else if (servers[0]) {
        snprintf(line, sizeof(line),
                 "the server names name servers (%s), which are not applied: to use them, write "
                 "\"nameserver ADDRESS\" for each into /etc/resolv.conf, before the others",
                 servers + 1);
        tunnel_line(t, LOG_LEVEL_INFO, line);
    }
}
