/* A server's name to addresses, on the helper thread; see resolve.h. */
#include "client/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_MAX 253

struct resolve {
    struct helper_job job; /* first: the helper hands this back */
    const struct dns *dns;
    resolve_done *done;
    void *ctx;
    char host[HOST_MAX + 1];
    struct resolve_result result;
};

void resolve_alternate(struct ip_addr *addrs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t j = i;
        struct ip_addr other;

        while (j < n && addrs[j].family == addrs[i - 1].family)
            j++;
        if (j == n)
            return; /* one family alone is left */
        other = addrs[j];
        memmove(&addrs[i + 1], &addrs[i], (j - i) * sizeof(*addrs));
        addrs[i] = other;
    }
}

static void add(struct resolve_result *result, const struct addrinfo *ai)
{
    struct sockaddr_storage ss = {0};
    struct ip_endpoint ep;

    if (ai->ai_addrlen > sizeof(ss))
        return;
    memcpy(&ss, ai->ai_addr, ai->ai_addrlen);
    if (ip_endpoint_from_sockaddr(&ss, &ep) == 0)
        result->addrs[result->n++] = ep.addr;
}

static void ask_system(struct resolve *r)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    const struct addrinfo *ai;
    int rc = getaddrinfo(r->host, NULL, &hints, &list);

    for (ai = list; rc == 0 && ai && r->result.n < RESOLVE_MAX; ai = ai->ai_next)
        add(&r->result, ai);
    if (rc == EAI_SYSTEM)
        snprintf(r->result.why, sizeof(r->result.why), "%s", strerror(errno));
    else if (rc != 0)
        snprintf(r->result.why, sizeof(r->result.why), "%s", gai_strerror(rc));
    else if (r->result.n == 0)
        snprintf(r->result.why, sizeof(r->result.why), "it has no address");
    if (rc == 0)
        freeaddrinfo(list);
}

static void work(struct helper_job *job)
{
    struct resolve *r = (struct resolve *)job;
    struct err err;

    if (dns_lookup(r->dns, r->host, r->result.addrs, RESOLVE_MAX, &r->result.n, &err) < 0)
        ask_system(r);
    resolve_alternate(r->result.addrs, r->result.n);
}

static void done(struct helper_job *job, bool cancelled)
{
    struct resolve *r = (struct resolve *)job;

    if (!cancelled)
        r->done(r->ctx, &r->result);
    free(r);
}

int resolve_start(struct helper *helper, const struct dns *dns, const char *host,
                  resolve_done *callback, void *ctx)
{
    struct resolve *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->job = (struct helper_job){.work = work, .done = done};
    r->dns = dns;
    r->done = callback;
    r->ctx = ctx;
    snprintf(r->host, sizeof(r->host), "%s", host);
    helper_submit(helper, &r->job);
    return 0;
}
