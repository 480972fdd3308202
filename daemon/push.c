/* Routes that clients are told; see push.h. */
#include "daemon/push.h"

#include "common/control.h"
#include "daemon/server.h"

_Static_assert(CONFIG_PUSH_ROUTES_MAX <= CONTROL_PAGES_MAX * CONTROL_ROUTES_MAX,
               "every route of the configuration has a page");

/* What lies behind the user is at home there, not beyond the tunnel. */
static bool at_home(const struct config_user *conf, const struct ip_prefix *route)
{
    for (size_t i = 0; i < conf->n_networks; i++)
        if (conf->networks[i].len <= route->len &&
            ip_prefix_contains(&conf->networks[i], &route->addr))
            return true;
    return false;
}

void push_page(struct server *s, uint32_t id, uint32_t peer, uint8_t page)
{
    static struct ip_prefix routes[CONFIG_PUSH_ROUTES_MAX]; /* the main thread's alone */
    const struct user *user = users_get(s->users, id);
    uint8_t record[CONTROL_ANSWER_MAX];
    size_t n = 0, len;

    if (!user)
        return;
    for (size_t i = 0; i < s->config->n_push_routes; i++)
        if (!at_home(user->conf, &s->config->push_routes[i]))
            routes[n++] = s->config->push_routes[i];
    len = control_answer_build(record, routes, n, page);
    /* A lane that does not keep up, or a page that is no more: the client asks again. */
    if (len)
        (void)datapath_seal(&s->dp, peer, WIRE_DATA, record, len);
}

void push_request(struct server *s, uint32_t id, uint32_t peer, const uint8_t *record, size_t len)
{
    uint8_t page;

    if (control_request_parse(record, len, &page) == 0)
        push_page(s, id, peer, page);
}
