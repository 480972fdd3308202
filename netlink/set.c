/* Sets of kernel objects; see set.h. */
#include "netlink/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"

struct net_set {
    struct net_object *objects;
    size_t n, size;
};

struct net_set *net_set_new(void)
{
    return calloc(1, sizeof(struct net_set));
}

static void object_clear(struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);

    if (noun->clear)
        noun->clear(object);
}

/* A copy that shares nothing with @from. */
static int object_copy(struct net_object *to, const struct net_object *from)
{
    const struct net_noun *noun = net_noun_of(from->kind);

    *to = *from;
    return noun->own ? noun->own(to) : 0;
}

void net_set_free(struct net_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++)
        object_clear(&set->objects[i]);
    free(set->objects);
    free(set);
}

void net_set_freep(struct net_set **set)
{
    net_set_free(*set);
}

static int set_reserve(struct net_set *set, size_t n)
{
    size_t size = set->size ? set->size : 16;
    struct net_object *objects;

    if (n <= set->size)
        return 0;
    while (size < n)
        size *= 2;
    objects = reallocarray(set->objects, size, sizeof(*objects));
    if (!objects)
        return -ENOMEM;
    set->objects = objects;
    set->size = size;
    return 0;
}

struct net_set *net_set_copy(const struct net_set *set)
{
    _cleanup_(net_set_freep) struct net_set *copy = net_set_new();

    if (!copy || set_reserve(copy, set->n) < 0)
        return NULL;
    for (; copy->n < set->n; copy->n++)
        if (object_copy(&copy->objects[copy->n], &set->objects[copy->n]) < 0)
            return NULL;
    return TAKE(copy);
}

int net_set_add(struct net_set *set, const struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);

    if (object->dev[0] && !net_ifname_valid(object->dev))
        return -EINVAL;
    if (set_reserve(set, set->n + 1) < 0 || object_copy(&set->objects[set->n], object) < 0)
        return -ENOMEM;
    if (noun->normalize)
        noun->normalize(&set->objects[set->n]);
    set->n++;
    return 0;
}

static int add_on(struct net_set *set, struct net_object *object, const char *dev)
{
    if (dev && !net_ifname_valid(dev))
        return -EINVAL;
    if (dev)
        memcpy(object->dev, dev, strlen(dev) + 1);
    return net_set_add(set, object);
}

int net_set_add_link(struct net_set *set, const struct net_link *link)
{
    struct net_object object = {.kind = NET_KIND_LINK, .link = *link};

    return add_on(set, &object, link->name);
}

int net_set_add_firewall(struct net_set *set, const struct net_firewall *firewall)
{
    struct net_firewall copy = *firewall;

    if (firewall->n == 0 && !firewall->has_more)
        return 0;
    return net_set_add(set, &(struct net_object){.kind = NET_KIND_FIREWALL, .firewall = &copy});
}

int net_set_add_setting(struct net_set *set, const char *path, const char *value)
{
    struct net_object object = {.kind = NET_KIND_SETTING};
    size_t path_len = strlen(path), value_len = strlen(value);

    if (path_len >= sizeof(object.setting.path) || value_len >= sizeof(object.setting.value))
        return -EINVAL;
    memcpy(object.setting.path, path, path_len);
    memcpy(object.setting.value, value, value_len);
    return net_set_add(set, &object);
}

int net_set_add_addr(struct net_set *set, const char *dev, const struct net_addr *addr)
{
    struct net_object object = {.kind = NET_KIND_ADDR, .addr = *addr};

    return add_on(set, &object, dev);
}

int net_set_add_route(struct net_set *set, const char *dev, const struct net_route *route)
{
    struct net_object object = {.kind = NET_KIND_ROUTE, .route = *route};

    return add_on(set, &object, dev);
}

int net_set_add_rule(struct net_set *set, const struct net_rule *rule)
{
    struct net_object object = {.kind = NET_KIND_RULE, .rule = *rule};

    return net_set_add(set, &object);
}

