/* The server's configuration: /etc/vpn/vpn.yaml as plain values. */
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/cleanup.h"
#include "common/conf.h"
#include "daemon/config_check.h"
#include "daemon/config_qos.h"
#include "daemon/config_routing.h"

#define LIST_MAX        64
#define SOCKET_PATH_MAX 107 /* sun_path of unix(7), less its NUL */
#define GROUP_NAME_MAX  32

static const char *const drift_names[] = {"repair", "report", NULL};
static const char *const invalid_names[] = {"last-good", "refuse", NULL};
static const char *const log_names[] = {"error", "warning", "info", "debug", NULL};

static const struct schema_field server_fields[] = {
    {
        .key = "listen",
        .doc = "UDP port on all addresses, or a list of addresses with ports.",
        .type = SCHEMA_LISTEN,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config, listen, n_listen),
        .max_items = CONFIG_LISTEN_MAX,
        .preset = "51820",
    },
    {
        .key = "endpoint",
        .doc = "Name or address with port under which clients reach this server.",
        .type = SCHEMA_ENDPOINT,
        SCHEMA_AT(config, endpoint),
    },
    {
        .key = "identity",
        .doc = "File with the server's private key, made by vpn-server --init.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(config, identity),
        .preset = "/etc/vpn/identity.key",
    },
    {
        .key = "realm",
        .doc = "Salt of the users' keys; never change it once users exist.",
        .type = SCHEMA_REALM,
        SCHEMA_AT(config, realm),
        .required = true,
        .mend = "vpn-server --init makes one; it looks like home-3f9c81d2a47be650",
    },
    {
        .key = "max-clients",
        .doc = "The most clients that may be connected at once.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config, max_clients),
        .min = 1,
        .max = 65535,
        .preset = "200",
    },
    {
        .key = "session-timeout",
        .doc = "A session without traffic for this long is closed.",
        .type = SCHEMA_DURATION,
        SCHEMA_AT(config, session_timeout_s),
        .min = 5,
        .max = 30 * 86400,
        .preset = "1h",
    },
    {
        .key = "workers",
        .doc = "Packet lanes, each a thread here and one in the enclave; auto follows the cores.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config, workers),
        .min = 1,
        .max = 64,
        .word = "auto",
        .preset = "auto",
    },
};
static const struct schema_table server_table = {.fields = server_fields,
                                                 .n = ARRAY_SIZE(server_fields)};

static const struct schema_field tunnel_fields[] = {
    {
        .key = "device",
        .doc = "Name of the TUN device.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(config, device),
        .preset = "tun0",
    },
    {
        .key = "addresses",
        .doc = "The server's own address inside the tunnel, with the network's length; at most "
               "one of each family.",
        .type = SCHEMA_PREFIX,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config, addresses, n_addresses),
        .max_items = LIST_MAX,
        .preset = "10.8.0.1/24",
    },
    {
        .key = "mtu",
        .doc = "Largest IP packet inside the tunnel, in bytes.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config, mtu),
        .min = WIRE_MTU_MIN,
        .max = WIRE_MTU_MAX,
        .preset = "1400",
    },
    {
        .key = "pool",
        .doc = "Ranges of addresses for clients without fixed ones; by default from the tenth "
               "address of each of the tunnel's networks on.",
        .type = SCHEMA_RANGE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config, pool, n_pool),
        .max_items = LIST_MAX,
    },
    {
        .key = "dns",
        .doc = "DNS servers that clients are told, at most one of each family.",
        .type = SCHEMA_ADDR,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config, dns, n_dns),
        .max_items = LIST_MAX,
    },
    {
        .key = "client-to-client",
        .doc = "Whether users may reach each other through the tunnel.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(config, client_to_client),
        .preset = "false",
    },
    {
        .key = "push-routes",
        .doc = "Networks that clients reach through the tunnel unless their own file gives routes.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config, push_routes, n_push_routes),
        .max_items = CONFIG_PUSH_ROUTES_MAX,
    },
};
static const struct schema_table tunnel_table = {.fields = tunnel_fields,
                                                 .n = ARRAY_SIZE(tunnel_fields)};

