/* A ruleset of the test's own, and nft(8) beside it. */
#include "tests/net/nft_rig.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cap-ng.h>

#include "tests/net/netns.h"

#define ORDINARY_UID 64123
#define TEXT_SIZE    (256 << 10)

struct net_conn *conn;

static bool root; /* nft(8) runs as it; false: as what we are in a user namespace */

/* The rights that the children need are kept as ambient ones; see drop_rights(). */
bool run(const char *command)
{
    return system(command) == 0; /* NOLINT(cert-env33-c): the commands are below */
}

void nft(const char *command)
{
    char line[1024];

    snprintf(line, sizeof(line), "nft '%s'", command);
    if (!run(line))
        fail_msg("%s", line);
}

const char *listing(const char *what)
{
    static char text[TEXT_SIZE];
    char line[256];
    FILE *f;
    size_t n;

    snprintf(line, sizeof(line),
             "nft list %s 2>&1 | sed 's/ counter packets [0-9]* bytes [0-9]*//'", what);
    f = popen(line, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    pclose(f);
    return text;
}

uint32_t generation(void)
{
    struct net_firewall fw = {.table = "none"};
    struct net_nft_gen gen;

    OK(net_nft_get(conn, &fw, &gen, &err));
    assert_int_equal(fw.n, 0);
    return gen.id;
}

void add(struct net_firewall *fw, struct net_fw_rule rule, const char *from, const char *to)
{
    if (from)
        rule.from = prefix(from);
    if (to)
        rule.to = prefix(to);
    assert_int_equal(net_firewall_add(fw, &rule), 0);
}

struct net_firewall example(void)
{
    struct net_firewall fw = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    add(&fw, RULE(.not_iif = "tun0"), NULL, "10.8.0.1/32");
    add(&fw, RULE(.not_iif = "tun0"), NULL, "fd08::1/128");
    add(&fw, RULE(.not_iif = "tun0"), "10.8.0.0/24", NULL);
    add(&fw, RULE(.not_iif = "tun0"), "10.8.0.0/20", NULL);
    add(&fw, RULE(.not_iif = "a-name-of-15.xx"), "10.8.0.0/31", "10.9.0.0/9");
    add(&fw, RULE(.iif = "eth0"), NULL, "fd08::/64");
    add(&fw, RULE(.iif = "eth0"), NULL, "fd08::/61");
    add(&fw, RULE(.iif = "eth0"), NULL, "::/0");
    add(&fw, RULE(.not_iif = "tun0", .routed_to = "tun0", .wrong_way = true), NULL, NULL);
    add(&fw, RULE(.to_local = true, .proto = IPPROTO_UDP, .dport = 51820, .action = NET_FW_NOTRACK),
        NULL, "0.0.0.0/0");
    add(&fw, RULE(.proto = IPPROTO_UDP, .dport = 53, .action = NET_FW_NOTRACK), NULL,
        "192.0.2.1/32");
    add(&fw,
        RULE(.chain = NET_FW_OUTPUT, .proto = IPPROTO_UDP, .sport = 51820,
             .action = NET_FW_NOTRACK),
        NULL, NULL);
    add(&fw,
        RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .proto = IPPROTO_TCP,
             .action = NET_FW_MASQUERADE, .port_first = 32768, .port_last = 51819),
        "10.8.0.0/24", NULL);
    add(&fw,
        RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .proto = IPPROTO_UDP,
             .action = NET_FW_MASQUERADE, .port_first = 32768, .port_last = 32768),
        "10.8.0.0/24", NULL);
    add(&fw, RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .action = NET_FW_MASQUERADE),
        "fd08::/64", NULL);
    add(&fw, RULE(.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 0x56504e), NULL, NULL);
    return fw;
}

struct net_firewall current(void)
{
    struct net_firewall fw = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    OK(net_nft_get(conn, &fw, NULL, &err));
    return fw;
}

void expect_same(const struct net_firewall *want)
{
    struct net_firewall have = current();
    char a[NET_FW_FORMAT_SIZE], b[NET_FW_FORMAT_SIZE];

    for (size_t i = 0; i < want->n && i < have.n; i++)
        assert_string_equal(net_fw_rule_format(&have.rules[i], a),
                            net_fw_rule_format(&want->rules[i], b));
    assert_int_equal(have.n, want->n);
    assert_false(have.has_more);
    assert_true(net_firewall_same(want, &have));
    net_firewall_clear(&have);
}

void expect_family(const struct net_firewall *fw, const char *family, size_t first, size_t end)
{
    static const char *const hooks[] = {
        [NET_FW_PREROUTING] = "type filter hook prerouting priority raw; policy accept;",
        [NET_FW_OUTPUT] = "type filter hook output priority raw; policy accept;",
        [NET_FW_POSTROUTING] = "type nat hook postrouting priority srcnat; policy accept;",
        [NET_FW_ARP] = "type filter hook input priority filter; policy accept;",
    };
    static char text[TEXT_SIZE];
    char rule[NET_FW_FORMAT_SIZE], what[64];
    size_t len = (size_t)snprintf(text, sizeof(text), "table %s %s {\n\tcomment \"%s\"\n", family,
                                  fw->table, fw->owner);

    for (size_t i = first; i < end; i++) {
        if (i == first || fw->rules[i - 1].chain != fw->rules[i].chain)
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%s\tchain %s {\n\t\t%s\n",
                                 i > first ? "\t}\n\n" : "", net_fw_chain_name(fw->rules[i].chain),
                                 hooks[fw->rules[i].chain]);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\t\t%s\n",
                                net_fw_rule_format(&fw->rules[i], rule));
    }
    snprintf(text + len, sizeof(text) - len, "\t}\n}\n");
    snprintf(what, sizeof(what), "table %s vpn", family);
    assert_string_equal(listing(what), text);
}

void expect_listing(const struct net_firewall *fw)
{
    size_t inet = 0;

    while (inet < fw->n && fw->rules[inet].chain != NET_FW_ARP)
        inet++;
    expect_family(fw, "inet", 0, inet);
    if (inet < fw->n)
        expect_family(fw, "arp", inet, fw->n);
    else
        assert_non_null(strstr(listing("table arp vpn"), "No such file"));
}

/* ---- beginning and end --------------------------------------------------------------------- */

/* CAP_NET_ADMIN and nothing else; nft(8) gets it as well, as an ambient capability. */
static int drop_rights(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_ADMIN);
    if (root ? capng_change_id(ORDINARY_UID, ORDINARY_UID, CAPNG_DROP_SUPP_GRP)
             : capng_apply(CAPNG_SELECT_CAPS))
        return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0);
}

int rig_enter(void)
{
    int rc;

    root = geteuid() == 0;
    rc = netns_enter();
    if (rc)
        return rc;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (drop_rights() < 0)
        return netns_skip("rights cannot be dropped");
    if (!run("nft list ruleset >/dev/null 2>&1"))
        return netns_skip("no nft(8), or a kernel without nf_tables");
    return 0;
}

int rig_setup(void **state)
{
    (void)state;
    OK(net_conn_open_netfilter(&conn, &err));
    return 0;
}

int rig_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    return 0;
}

int clean(void **state)
{
    (void)state;
    nft("flush ruleset");
    return 0;
}
