/* The engine on a kernel of our own making. */
#include "tests/unit/reconcile_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"

#define ALIAS "vpn-server"

const struct net_owner owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn"};

struct fake fake;
struct net_reconciler *engine;
uint64_t now_ms;
char news[16384];

void add(struct net_set *set, const struct net_object *object, const char *dev)
{
    struct net_object copy = *object;

    if (dev)
        snprintf(copy.dev, sizeof(copy.dev), "%s", dev);
    assert_int_equal(net_set_add(set, &copy), 0);
}

static void add_foreign(void)
{
    struct net_object object = {.kind = NET_KIND_ROUTE, .dev = "eth0"};

    fake_link(&fake, "eth0", "", "", true);
    fake_link(&fake, "tun0", "tun", ALIAS, false);
    fake_add(&fake,
             &(struct net_object){.kind = NET_KIND_SETTING, .setting = {"ipv4/ip_forward", "0"}});
    /* In a group whose number is ours by chance. */
    fake_add(&fake, &(struct net_object){.kind = NET_KIND_LINK,
                                         .link = {.name = "br86",
                                                  .kind = "bridge",
                                                  .group = NET_PROTO_SERVER,
                                                  .mtu = 1500}});
    object.route =
        (struct net_route){.dst = prefix("0.0.0.0/0"), .table = NET_TABLE_MAIN, .protocol = 3};
    fake_add(&fake, &object);
    object.route.dst = prefix("10.1.0.0/16");
    object.route.table = 103;
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_ADDR, .dev = "eth0"};
    object.addr.prefix = prefix("192.0.2.7/24");
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_RULE};
    object.rule =
        (struct net_rule){.family = 4, .priority = 10006, .table = NET_TABLE_MAIN, .protocol = 2};
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_QDISC, .dev = "eth0"};
    object.qdisc = (struct net_qdisc){.parent = NET_TC_ROOT, .handle = NET_TC_HANDLE(1, 0)};
    fake_add(&fake, &object);
}

bool is_foreign(const struct net_object *object)
{
    switch (object->kind) {
    case NET_KIND_LINK:
        return strcmp(object->link.alias, ALIAS) != 0;
    case NET_KIND_ROUTE:
        return object->route.protocol != owner.protocol;
    case NET_KIND_RULE:
        return object->rule.protocol != owner.protocol;
    case NET_KIND_SETTING:
        return false;
    default:
        return strcmp(object->dev, "eth0") == 0;
    }
}

char *lines(bool foreign)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    char *text = calloc(1, 65536), line[NET_FORMAT_SIZE];
    size_t used = 0;

    assert_non_null(set);
    assert_non_null(text);
    for (size_t i = 0; i < net_set_count(fake.objects); i++)
        if (is_foreign(net_set_at(fake.objects, i)) == foreign)
            assert_int_equal(net_set_add(set, net_set_at(fake.objects, i)), 0);
    assert_int_equal(net_set_sort_all(set), 0);
    for (size_t i = 0; i < net_set_count(set); i++)
        used += (size_t)snprintf(text + used, 65536 - used, "%s\n",
                                 net_object_format(net_set_at(set, i), line));
    return text;
}

static void note_news(void *ctx, enum net_news kind, const char *text)
{
    size_t used = strlen(news);

    (void)ctx;
    snprintf(news + used, sizeof(news) - used, "%d: %s\n", (int)kind, text);
}

int setup(void **state)
{
    const struct net_kernel kernel = fake_kernel(&fake);
    const struct net_reconciler_config config = {
        .owner = owner, .drift = NET_DRIFT_REPAIR, .interval_ms = 60000, .news = note_news};

    (void)state;
    fake_init(&fake);
    add_foreign();
    now_ms = 1000;
    OK(net_reconciler_new(&kernel, &config, &engine, &err));
    news[0] = '\0';
    return 0;
}

int teardown(void **state)
{
    (void)state;
    net_reconciler_free(engine);
    engine = NULL;
    fake_clear(&fake);
    return 0;
}

struct net_reconciler_status status(void)
{
    struct net_reconciler_status out;

    net_reconciler_status(engine, &out);
    return out;
}

void pass(uint64_t ms)
{
    now_ms += ms;
    net_reconciler_service(engine, now_ms);
}

void want(const struct net_set *set)
{
    struct err err;

    assert_int_not_equal(net_reconciler_want(engine, set, now_ms, &err), -ENOMEM);
    net_reconciler_service(engine, now_ms);
}

struct net_set *small_wish(void)
{
    struct net_set *set = net_set_new();
    struct net_object route = {.kind = NET_KIND_ROUTE};
    struct net_object rule = {.kind = NET_KIND_RULE};

    rule.rule = (struct net_rule){.family = 4, .priority = 10001, .table = 101};
    route.route = (struct net_route){.dst = prefix("10.66.0.0/16"), .table = 101};
    assert_int_equal(net_set_add_link(set,
                                      &(struct net_link){
                                          .name = "tun0", .kind = "tun", .mtu = 1400, .up = true}),
                     0);
    add(set, &route, "tun0");
    add(set, &rule, NULL);
    return set;
}

void remove_rule(void)
{
    for (size_t i = 0; i < net_set_count(fake.objects); i++) {
        const struct net_object object = *net_set_at(fake.objects, i);

        if (object.kind == NET_KIND_RULE && object.rule.protocol == owner.protocol) {
            fake_remove(&fake, &object);
            return;
        }
    }
    fail_msg("the rule is not there");
}

bool has_rule(void)
{
    for (size_t i = 0; i < net_set_count(fake.objects); i++)
        if (net_set_at(fake.objects, i)->kind == NET_KIND_RULE &&
            net_set_at(fake.objects, i)->rule.protocol == owner.protocol)
            return true;
    return false;
}
