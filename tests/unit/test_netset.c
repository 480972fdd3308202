/* netlink/set: objects of several kinds in one order, without a kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/noun.h"
#include "netlink/set.h"
#include "tests/unit/expect.h"

static struct net_set *some(void)
{
    struct net_set *set = net_set_new();
    const struct net_link tun = {.name = "tun0", .kind = "tun", .mtu = 1400, .up = true};
    const struct net_addr addr = {.prefix = prefix("10.8.0.1/24"), .protocol = 86};
    const struct net_rule rule = {
        .family = 4, .priority = 10101, .table = 101, .has_uids = true, .uid_first = 5};
    struct net_route route = {.dst = prefix("10.66.1.2/16"), .table = 101, .protocol = 86};

    assert_non_null(set);
    assert_int_equal(net_set_add_rule(set, &rule), 0);
    assert_int_equal(net_set_add_route(set, "tun0", &route), 0);
    assert_int_equal(net_set_add_addr(set, "tun1", &addr), 0);
    assert_int_equal(net_set_add_addr(set, "tun0", &addr), 0);
    assert_int_equal(net_set_add_setting(set, "ipv4/ip_forward", "1"), 0);
    assert_int_equal(net_set_add_link(set, &tun), 0);
    return set;
}

static void test_order(void **state)
{
    static const char *const text[] = {
        "link tun0 type tun mtu 1400 up",
        "setting ipv4/ip_forward = 1",
        "address 10.8.0.1/24 dev tun0",
        "address 10.8.0.1/24 dev tun1",
        "route 10.66.0.0/16 dev tun0 table 101 proto 86",
        "rule 10101: from all uidrange 5-0 lookup 101 proto 0",
    };
    _cleanup_(net_set_freep) struct net_set *set = some();
    char buf[NET_FORMAT_SIZE];

    (void)state;
    assert_int_equal(net_set_sort(set, NULL), 0);
    assert_int_equal(net_set_count(set), ARRAY_SIZE(text));
    for (size_t i = 0; i < ARRAY_SIZE(text); i++)
        assert_string_equal(net_object_format(net_set_at(set, i), buf), text[i]);
    assert_null(net_set_at(set, ARRAY_SIZE(text)));
}

static void test_find(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = some();
    _cleanup_(net_set_freep) struct net_set *copy = NULL;
    struct net_object id = {.kind = NET_KIND_SETTING, .setting.path = "ipv4/ip_forward"};

    (void)state;
    assert_int_equal(net_set_sort(set, NULL), 0);
    copy = net_set_copy(set);
    for (size_t i = 0; i < net_set_count(set); i++)
        assert_ptr_equal(net_set_find(copy, net_set_at(set, i)), net_set_at(copy, i));
    assert_string_equal(net_set_find(set, &id)->setting.value, "1");
    strcpy(id.setting.path, "ipv4/ip_nonlocal_bind");
    assert_null(net_set_find(set, &id));
}

static void test_twice(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = some();
    const struct net_addr addr = {.prefix = prefix("10.8.0.1/24"), .protocol = 86};
    struct err err = {{0}};
    size_t n = net_set_count(set);

    (void)state;
    assert_int_equal(net_set_add_addr(set, "tun0", &addr), 0);
    assert_int_equal(net_set_sort(set, &err), 0);
    assert_int_equal(net_set_count(set), n);
    assert_int_equal(net_set_add_setting(set, "ipv4/ip_forward", "0"), 0);
    assert_int_equal(net_set_sort(set, &err), -EEXIST);
    assert_string_equal(err.msg, "setting ipv4/ip_forward = 1 and setting ipv4/ip_forward = 0 "
                                 "exclude each other");
    assert_int_equal(net_set_count(set), n);
    assert_string_equal(net_set_at(set, 1)->setting.value, "1");
}

static void test_many(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        const struct net_rule rule = {.family = 4, .priority = 1 + i * 7919 % 5003, .table = 1};

        assert_int_equal(net_set_add_rule(set, &rule), 0);
    }
    assert_int_equal(net_set_sort(set, NULL), 0);
    assert_int_equal(net_set_count(set), 5000);
    for (size_t i = 1; i < 5000; i++)
        assert_true(net_set_at(set, i - 1)->rule.priority < net_set_at(set, i)->rule.priority);
}

static void test_refused(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    const struct net_addr addr = {.prefix = prefix("10.8.0.1/24")};
    char path[NET_SETTING_PATH + 1] = {0};

    (void)state;
    memset(path, 'a', NET_SETTING_PATH);
    assert_int_equal(net_set_add_addr(set, "a/b", &addr), -EINVAL);
    assert_int_equal(net_set_add_addr(set, "a name that is too long", &addr), -EINVAL);
    assert_int_equal(net_set_add_setting(set, path, "1"), -EINVAL);
    assert_int_equal(net_set_count(set), 0);
    assert_null(net_set_find(set, &(struct net_object){.kind = NET_KIND_LINK}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order), cmocka_unit_test(test_find),    cmocka_unit_test(test_twice),
        cmocka_unit_test(test_many),  cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("netset", tests, NULL, NULL);
}
