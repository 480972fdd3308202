/*
 * The engine: keeps the kernel equal to a set of wanted objects.
 *
 *     struct net_set *want = net_set_new();
 *     net_set_add_link(want, &(struct net_link){.name = "tun0", .kind = "tun", .mtu = 1400,
 *                                               .ip6ll = NET_IP6LL_NONE, .up = true});
 *     net_set_add_addr(want, "tun0", &(struct net_addr){.prefix = ..., .no_prefix_route = true});
 *     net_set_add_route(want, "tun0", &(struct net_route){.dst = ..., .table = 101});
 *     net_set_add_rule(want, &(struct net_rule){.family = 4, .priority = 10101, ...});
 *     net_reconciler_want(r, want, now_ms);       // and free your set
 *
 * in the loop:  watch net_reconciler_fd(); wake up at net_reconciler_deadline(); then, whichever it
 * was, net_reconciler_service(r, now_ms).
 *
 * What the owner leaves open is filled in: the owner's protocol in addresses, routes and rules, the
 * alias in links, table main in routes.  An object whose device or next hop is missing *waits*; it
 * is set as soon as it can be.  A TUN device cannot be made through netlink: want its link, make it
 * with tun.h, set its alias at once (then it is ours), and the rest follows by itself.
 *
 * When it runs: a moment (100 ms) after news of a change in what is ours, after a new wish at once,
 * when news was lost, and every interval.  What others changed (drift) is put right, reported once
 * and counted.  An object that is changed again and again is put right less and less often, up to
 * once a minute.
 *
 * One thread; nothing here waits for anything but the kernel's answer, which comes at once.
 */
#ifndef NETLINK_RECONCILE_H
#define NETLINK_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "netlink/apply.h"
#include "netlink/kernel.h"
#include "netlink/plan.h"
#include "netlink/set.h"

struct net_reconciler;

enum net_drift {
    NET_DRIFT_REPAIR,
    NET_DRIFT_REPORT, /* say what others changed, and leave it; new wishes are still carried out */
};

enum net_news {
    NET_NEWS_DRIFT,   /* "rule ... was removed (by process 812, perhaps): put back" */
    NET_NEWS_FIGHT,   /* "rule ... is changed again and again ...: next repair in 8 s" */
    NET_NEWS_REFUSED, /* the kernel does not take an object, in its words */
    NET_NEWS_CLASH,   /* somebody else's object is in the place of ours */
    NET_NEWS_WAITING, /* an object has to wait, and for what */
    NET_NEWS_ARRIVED, /* it waits no more */
    NET_NEWS_FAILED,  /* the kernel could not be read or did not keep what was set */
    NET_NEWS_AGAIN,   /* after that: all is well again */
};

/** net_news_fn - one line worth logging; each state of things is told once. */
typedef void net_news_fn(void *ctx, enum net_news kind, const char *text);

struct net_reconciler_config {
    struct net_owner owner;
    enum net_drift drift;
    uint32_t interval_ms; /* 0: only on events */
    net_news_fn *news;    /* may be NULL */
    void *news_ctx;
};

struct net_reconciler_status {
    uint64_t runs;       /* times the kernel was compared with the wish */
    uint64_t operations; /* sent */
    uint64_t drifts;     /* objects that others had changed */
    uint64_t resyncs;    /* times news was lost */
    uint32_t wanted;     /* objects */
    uint32_t waiting;
    uint32_t refused;
    uint32_t clashes;
    uint32_t drifted;       /* objects that differ now: fought over, or drift is only reported */
    bool in_sync;           /* the last run ended with nothing refused, clashing or drifted */
    uint64_t last_run_ms;   /* on the caller's clock */
    uint64_t last_drift_ms; /* 0: never */
    char error[256];        /* of the last run, empty when it went well */
};

/**
 * net_reconciler_new() - an engine that wants nothing yet and touches nothing
 * @kernel: from net_kernel_open(); copied, and to be closed after the engine is freed
 *
 * Nothing is removed before the first net_reconciler_want().
 *
 * Return: 0 or -errno.
 */
int net_reconciler_new(const struct net_kernel *kernel, const struct net_reconciler_config *config,
                       struct net_reconciler **out, struct err *err);
/** net_reconciler_free() - the kernel's state stays as it is; NULL is allowed. */
void net_reconciler_free(struct net_reconciler *r);

/** net_reconciler_configure() - another drift policy or interval; the owner stays the same. */
void net_reconciler_configure(struct net_reconciler *r, enum net_drift drift, uint32_t interval_ms);

/** net_reconciler_fd() - watch it for reading; -1 without a monitor. */
int net_reconciler_fd(const struct net_reconciler *r);
/** net_reconciler_deadline() - when to call service at the latest; UINT64_MAX: no need. */
uint64_t net_reconciler_deadline(const struct net_reconciler *r);
/** net_reconciler_service() - take the news, and run if it is time. */
void net_reconciler_service(struct net_reconciler *r, uint64_t now_ms);

/**
 * net_reconciler_want() - replace the wish; carried out at the next service, as far as it can be
 * @want: copied
 *
 * For changes that come by themselves (a session up or down): an object that is refused is
 * reported and does not keep the others from being set.
 *
 * Return: 0, -EEXIST when two objects in @want have one identity and differ (@err shows both; the
 * first counts), or -ENOMEM and nothing is changed.
 */
int net_reconciler_want(struct net_reconciler *r, const struct net_set *want, uint64_t now_ms,
                        struct err *err);

/**
 * net_reconciler_plan() - what carrying out @want would do; nothing is changed
 * @out: with clashes looked for in whole tables; free it with net_plan_free()
 */
int net_reconciler_plan(struct net_reconciler *r, const struct net_set *want, struct net_plan **out,
                        struct err *err);

/**
 * net_reconciler_apply() - carry out @want now, wholly or not at all
 * @outcome: may be NULL; for what is left see net_reconciler_last(), here .last is NULL
 *
 * For what an operator asked for.  On success @want is the wish from here on.  On failure the
 * kernel is as before, the former wish stays, and @err says what was refused and why.
 */
int net_reconciler_apply(struct net_reconciler *r, const struct net_set *want, uint64_t now_ms,
                         struct net_outcome *outcome, struct err *err);

void net_reconciler_status(const struct net_reconciler *r, struct net_reconciler_status *out);

/** net_reconciler_last() - the last run's plan: what waits, clashes or is open.  NULL: none yet. */
const struct net_plan *net_reconciler_last(const struct net_reconciler *r);

#endif
