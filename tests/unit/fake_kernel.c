/* A kernel of our own making; see fake_kernel.h. */
#include "tests/unit/fake_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/noun.h"
#include "netlink/plan_tree.h"

#define NONE SIZE_MAX

static void check(bool good)
{
    if (!good)
        abort();
}

void fake_init(struct fake *fake)
{
    *fake = (struct fake){.objects = net_set_new(), .next_ifindex = 2};
    check(fake->objects != NULL);
    fake_link(fake, "lo", "", "", true);
}

void fake_clear(struct fake *fake)
{
    net_set_free(fake->objects);
    fake->objects = NULL;
}

static size_t count(const struct fake *fake)
{
    return net_set_count(fake->objects);
}

static size_t find_at(const struct fake *fake, const struct net_object *id)
{
    for (size_t i = 0; i < count(fake); i++)
        if (net_object_cmp_id(net_set_at(fake->objects, i), id) == 0)
            return i;
    return NONE;
}

const struct net_object *fake_find(const struct fake *fake, const struct net_object *id)
{
    size_t at = find_at(fake, id);

    return at == NONE ? NULL : net_set_at(fake->objects, at);
}

/* The set without those marked. */
static void sweep(struct fake *fake, const bool *gone)
{
    struct net_set *left = net_set_new();

    check(left != NULL);
    for (size_t i = 0; i < count(fake); i++)
        if (!gone[i])
            check(net_set_add(left, net_set_at(fake->objects, i)) == 0);
    net_set_free(fake->objects);
    fake->objects = left;
}

static struct net_object *find_link(struct fake *fake, const char *name)
{
    for (size_t i = 0; i < count(fake); i++) {
        struct net_object *object = net_set_edit(fake->objects, i);

        if (object->kind == NET_KIND_LINK && strcmp(object->link.name, name) == 0)
            return object;
    }
    return NULL;
}

/* The index of its device, whatever it was made with. */
static void find_device(struct fake *fake, struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);
    const struct net_object *link = object->dev[0] ? find_link(fake, object->dev) : NULL;

    if (noun->ifindex && link && object->kind != NET_KIND_LINK)
        *noun->ifindex(object) = link->link.ifindex;
}

void fake_add(struct fake *fake, const struct net_object *object)
{
    struct net_object *added;

    check(net_set_add(fake->objects, object) == 0);
    added = net_set_edit(fake->objects, count(fake) - 1);
    if (object->kind == NET_KIND_LINK)
        added->link.ifindex = fake->next_ifindex++;
    if (object->kind == NET_KIND_RULE)
        added->rule.position = fake->next_position++;
    find_device(fake, added);
}

uint32_t fake_link(struct fake *fake, const char *name, const char *kind, const char *alias,
                   bool up)
{
    struct net_object object = {.kind = NET_KIND_LINK, .link = {.mtu = 1500, .up = up}};

    snprintf(object.link.name, sizeof(object.link.name), "%s", name);
    snprintf(object.link.kind, sizeof(object.link.kind), "%s", kind);
    snprintf(object.link.alias, sizeof(object.link.alias), "%s", alias);
    fake_add(fake, &object);
    return find_link(fake, name)->link.ifindex;
}

/* ---- consequences ---------------------------------------------------------------------------- */

/* What goes when @top goes: everything on a link, everything below a qdisc or class. */
static void mark_below(const struct fake *fake, size_t top, bool *gone)
{
    const struct net_object *object = net_set_at(fake->objects, top);

    gone[top] = true;
    for (size_t i = 0; i < count(fake); i++) {
        const struct net_object *other = net_set_at(fake->objects, i);
        bool below = false;

        if (gone[i] || strcmp(other->dev, object->dev) != 0 || other->kind == NET_KIND_LINK)
            continue;
        if (object->kind == NET_KIND_LINK)
            below = true;
        else if (object->kind == NET_KIND_QDISC && other->kind == NET_KIND_CLASS)
            below = NET_TC_MAJOR(other->cls.handle) == NET_TC_MAJOR(object->qdisc.handle);
        else if (object->kind == NET_KIND_QDISC && other->kind == NET_KIND_FILTER)
            below = NET_TC_MAJOR(other->filter.parent) == NET_TC_MAJOR(object->qdisc.handle);
        else if (object->kind == NET_KIND_CLASS && other->kind == NET_KIND_QDISC)
            below = other->qdisc.parent == object->cls.handle;
        if (below)
            mark_below(fake, i, gone);
    }
}