static const struct schema_field user_fields[] = {
    {
        .key = "key",
        .doc = "The user's public key, made by vpnctl user add.",
        .type = SCHEMA_KEY,
        SCHEMA_AT(config_user, key),
        .required = true,
        .mend = "vpnctl user add NAME makes one",
    },
    {
        .key = "address",
        .doc = "Fixed addresses; without them the pool gives one.",
        .type = SCHEMA_ADDR,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config_user, fixed, n_fixed),
        .max_items = LIST_MAX,
    },
    {
        .key = "class",
        .doc = "The class of qos.classes that says how much the user may send and receive.",
        .type = SCHEMA_NAME,
        SCHEMA_AT(config_user, class_name),
    },
    {
        .key = "networks",
        .doc = "Networks behind the user: routed to them, and accepted as their source.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(config_user, networks, n_networks),
        .max_items = LIST_MAX,
    },
    {
        .key = "max-devices",
        .doc = "How many devices of this user may be connected at once.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_user, max_devices),
        .min = 1,
        .max = 1000,
        .preset = "2",
    },
    {
        .key = "expires",
        .doc = "The last day, in UTC, on which this user may be logged in, such as 2027-01-31.",
        .type = SCHEMA_DATE,
        SCHEMA_AT(config_user, expires_s),
    },
    {
        .key = "enabled",
        .doc = "Whether this user may log in.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(config_user, enabled),
        .preset = "true",
    },
};
static const struct schema_table user_table = {
    .fields = user_fields,
    .n = ARRAY_SIZE(user_fields),
    .entry_size = sizeof(struct config_user),
    .name_type = SCHEMA_USER,
    .name_offset = offsetof(struct config_user, name),
    .name_size = sizeof(((struct config_user *)0)->name),
};

static const struct schema_field log_fields[] = {
    {
        .key = "level",
        .doc = "The least important lines that are written.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config, log_level),
        .names = log_names,
        .preset = "info",
    },
    {
        .key = "file",
        .doc = "File to write to instead of standard error or the journal.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(config, log_file),
    },
};
static const struct schema_table log_table = {.fields = log_fields, .n = ARRAY_SIZE(log_fields)};

static const struct schema_field control_fields[] = {
    {
        .key = "socket",
        .doc = "Unix socket where vpnctl reaches the daemon.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(config, control_socket),
        .max = SOCKET_PATH_MAX,
        .preset = "/run/vpn/vpn.sock",
    },
    {
        .key = "group",
        .doc = "Group whose members may use the socket, and thereby control the tunnel.",
        .type = SCHEMA_TEXT,
        SCHEMA_AT(config, control_group),
        .max = GROUP_NAME_MAX,
        .preset = "vpn",
    },
};
static const struct schema_table control_table = {.fields = control_fields,
                                                  .n = ARRAY_SIZE(control_fields)};

static const struct schema_field reconcile_fields[] = {
    {
        .key = "interval",
        .doc = "How often the kernel is looked at even when it announced no change.",
        .type = SCHEMA_DURATION,
        SCHEMA_AT(config, reconcile_interval_s),
        .min = 1,
        .max = 86400,
        .preset = "60s",
    },
    {
        .key = "drift",
        .doc = "repair puts right what others changed of ours; report only says so.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config, drift),
        .names = drift_names,
        .preset = "repair",
    },
};
static const struct schema_table reconcile_table = {.fields = reconcile_fields,
                                                    .n = ARRAY_SIZE(reconcile_fields)};