int net_set_add_qdisc(struct net_set *set, const char *dev, const struct net_qdisc *qdisc)
{
    struct net_object object = {.kind = NET_KIND_QDISC, .qdisc = *qdisc};

    return add_on(set, &object, dev);
}

int net_set_add_class(struct net_set *set, const char *dev, const struct net_class *cls)
{
    struct net_object object = {.kind = NET_KIND_CLASS, .cls = *cls};

    return add_on(set, &object, dev);
}

int net_set_add_filter(struct net_set *set, const char *dev, const struct net_filter *filter)
{
    struct net_object object = {.kind = NET_KIND_FILTER, .filter = *filter};

    return add_on(set, &object, dev);
}

static int compare(const void *a, const void *b)
{
    return net_object_cmp_id(a, b);
}

/* By identity; among equals the order in which they were added. */
static int compare_places(const void *a, const void *b)
{
    const struct net_object *const *left = a, *const *right = b;
    int order = net_object_cmp_id(*left, *right);

    return order ? order : (*left > *right) - (*left < *right);
}

static bool is_sorted(const struct net_set *set)
{
    for (size_t i = 1; i < set->n; i++)
        if (net_object_cmp_id(&set->objects[i - 1], &set->objects[i]) > 0)
            return false;
    return true;
}

int net_set_sort_all(struct net_set *set)
{
    _cleanup_(free_p) const struct net_object **places = NULL;
    struct net_object *sorted;

    if (is_sorted(set))
        return 0;
    places = reallocarray(NULL, set->n, sizeof(*places));
    sorted = reallocarray(NULL, set->size, sizeof(*sorted));
    if (!places || !sorted) {
        free(sorted);
        return -ENOMEM;
    }
    for (size_t i = 0; i < set->n; i++)
        places[i] = &set->objects[i];
    qsort(places, set->n, sizeof(*places), compare_places);
    for (size_t i = 0; i < set->n; i++)
        sorted[i] = *places[i];
    free(set->objects);
    set->objects = sorted;
    return 0;
}

int net_set_sort(struct net_set *set, struct err *err)
{
    size_t kept = 0;
    int rc = net_set_sort_all(set);

    if (rc < 0)
        return err_set(err, rc, "out of memory");
    for (size_t i = 0; i < set->n; i++) {
        struct net_object *object = &set->objects[i];
        const struct net_object *former = kept ? &set->objects[kept - 1] : NULL;
        char text[NET_FORMAT_SIZE], other[NET_FORMAT_SIZE];

        if (!former || net_object_cmp_id(former, object) != 0) {
            set->objects[kept++] = *object;
            continue;
        }
        if (rc == 0 && !net_object_same(object, former))
            rc = err_set(err, -EEXIST, "%s and %s exclude each other",
                         net_object_format(former, text), net_object_format(object, other));
        object_clear(object);
    }
    set->n = kept;
    return rc;
}

void net_set_filter(struct net_set *set, size_t first, net_set_keep *keep, void *ctx)
{
    size_t kept = first;

    for (size_t i = first; i < set->n; i++) {
        struct net_object *object = &set->objects[i];

        if (!keep(object, ctx)) {
            object_clear(object);
            continue;
        }
        if (kept != i)
            set->objects[kept] = *object;
        kept++;
    }
    set->n = kept < set->n ? kept : set->n;
}

size_t net_set_count(const struct net_set *set)
{
    return set->n;
}

const struct net_object *net_set_at(const struct net_set *set, size_t i)
{
    return i < set->n ? &set->objects[i] : NULL;
}

size_t net_set_place(const struct net_set *set, const struct net_object *object)
{
    return (size_t)(object - set->objects);
}

struct net_object *net_set_edit(struct net_set *set, size_t i)
{
    return i < set->n ? &set->objects[i] : NULL;
}

const struct net_object *net_set_find(const struct net_set *set, const struct net_object *id)
{
    if (set->n == 0)
        return NULL;
    return bsearch(id, set->objects, set->n, sizeof(*set->objects), compare);
}
