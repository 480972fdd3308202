/* VPN_OFFLOADS: which names it takes, and what it means to leave it out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/datapath/offload.h"

static void check(const char *text, unsigned int wanted)
{
    struct offload_choice choice = {0};
    struct err err;

    assert_int_equal(offload_parse(text, &choice, &err), 0);
    assert_int_equal(choice.wanted, wanted);
    assert_int_equal(choice.exact, text != NULL);
}

static void test_parse(void **state)
{
    (void)state;
    check(NULL, OFFLOAD_ALL);
    check("none", 0);
    check("", 0);
    check("tun-tso", OFFLOAD_BIT(OFFLOAD_TUN_TSO));
    check("udp-gro,tun-gro", OFFLOAD_BIT(OFFLOAD_UDP_GRO) | OFFLOAD_BIT(OFFLOAD_TUN_GRO));
    check("tun-tso,tun-uso,tun-gro,udp-segment,udp-gro", OFFLOAD_ALL);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"all",      "tun",     "tun-tso ",        "tun-tso,none",
                                      ",tun-tso", "TUN-TSO", "tun-tso,,udp-gro"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct offload_choice choice = {.wanted = 77};
        struct err err;

        assert_int_equal(offload_parse(bad[i], &choice, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "VPN_OFFLOADS: no offload is called \""));
        assert_int_equal(choice.wanted, 77);
    }
    assert_string_equal(offload_name(OFFLOAD_NUM), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse),
                                       cmocka_unit_test(test_refused)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
