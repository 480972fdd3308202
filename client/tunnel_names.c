/*
 * The name servers that a server names.
 *
 * They are not applied: which resolver a host has, and whom it may ask, is its operator's to say.
 * He is told which they are and how to follow, once for each set of them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/tunnel.h"
#include "common/cleanup.h"

#define RESOLVED "/run/systemd/resolve"

/* Once for each set of servers.  Return: their addresses in @text, or false for none that is new.
 */
static bool new_name_servers(struct tunnel *t, char *text, size_t size)
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
        snprintf(text + used, size - used, " %s", ip_addr_format(&addrs[i], addr));
        fresh = fresh || !ip_addr_equal(&addrs[i], &t->dns_said[i]);
        t->dns_said[i] = addrs[i];
    }
    return fresh;
}

void tunnel_say_names(struct tunnel *t)
{
    const struct routing *routing = &t->netstate.routing;
    const char *device = t->profile->device;
    char servers[2 * IP_ADDR_STRLEN + 4], line[384];

    if (!new_name_servers(t, servers, sizeof(servers)))
        return;
    if (access(RESOLVED, F_OK) < 0) {
        snprintf(line, sizeof(line),
                 "the server names name servers (%s), which are not applied: to use them, write "
                 "\"nameserver ADDRESS\" for each into /etc/resolv.conf, before the others",
                 servers + 1);
        tunnel_line(t, LOG_LEVEL_INFO, line);
        return;
    }
    snprintf(line, sizeof(line),
             "the server names name servers (%s), which are not applied: to use them, run "
             "`resolvectl dns %s%s`",
             servers + 1, device, servers);
    tunnel_line(t, LOG_LEVEL_INFO, line);
    if (!routing_has_default(routing->routes, routing->n_routes))
        return;
    snprintf(line, sizeof(line), "and for all names `resolvectl domain %s ~.`", device);
    tunnel_line(t, LOG_LEVEL_INFO, line);
}