static void remove_at(struct fake *fake, size_t at)
{
    bool *gone = calloc(count(fake), sizeof(*gone));

    check(gone != NULL);
    mark_below(fake, at, gone);
    sweep(fake, gone);
    free(gone);
}

void fake_remove(struct fake *fake, const struct net_object *id)
{
    size_t at = find_at(fake, id);

    check(at != NONE);
    remove_at(fake, at);
}

void fake_set_up(struct fake *fake, const char *name, bool up)
{
    bool *gone = calloc(count(fake), sizeof(*gone));

    check(gone != NULL);
    find_link(fake, name)->link.up = up;
    for (size_t i = 0; i < count(fake) && !up; i++) {
        const struct net_object *object = net_set_at(fake->objects, i);

        gone[i] = object->kind == NET_KIND_ROUTE && object->route.dst.addr.family == 4 &&
                  strcmp(object->dev, name) == 0;
    }
    sweep(fake, gone);
    free(gone);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Both verbs of the kernel that know no mark: two rules but for the invert flag are one. */
static bool is_taken(const struct fake *fake, const struct net_object *want)
{
    struct net_object opposite = *want;

    if (find_at(fake, want) != NONE)
        return true;
    if (want->kind != NET_KIND_RULE)
        return false;
    opposite.rule.invert = !opposite.rule.invert;
    return find_at(fake, &opposite) != NONE;
}

static bool has_qdisc(const struct fake *fake, const char *dev, uint32_t handle)
{
    for (size_t i = 0; i < count(fake); i++) {
        const struct net_object *other = net_set_at(fake->objects, i);

        if (other->kind == NET_KIND_QDISC && strcmp(other->dev, dev) == 0 &&
            NET_TC_MAJOR(other->qdisc.handle) == NET_TC_MAJOR(handle))
            return true;
    }
    return false;
}

static bool has_parent(const struct fake *fake, const struct net_object *object)
{
    struct net_object id = {.kind = NET_KIND_CLASS};
    uint32_t parent = object->kind == NET_KIND_CLASS ? object->cls.parent : object->qdisc.parent;

    if (parent == NET_TC_ROOT || parent == NET_TC_INGRESS)
        return true;
    memcpy(id.dev, object->dev, sizeof(id.dev));
    id.cls.handle = parent;
    if (NET_TC_MINOR(parent))
        return find_at(fake, &id) != NONE;
    return has_qdisc(fake, object->dev, parent);
}

/* Everything an object needs before it can be made. */
static int can_be_made(struct fake *fake, const struct net_object *want)
{
    const struct net_object *link = want->dev[0] ? find_link(fake, want->dev) : NULL;

    if (want->kind == NET_KIND_LINK)
        return find_link(fake, want->dev) ? -EEXIST : 0;
    if (want->dev[0] && !link)
        return -ENODEV;
    if (want->kind == NET_KIND_ROUTE && link && !link->link.up)
        return -ENETDOWN;
    if (want->kind == NET_KIND_ROUTE && want->route.via.family && !want->dev[0] &&
        !find_link(fake, "eth0"))
        return -ENETUNREACH;
    if (want->kind == NET_KIND_QDISC && !has_parent(fake, want))
        return -ENOENT;
    if (want->kind == NET_KIND_CLASS && !has_qdisc(fake, want->dev, want->cls.handle))
        return -ENOENT;
    if (want->kind == NET_KIND_FILTER && !has_qdisc(fake, want->dev, want->filter.parent))
        return -ENOENT;
    return is_taken(fake, want) ? -EEXIST : 0;
}

static int make(struct fake *fake, const struct net_object *want)
{
    struct net_object object = *want;
    int rc = can_be_made(fake, want);

    if (rc < 0)
        return rc;
    if (object.kind == NET_KIND_CLASS && !has_parent(fake, want))
        object.cls.parent = NET_TC_HANDLE(NET_TC_MAJOR(object.cls.handle), 0);
    fake_add(fake, &object);
    return 0;
}

static int change(struct fake *fake, const struct net_op *op)
{
    const struct net_noun *noun = net_noun_of(op->want->kind);
    size_t at = find_at(fake, op->want);
    struct net_object before;

    if (at == NONE)
        return -ENOENT;
    check(op->want->kind != NET_KIND_RULE);
    check(!noun->in_place || noun->in_place(op->want, net_set_at(fake->objects, at)));
    before = *net_set_at(fake->objects, at);
    if (before.kind == NET_KIND_LINK) {
        struct net_link *link = &net_set_edit(fake->objects, at)->link;

        link->mtu = op->want->link.mtu ? op->want->link.mtu : link->mtu;
        memcpy(link->alias, op->want->link.alias, sizeof(link->alias));
        if (link->up != op->want->link.up)
            fake_set_up(fake, op->want->dev, op->want->link.up);
        return 0;
    }
    if (op->want->dev[0] && !find_link(fake, op->want->dev))
        return -ENODEV;
    if (op->want->kind == NET_KIND_ROUTE && op->want->dev[0] &&
        !find_link(fake, op->want->dev)->link.up)
        return -ENETDOWN;
    /* What owns memory is put there anew. */
    if (noun->own) {
        remove_at(fake, at);
        fake_add(fake, op->want);
        return 0;
    }
    *net_set_edit(fake->objects, at) = *op->want;
    find_device(fake, net_set_edit(fake->objects, at));
    return 0;
}

static int take_rule(struct fake *fake, const struct net_rule *gone)
{
    for (size_t i = 0; i < count(fake); i++) {
        const struct net_object *object = net_set_at(fake->objects, i);

        if (object->kind == NET_KIND_RULE && net_rule_hits(gone, &object->rule)) {
            remove_at(fake, i);
            return 0;
        }
    }
    return -ENOENT;
}

static bool is_kept(const struct fake *fake, const struct net_object *cls)
{
    for (size_t i = 0; i < count(fake); i++) {
        const struct net_object *object = net_set_at(fake->objects, i);

        if (strcmp(object->dev, cls->dev) != 0)
            continue;
        if (object->kind == NET_KIND_FILTER && object->filter.classid == cls->cls.handle)
            return true;
        if (object->kind == NET_KIND_CLASS && object->cls.parent == cls->cls.handle)
            return true;
    }
    return false;
}

/* A removal says all that is known of the object, so of several it hits the one that is meant. */
static size_t find_exactly(const struct fake *fake, const struct net_object *have)
{
    for (size_t i = 0; i < count(fake); i++)
        if (net_object_cmp_id(net_set_at(fake->objects, i), have) == 0 &&
            net_object_same(have, net_set_at(fake->objects, i)))
            return i;
    return find_at(fake, have);
}

static int unmake(struct fake *fake, const struct net_object *have)
{
    size_t at = find_exactly(fake, have);

    if (have->kind == NET_KIND_RULE)
        return take_rule(fake, &have->rule);
    if (at == NONE)
        return 0;
    if (have->kind == NET_KIND_CLASS && is_kept(fake, have))
        return -EBUSY;
    remove_at(fake, at);
    return 0;
}

static int do_op(struct fake *fake, const struct net_op *op)
{
    switch (op->verb) {
    case NET_CREATE:
        return make(fake, op->want);
    case NET_CHANGE:
        return change(fake, op);
    case NET_DELETE:
        break;
    }
    return unmake(fake, op->have);
}

/* An injected one, or 0. */
static int refusal(struct fake *fake, const struct net_op *op, size_t nth)
{
    if (fake->cursed && op->want && net_object_cmp_id(op->want, fake->cursed) == 0)
        return fake->cursed_rc;
    if (fake->refuse_n == 0 || nth < fake->refuse_at)
        return 0;
    fake->refuse_n--;
    return fake->refuse_rc;
}

static int fake_apply(void *ctx, const struct net_op *ops, size_t n, net_refused *refused,
                      void *refused_ctx, struct err *err)
{
    struct fake *fake = ctx;
    size_t nth = 0;

    for (size_t i = 0; i < n; i++) {
        int rc;

        if (ops[i].implied)
            continue;
        if (fake->apply_times > 0 && nth >= fake->apply_after) {
            fake->apply_times--;
            return err_set(err, fake->apply_rc, "%s", strerror(-fake->apply_rc));
        }
        if (fake->before_op)
            fake->before_op(fake);
        fake->asked++;
        rc = refusal(fake, &ops[i], nth);
        if (rc == 0)
            rc = do_op(fake, &ops[i]);
        nth++;
        if (rc < 0)
            refused(refused_ctx, i, rc, strerror(-rc));
        else
            fake->applied++;
    }
    return 0;
}

static int fake_dump(void *ctx, enum net_kind kind, const struct net_scope *scope,
                     struct net_set *out, struct err *err)
{
    struct fake *fake = ctx;

    fake->dumps++;
    if (fake->dump_times > 0) {
        fake->dump_times--;
        return err_set(err, fake->dump_rc, "%s", strerror(-fake->dump_rc));
    }
    for (size_t i = 0; i < count(fake); i++) {
        struct net_object object = *net_set_at(fake->objects, i);
        const struct net_noun *noun = net_noun_of(kind);

        if (object.kind != kind ||
            (kind == NET_KIND_ROUTE && scope->protocol &&
             object.route.protocol != scope->protocol) ||
            (kind == NET_KIND_SETTING && !(scope->want && net_set_find(scope->want, &object))))
            continue;
        if ((kind == NET_KIND_CLASS &&
             (object.cls.ifindex != scope->ifindex ||
              NET_TC_MAJOR(object.cls.handle) != NET_TC_MAJOR(scope->parent))) ||
            (kind == NET_KIND_FILTER &&
             (object.filter.ifindex != scope->ifindex || object.filter.parent != scope->parent)))
            continue;
        /* The kernel knows numbers. */
        if (noun->ifindex && kind != NET_KIND_LINK)
            object.dev[0] = '\0';
        if (net_set_add(out, &object) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- its monitor: in place of netlink/monitor.c ---------------------------------------------- */

struct net_monitor {
    struct fake *fake;
};

static int fake_listen(void *ctx, const struct net_owner *who, struct net_monitor **out,
                       struct err *err)
{
    struct net_monitor *monitor = calloc(1, sizeof(*monitor));

    (void)who;
    (void)err;
    check(monitor != NULL);
    monitor->fake = ctx;
    *out = monitor;
    return 0;
}

void net_monitor_close(struct net_monitor *monitor)
{
    free(monitor);
}

int net_monitor_fd(const struct net_monitor *monitor)
{
    (void)monitor;
    return -1;
}

int net_monitor_read(struct net_monitor *monitor, struct net_monitor_news *news)
{
    int rc = monitor->fake->news_rc;

    *news = monitor->fake->news;
    monitor->fake->news = (struct net_monitor_news){.changed = false};
    monitor->fake->news_rc = 0;
    return rc;
}

struct net_kernel fake_kernel(struct fake *fake)
{
    return (struct net_kernel){
        .ctx = fake, .dump = fake_dump, .apply = fake_apply, .listen = fake_listen};
}
