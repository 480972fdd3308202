/* A snapshot: what is in the kernel of ours; see snapshot.h. */
#include "netlink/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"

/* Links by their index, to name what lies on them. */
struct names {
    const struct net_object **links;
    size_t n;
};

struct reader {
    const struct net_kernel *kernel;
    const struct net_owner *owner;
    const struct net_set *want;
    struct net_snapshot *snapshot;
    struct names names;
    const struct net_object *last; /* the link that was looked up last */
    bool no_memory;
    struct err *err;
};

static void reader_clear(struct reader *r)
{
    free(r->names.links);
}

void net_snapshot_free(struct net_snapshot *snapshot)
{
    if (!snapshot)
        return;
    net_set_free(snapshot->links);
    net_set_free(snapshot->have);
    net_set_free(snapshot->foreign);
    free(snapshot);
}

static int no_memory(const struct reader *r)
{
    return err_set(r->err, -ENOMEM, "reading the kernel's state: out of memory");
}

/* What adds to @out has no words of its own. */
static int dump(const struct reader *r, enum net_kind kind, const struct net_scope *scope,
                struct net_set *out)
{
    int rc = r->kernel->dump(r->kernel->ctx, kind, scope, out, r->err);

    return rc == -ENOMEM ? no_memory(r) : rc;
}

/* ---- links ----------------------------------------------------------------------------------- */

/*
 * Our alias; or none yet, but our group: made by us and left before it got its alias.  Anybody may
 * put a device into a group of that number, so only the kind that the engine makes.
 */
static bool link_is_ours(const struct net_owner *owner, const struct net_link *link)
{
    if (link->alias[0])
        return strcmp(link->alias, owner->alias) == 0;
    return strcmp(link->kind, "ifb") == 0 && link->group == owner->protocol;
}

static int cmp_index(const void *left, const void *right)
{
    const struct net_object *const *a = left, *const *b = right;

    return ((*a)->link.ifindex > (*b)->link.ifindex) - ((*a)->link.ifindex < (*b)->link.ifindex);
}