static const struct schema_field root_fields[] = {
    {
        .key = "version",
        .doc = "Version of this file's format.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config, version),
        .min = 1,
        .max = 1,
        .preset = "1",
    },
    {
        .key = "server",
        .doc = "Where the server listens and who it is.",
        .type = SCHEMA_TABLE,
        .table = &server_table,
    },
    {
        .key = "tunnel",
        .doc = "The network inside the tunnel.",
        .type = SCHEMA_TABLE,
        .table = &tunnel_table,
    },
    {
        .key = "users",
        .doc = "Who may log in, by name.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_MAP,
        SCHEMA_AT_N(config, users, n_users),
        .max_items = CONFIG_USERS_MAX,
        .table = &user_table,
    },
    {
        .key = "qos",
        .doc = "How much each user may send and receive; without it there are no limits.",
        .type = SCHEMA_TABLE,
        .table = &config_qos_table,
    },
    {
        .key = "routes",
        .doc = "Routes of the host.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_ITEMS,
        SCHEMA_AT_N(config, routes, n_routes),
        .max_items = CONFIG_ROUTES_MAX,
        .table = &config_route_table,
    },
    {
        .key = "rules",
        .doc = "Which packets ask which routing table.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_ITEMS,
        SCHEMA_AT_N(config, rules, n_rules),
        .max_items = CONFIG_RULES_MAX,
        .table = &config_rule_table,
    },
    {
        .key = "forwarding",
        .doc = "true: the host forwards packets, IPv4 and IPv6; false leaves it as it is.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(config, forwarding),
        .preset = "false",
    },
    {
        .key = "masquerade",
        .doc = "Which packets leave the host under its own address.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_ITEMS,
        SCHEMA_AT_N(config, masquerade, n_masquerade),
        .max_items = CONFIG_MASQUERADE_MAX,
        .table = &config_masquerade_table,
    },
    {
        .key = "reconcile",
        .doc = "How the kernel is kept as this file says.",
        .type = SCHEMA_TABLE,
        .table = &reconcile_table,
    },
    {
        .key = "on-invalid",
        .doc = "What a start with a bad file does: last-good runs the last confirmed "
               "configuration, refuse ends.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config, on_invalid),
        .names = invalid_names,
        .preset = "last-good",
    },
    {
        .key = "log",
        .doc = "What is logged, and where.",
        .type = SCHEMA_TABLE,
        .table = &log_table,
    },
    {
        .key = "control",
        .doc = "How vpnctl reaches the daemon.",
        .type = SCHEMA_TABLE,
        .table = &control_table,
    },
    {
        .key = "state",
        .doc = "Folder for what must survive a restart.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(config, state),
        .preset = "/var/lib/vpn",
    },
};
static const struct schema_table root_table = {.fields = root_fields, .n = ARRAY_SIZE(root_fields)};

static int check(void *out, const struct doc_node *root, struct problems *problems)
{
    return config_check(out, root, problems);
}

const struct conf_kind config_kind = {
    .table = &root_table,
    .size = sizeof(struct config),
    .arena_offset = offsetof(struct config, arena),
    .check = check,
};

int config_load(const char *path, struct config **out, struct problems *problems)
{
    void *config = NULL;
    int rc = conf_load(&config_kind, path, NULL, &config, problems);

    if (rc == 0)
        *out = config;
    return rc;
}

int config_read(const struct bundle *bundle, struct config **out, struct problems *problems)
{
    void *config = NULL;
    int rc =
        conf_load(&config_kind, bundle->n ? bundle->files[0].name : "", bundle, &config, problems);

    if (rc == 0)
        *out = config;
    return rc;
}

int config_parse(const char *name, const void *text, size_t len, struct config **out,
                 struct problems *problems)
{
    void *config = NULL;
    int rc = conf_parse(&config_kind, name, text, len, &config, problems);

    if (rc == 0)
        *out = config;
    return rc;
}

void config_free(struct config *config)
{
    if (config)
        arena_free(config->arena);
}

static int user_name_cmp(const void *name, const void *user)
{
    return strcmp(name, ((const struct config_user *)user)->name);
}

const struct config_user *config_user_find(const struct config *config, const char *name)
{
    if (config->n_users == 0)
        return NULL;
    return bsearch(name, config->users, config->n_users, sizeof(*config->users), user_name_cmp);
}

bool config_user_allowed(const struct config_user *user, uint64_t now_s)
{
    return user->enabled && (user->expires_s == 0 || now_s < user->expires_s);
}

bool config_pool_holds(const struct config *config, const struct ip_addr *addr)
{
    for (size_t i = 0; i < config->n_pool; i++)
        if (config->pool[i].first.family == addr->family &&
            ip_addr_cmp(&config->pool[i].first, addr) <= 0 &&
            ip_addr_cmp(addr, &config->pool[i].last) <= 0)
            return true;
    return false;
}

bool config_pool_serves(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->n_pool; i++)
        if (config->pool[i].first.family == family)
            return true;
    return false;
}

const struct ip_prefix *config_prefix(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->n_addresses; i++) {
        if (config->addresses[i].addr.family == family)
            return &config->addresses[i];
    }
    return NULL;
}
