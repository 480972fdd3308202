/* The UDP addresses that the server listens on; see listen.h. */
#include "daemon/listen.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "daemon/server.h"

static bool is_any(const struct ip_addr *addr)
{
    static const uint8_t any[16];

    return memcmp(addr->bytes, any, sizeof(any)) == 0;
}

/* A machine without IPv6 is served over IPv4 when the file did not insist on an address. */
static bool may_skip(const struct ip_endpoint *listen, int rc)
{
    return rc == -EAFNOSUPPORT && is_any(&listen->addr);
}

static int open_group(struct server *s, const struct ip_endpoint *listen, struct err *err)
{
    char text[IP_ENDPOINT_STRLEN];
    int steered = 0, rc = datapath_listen(&s->dp, listen, &steered, err);

    if (rc < 0 && may_skip(listen, rc)) {
        log_warning("IPv%u is not available here: not listening on it", listen->addr.family);
        return 0;
    }
    if (rc < 0)
        return rc;
    if (steered < 0)
        log_warning("packets cannot be steered to lanes by the kernel (%s); lanes hand them over "
                    "to each other, which is slower, and logins wait behind packets",
                    strerror(-steered));
    log_info("UDP server listening on %s", ip_endpoint_format(listen, text));
    return 0;
}

static bool has(const struct config *config, const struct ip_endpoint *listen)
{
    for (size_t i = 0; i < config->n_listen; i++)
        if (ip_endpoint_equal(&config->listen[i], listen))
            return true;
    return false;
}

static bool listens_anywhere(const struct server *s)
{
    for (uint32_t i = 0; i < s->dp.n_sockets; i++)
        if (s->dp.listening[i].addr.family)
            return true;
    return false;
}

/* Those of @now that are not of @then; NULL: all. */
static int open_groups(struct server *s, const struct config *now, const struct config *then,
                       struct err *err)
{
    for (size_t i = 0; i < now->n_listen; i++) {
        int rc = then && has(then, &now->listen[i]) ? 0 : open_group(s, &now->listen[i], err);

        if (rc < 0)
            return rc;
    }
    if (!listens_anywhere(s))
        return err_set(err, -EAFNOSUPPORT, "no listen address of the configuration is usable here");
    return 0;
}

int listen_open(struct server *s, struct err *err)
{
    return open_groups(s, s->config, NULL, err);
}

bool listen_differs(const struct config *a, const struct config *b)
{
    for (size_t i = 0; a->n_listen == b->n_listen && i < a->n_listen; i++)
        if (!has(b, &a->listen[i]))
            return true;
    return a->n_listen != b->n_listen;
}

/* Close what @keep does not have; of which family they were is noted. */
static void close_groups(struct server *s, const struct config *keep,
                         uint8_t families[DP_MAX_SOCKETS])
{
    for (uint32_t i = 0; i < s->dp.n_sockets; i++) {
        const struct ip_endpoint *at = &s->dp.listening[i];

        if (!at->addr.family || has(keep, at))
            continue;
        families[i] = at->addr.family;
        datapath_unlisten(&s->dp, i);
    }
}

static uint32_t group_of_family(const struct server *s, uint8_t family)
{
    for (uint32_t i = 0; i < s->dp.n_sockets; i++)
        if (s->dp.listening[i].addr.family == family)
            return i;
    return UINT32_MAX;
}

/* A client follows its server when an authentic packet comes from elsewhere: send one. */
static void rehome(struct server *s, uint32_t group, uint8_t family)
{
    const bool reused = s->dp.listening[group].addr.family == family;
    const uint32_t to = reused ? group : group_of_family(s, family);
    const struct server_session *session = NULL;

    if (to == UINT32_MAX)
        return;
    while ((session = sessions_each(s->sessions, (struct server_session *)(uintptr_t)session)) !=
           NULL) {
        struct dp_peer *peer = peers_get(&s->dp.peers, session->peer);

        if (peer)
            (void)peer_rehome(peer, group, to, is_any(&s->dp.listening[to].addr));
    }
}

int listen_change(struct server *s, const struct config *then, const struct config *now,
                  struct err *err)
{
    uint8_t families[DP_MAX_SOCKETS] = {0};
    struct err again;
    int rc;

    close_groups(s, now, families);
    rc = open_groups(s, now, then, err);
    if (rc < 0) {
        uint8_t unused[DP_MAX_SOCKETS];

        close_groups(s, then, unused);
        if (open_groups(s, then, now, &again) < 0)
            log_error("the former address cannot be listened on again: %s", again.msg);
    }
    for (uint32_t i = 0; i < DP_MAX_SOCKETS; i++)
        if (families[i])
            rehome(s, i, families[i]);
    return rc;
}
