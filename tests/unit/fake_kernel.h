/*
 * A kernel of our own making, for the engine's tests: it holds a set of objects, behaves like Linux
 * where that matters to a plan, and fails when it is told to.
 *
 * What it has from Linux: EXCL and what EEXIST means; routes that go with their device's "up",
 * addresses with their device, queueing with its root; classes that are kept by filters and made at
 * the root when their parent is absent; rules that are removed by what the request carries.
 */
#ifndef TESTS_FAKE_KERNEL_H
#define TESTS_FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/kernel.h"
#include "netlink/monitor.h"

struct fake {
    struct net_set *objects; /* in the order in which they were made */
    uint32_t next_ifindex;
    uint32_t next_position;

    /* Faults; zero is none. */
    int refuse_rc;    /* the next refuse_n operations, from number refuse_at of a call on */
    size_t refuse_at; /* are refused with it */
    size_t refuse_n;
    const struct net_object *cursed; /* this one is never made or changed: cursed_rc */
    int cursed_rc;
    int apply_rc; /* a call ends with it when apply_after operations are done */
    size_t apply_after;
    unsigned int apply_times; /* so many calls */
    int dump_rc;              /* a dump fails with it */
    unsigned int dump_times;
    void (*before_op)(struct fake *fake); /* somebody else is at work, too */

    struct net_monitor_news news; /* what the monitor will read, once */
    int news_rc;

    /* What it saw. */
    size_t applied; /* operations that were carried out */
    size_t asked;   /* operations that came */
    size_t dumps;
};

void fake_init(struct fake *fake);
void fake_clear(struct fake *fake);
struct net_kernel fake_kernel(struct fake *fake);

/** fake_add() - put an object there, as if it had always been. */
void fake_add(struct fake *fake, const struct net_object *object);
/** fake_link() - put a link there.  Return: its index. */
uint32_t fake_link(struct fake *fake, const char *name, const char *kind, const char *alias,
                   bool up);
/** fake_remove() - somebody removes an object. */
void fake_remove(struct fake *fake, const struct net_object *id);
/** fake_set_up() - somebody takes a link up or down. */
void fake_set_up(struct fake *fake, const char *name, bool up);
/** fake_find() - the object with that identity, or NULL. */
const struct net_object *fake_find(const struct fake *fake, const struct net_object *id);

#endif