static const struct net_object *link_by_index(struct reader *r, uint32_t ifindex)
{
    size_t low = 0, high = r->names.n;

    /* Most objects are on the same link as the one before. */
    if (r->last && r->last->link.ifindex == ifindex)
        return r->last;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct net_object *link = r->names.links[mid];

        if (link->link.ifindex == ifindex)
            return r->last = link;
        if (link->link.ifindex < ifindex)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int index_links(struct reader *r)
{
    const struct net_set *links = r->snapshot->links;

    r->names.links = reallocarray(NULL, net_set_count(links) + 1, sizeof(*r->names.links));
    if (!r->names.links)
        return no_memory(r);
    for (size_t i = 0; i < net_set_count(links); i++)
        r->names.links[r->names.n++] = net_set_at(links, i);
    qsort(r->names.links, r->names.n, sizeof(*r->names.links), cmp_index);
    return 0;
}

static int read_links(struct reader *r)
{
    const struct net_scope scope = {0};
    struct net_set *links = r->snapshot->links;
    int rc = dump(r, NET_KIND_LINK, &scope, links);

    if (rc < 0)
        return rc;
    if (net_set_sort_all(links) < 0)
        return no_memory(r);
    for (size_t i = 0; i < net_set_count(links); i++) {
        const struct net_object *link = net_set_at(links, i);

        if (link_is_ours(r->owner, &link->link) && net_set_add(r->snapshot->have, link) < 0)
            return no_memory(r);
    }
    return index_links(r);
}

/* ---- what is whose --------------------------------------------------------------------------- */

enum whose {
    WHOSE_OURS,
    WHOSE_FOREIGN, /* and of interest */
    WHOSE_NOBODYS, /* foreign, and none of our business */
};

/* The kernel makes them by itself on a link that is up, and would make them again. */
static bool is_link_local(const struct ip_addr *addr)
{
    return addr->family == 6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

static enum whose whose_addr(const struct net_owner *owner, const struct net_object *link,
                             const struct net_addr *addr)
{
    if (addr->protocol == owner->protocol)
        return WHOSE_OURS;
    if (link && link_is_ours(owner, &link->link) && !is_link_local(&addr->prefix.addr))
        return WHOSE_OURS;
    return WHOSE_NOBODYS;
}

static enum whose whose_is(const struct reader *r, const struct net_object *object,
                           const struct net_object *link)
{
    switch (object->kind) {
    case NET_KIND_LINK:
        return WHOSE_NOBODYS; /* read already */
    case NET_KIND_FIREWALL:
        return strcmp(object->firewall->owner, r->owner->alias) == 0 ? WHOSE_OURS : WHOSE_FOREIGN;
    case NET_KIND_SETTING:
        return WHOSE_OURS;
    case NET_KIND_ADDR:
        return whose_addr(r->owner, link, &object->addr);
    case NET_KIND_ROUTE:
        return object->route.protocol == r->owner->protocol ? WHOSE_OURS : WHOSE_NOBODYS;
    case NET_KIND_RULE:
        /* With something we never write, it is not ours, whatever number it carries. */
        return object->rule.protocol == r->owner->protocol && !object->rule.has_more
                   ? WHOSE_OURS
                   : WHOSE_FOREIGN;
    case NET_KIND_QDISC:
    case NET_KIND_CLASS:
    case NET_KIND_FILTER:
        return link && link_is_ours(r->owner, &link->link) ? WHOSE_OURS : WHOSE_NOBODYS;
    case NET_KINDS:
        break;
    }
    return WHOSE_NOBODYS;
}

/* Name its devices.  Return: the link it lies on. */
static const struct net_object *name_devices(struct reader *r, struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);
    const struct net_object *link = NULL, *second;
    uint32_t *other = NULL;
    char *name = noun->other_dev ? noun->other_dev(object, &other) : NULL;

    if (noun->ifindex)
        link = link_by_index(r, *noun->ifindex(object));
    if (link)
        memcpy(object->dev, link->link.name, sizeof(object->dev));
    second = name ? link_by_index(r, *other) : NULL;
    if (second)
        memcpy(name, second->link.name, IFNAMSIZ);
    return link;
}

/* Ours stays where it was read; what of others matters is put aside. */
static bool keep_ours(struct net_object *object, void *ctx)
{
    struct reader *r = ctx;
    const struct net_object *link = name_devices(r, object);
    enum whose whose = whose_is(r, object, link);

    if (whose == WHOSE_FOREIGN && net_set_add(r->snapshot->foreign, object) < 0)
        r->no_memory = true;
    return whose == WHOSE_OURS;
}

static int read_kind(struct reader *r, enum net_kind kind, const struct net_scope *scope)
{
    struct net_set *have = r->snapshot->have;
    size_t first = net_set_count(have);
    int rc = dump(r, kind, scope, have);

    if (rc < 0)
        return rc;
    net_set_filter(have, first, keep_ours, r);
    return r->no_memory ? no_memory(r) : 0;
}

/* ---- traffic control: classes and filters of our devices' qdiscs ----------------------------- */

static int read_below(struct reader *r, const struct net_qdisc *qdisc)
{
    struct net_scope scope = {.ifindex = qdisc->ifindex, .parent = qdisc->handle};
    int rc = 0;

    switch (qdisc->kind) {
    case NET_QDISC_HTB:
        rc = read_kind(r, NET_KIND_CLASS, &scope);
        return rc < 0 ? rc : read_kind(r, NET_KIND_FILTER, &scope);
    case NET_QDISC_INGRESS:
        return read_kind(r, NET_KIND_FILTER, &scope);
    case NET_QDISC_CLSACT:
        scope.parent = NET_TC_CLSACT_INGRESS;
        rc = read_kind(r, NET_KIND_FILTER, &scope);
        scope.parent = NET_TC_CLSACT_EGRESS;
        return rc < 0 ? rc : read_kind(r, NET_KIND_FILTER, &scope);
    case NET_QDISC_FQ_CODEL:
    case NET_QDISC_BFIFO:
    case NET_QDISC_TBF:
    case NET_QDISC_OTHER:
        break;
    }
    return 0;
}

static int read_traffic_control(struct reader *r)
{
    const struct net_scope scope = {0};
    struct net_set *have = r->snapshot->have;
    size_t first = net_set_count(have), end;
    int rc;

    /* Without a device of ours there is no qdisc of ours. */
    if (first == 0 || net_set_at(have, 0)->kind != NET_KIND_LINK)
        return 0;
    rc = read_kind(r, NET_KIND_QDISC, &scope);
    end = net_set_count(have);
    for (size_t i = first; rc == 0 && i < end; i++) {
        const struct net_qdisc qdisc = net_set_at(have, i)->qdisc;

        rc = read_below(r, &qdisc);
    }
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int read_all(struct reader *r)
{
    const struct net_scope any = {0};
    const struct net_scope ours = {.protocol = r->owner->protocol,
                                   .want = r->want,
                                   .nft_table = r->owner->table,
                                   .nft_owner = r->owner->alias};
    int rc = read_links(r);

    if (rc == 0)
        rc = read_kind(r, NET_KIND_FIREWALL, &ours);
    if (rc == 0)
        rc = read_kind(r, NET_KIND_SETTING, &ours);
    if (rc == 0)
        rc = read_kind(r, NET_KIND_ADDR, &any);
    if (rc == 0)
        rc = read_kind(r, NET_KIND_ROUTE, &ours);
    if (rc == 0)
        rc = read_kind(r, NET_KIND_RULE, &any);
    if (rc == 0)
        rc = read_traffic_control(r);
    if (rc == 0 &&
        (net_set_sort_all(r->snapshot->have) < 0 || net_set_sort_all(r->snapshot->foreign) < 0))
        rc = no_memory(r);
    return rc;
}

int net_snapshot_take(const struct net_kernel *kernel, const struct net_owner *owner,
                      const struct net_set *want, struct net_snapshot **out, struct err *err)
{
    struct net_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct reader r = {
        .kernel = kernel, .owner = owner, .want = want, .snapshot = snapshot, .err = err};
    int rc;

    if (!snapshot)
        return no_memory(&r);
    snapshot->links = net_set_new();
    snapshot->have = net_set_new();
    snapshot->foreign = net_set_new();
    rc = snapshot->links && snapshot->have && snapshot->foreign ? read_all(&r) : no_memory(&r);
    reader_clear(&r);
    if (rc < 0)
        net_snapshot_free(snapshot);
    else
        *out = snapshot;
    return rc;
}

static int look_table(struct reader *r, uint32_t table)
{
    _cleanup_(net_set_freep) struct net_set *all = net_set_new();
    const struct net_scope scope = {.table = table};
    int rc;

    if (!all)
        return no_memory(r);
    rc = dump(r, NET_KIND_ROUTE, &scope, all);
    for (size_t i = 0; rc == 0 && i < net_set_count(all); i++) {
        struct net_object *route = net_set_edit(all, i);

        if (route->route.protocol == r->owner->protocol || route->route.table != table)
            continue;
        name_devices(r, route);
        if (net_set_add(r->snapshot->foreign, route) < 0)
            rc = no_memory(r);
    }
    return rc;
}

static bool stands(const struct net_snapshot *snapshot, const struct net_object *want)
{
    const struct net_object *have = net_set_find(snapshot->have, want);

    return have && net_object_same(want, have);
}

int net_snapshot_look(const struct net_kernel *kernel, const struct net_owner *owner,
                      const struct net_set *want, struct net_snapshot *snapshot, struct err *err)
{
    _cleanup_(reader_clear) struct reader r = {
        .kernel = kernel, .owner = owner, .want = want, .snapshot = snapshot, .err = err};
    uint32_t looked = 0;
    int rc = index_links(&r);

    /* Sorted: the routes of a table follow each other. */
    for (size_t i = 0; rc == 0 && i < net_set_count(want); i++) {
        const struct net_object *object = net_set_at(want, i);

        if (object->kind != NET_KIND_ROUTE || object->route.table == looked ||
            stands(snapshot, object))
            continue;
        looked = object->route.table;
        rc = look_table(&r, looked);
    }
    if (rc == 0 && net_set_sort_all(snapshot->foreign) < 0)
        rc = no_memory(&r);
    return rc;
}
