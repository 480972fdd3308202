/* Prefixes: what is allowed to which id, from where and to where; bounded, and reused in time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>

#include "tests/unit/expect.h"
#include "tests/unit/keystore_rig.h"

static bool allowed(const struct session *s, const char *text)
{
    struct ip_addr addr;

    assert_int_equal(ip_addr_parse(text, &addr), 0);
    return keystore_allowed(ks, s, IPC_ALLOW_SOURCE, &addr);
}

static void test_allow(void **state)
{
    struct session *one = publish(keystore_peer_add(ks, 1, device_a), SESSION_CURRENT);
    struct session *two = publish(keystore_peer_add(ks, 2, device_a), SESSION_CURRENT);
    struct ip_prefix p = prefix("192.168.50.0/24"), all6 = prefix("::/0");

    (void)state;
    assert_false(allowed(one, "192.168.50.7"));
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &p), 0);
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &all6), 0);
    assert_true(allowed(one, "192.168.50.7"));
    assert_true(allowed(one, "2001:db8::1"));
    assert_false(allowed(one, "192.168.51.7"));
    assert_false(allowed(two, "192.168.50.7"));
    /* One end says nothing about the other, and is forgotten by itself. */
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_DESTINATION, &p), 0);
    assert_false(allowed(two, "192.168.50.7"));
    assert_int_equal(keystore_allow_clear(ks, 2, IPC_ALLOW_DESTINATION), 0);
    assert_true(allowed(one, "192.168.50.7"));
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    assert_false(allowed(one, "192.168.50.7"));
}

static void test_allow_refused(void **state)
{
    struct ip_prefix p = prefix("10.0.0.0/8");

    (void)state;
    assert_int_equal(keystore_allow_add(ks, IDS, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_int_equal(keystore_allow_add(ks, UINT32_MAX, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_ENDS, &p), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, IDS, IPC_ALLOW_SOURCE), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, UINT32_MAX, IPC_ALLOW_SOURCE), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, 0, IPC_ALLOW_ENDS), -EINVAL);
    p.len = 33;
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_SOURCE, &p), -EINVAL);
    p.addr.family = 0;
    p.len = 0;
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_true(keystore_has_id(ks, IDS - 1));
    assert_false(keystore_has_id(ks, IDS));
}

/* Bounded, reused, and never reused under a reader that walks the chain. */
static void test_allow_reuse(void **state)
{
    struct session *s = publish(keystore_peer_add(ks, 1, device_a), SESSION_CURRENT);
    struct ip_prefix p = prefix("10.0.0.0/8"), other = prefix("172.16.0.0/12");
    struct epoch *epoch = keystore_epoch(ks);
    uint32_t n = 0;

    (void)state;
    while (keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &p) == 0)
        assert_true(++n < 1 << 20);
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), -ENOSPC);
    epoch_enter(epoch, 0);
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    reap();
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &other), -ENOSPC);
    epoch_leave(epoch, 0);
    reap();
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &other), 0);
    assert_true(allowed(s, "172.16.0.1"));
    assert_false(allowed(s, "10.0.0.1"));
    for (; n > 1; n--)
        assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), 0);
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_allow, setup),
        cmocka_unit_test_setup(test_allow_refused, setup),
        cmocka_unit_test_setup(test_allow_reuse, setup),
    };

    if (sodium_init() < 0)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("keystore allow", tests, NULL, finish);
}
