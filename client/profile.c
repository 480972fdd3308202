/* The client's configuration: /etc/vpn/client.yaml as plain values, checked. */
#include "client/profile.h"

#include "client/profile_check.h"
#include "common/arena.h"
#include "common/cleanup.h"
#include "common/conf.h"

#define ROUTES_MAX      1024
#define NETWORKS_MAX    64
#define SOCKET_PATH_MAX 107 /* sun_path of unix(7), less its NUL */
#define GROUP_NAME_MAX  32

static const char *const log_names[] = {"error", "warning", "info", "debug", NULL};

static const struct schema_field tunnel_fields[] = {
    {
        .key = "device",
        .doc = "Name of the TUN device.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(profile_tunnel, device),
        .preset = "tun0",
    },
    {
        .key = "server",
        .doc = "Name or address of the server, with its port.",
        .type = SCHEMA_ENDPOINT,
        SCHEMA_AT(profile_tunnel, server),
        .required = true,
        .mend = "write it like vpn.example.org:51820",
    },
    {
        .key = "server-key",
        .doc = "The server's public key; no other server is talked to.",
        .type = SCHEMA_KEY,
        SCHEMA_AT(profile_tunnel, server_key),
        .required = true,
        .mend = "vpnctl identity prints it at the server",
    },
    {
        .key = "realm",
        .doc = "The server's realm; needed with token-file.",
        .type = SCHEMA_REALM,
        SCHEMA_AT(profile_tunnel, realm),
    },
    {
        .key = "user",
        .doc = "The name to log in with.",
        .type = SCHEMA_USER,
        SCHEMA_AT(profile_tunnel, user),
        .required = true,
        .mend = "write the name that vpnctl user add was given",
    },
    {
        .key = "token-file",
        .doc = "File with the user's token, readable by its owner alone.",
        .type = SCHEMA_FILE,
        SCHEMA_AT(profile_tunnel, token_file),
    },
    {
        .key = "key-file",
        .doc = "File with a random private key, instead of a token.",
        .type = SCHEMA_FILE,
        SCHEMA_AT(profile_tunnel, key_file),
    },
    {
        .key = "routes",
        .doc = "Networks to reach through the tunnel, or default for everything; by default the "
               "tunnel's own network and what the server pushes.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(profile_tunnel, routes, n_routes),
        .max_items = ROUTES_MAX,
    },
    {
        .key = "networks",
        .doc = "Networks behind this client that the server routes to it: packets for them are "
               "taken out of the tunnel.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(profile_tunnel, networks, n_networks),
        .max_items = NETWORKS_MAX,
    },
    {
        .key = "mtu",
        .doc = "Largest IP packet inside the tunnel; by default what the server says.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(profile_tunnel, mtu),
        .min = WIRE_MTU_MIN,
        .max = WIRE_MTU_MAX,
    },
    {
        .key = "table",
        .doc = "Routing table for the tunnel's routes; the main table stays as it is.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(profile_tunnel, table),
        .min = 1,
        .max = PROFILE_TABLE_MAX,
    },
    {
        .key = "uids",
        .doc = "Users of this host, as 1101 or 1101-1199, whose packets take this tunnel or none.",
        .type = SCHEMA_UIDS,
        SCHEMA_AT(profile_tunnel, uids),
    },
    {
        .key = "block-when-down",
        .doc = "What the tunnel would carry is unreachable while it is down.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(profile_tunnel, block_when_down),
        .preset = "false",
    },
    {
        .key = "allow-lan",
        .doc = "Private networks that this host is connected to are reached outside the tunnel.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(profile_tunnel, allow_lan),
        .preset = "false",
    },
    {
        .key = "exclude",
        .doc = "Networks that are reached outside the tunnel.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_LIST,
        SCHEMA_AT_N(profile_tunnel, exclude, n_exclude),
        .max_items = NETWORKS_MAX,
    },
    {
        .key = "gateway",
        .doc = "Accepted for the sake of older files, and ignored.",
        .type = SCHEMA_IGNORED,
        .mend = "is ignored: a tunnel is point to point, its routes need no gateway",
    },
};
static const struct schema_table tunnel_table = {
    .fields = tunnel_fields,
    .n = ARRAY_SIZE(tunnel_fields),
    .entry_size = sizeof(struct profile_tunnel),
    .name_type = SCHEMA_NAME,
    .name_offset = offsetof(struct profile_tunnel, name),
    .name_size = sizeof(((struct profile_tunnel *)0)->name),
};

static const struct schema_field log_fields[] = {
    {
        .key = "level",
        .doc = "The least important lines that are written.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(profile, log_level),
        .names = log_names,
        .preset = "info",
    },
    {
        .key = "file",
        .doc = "File to write to instead of standard error or the journal.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(profile, log_file),
    },
};
static const struct schema_table log_table = {.fields = log_fields, .n = ARRAY_SIZE(log_fields)};

static const struct schema_field control_fields[] = {
    {
        .key = "socket",
        .doc = "Unix socket where vpnctl --client reaches the client.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(profile, control_socket),
        .max = SOCKET_PATH_MAX,
        .preset = "/run/vpn-client/vpn.sock",
    },
    {
        .key = "group",
        .doc = "Group whose members may use the socket, and thereby control the tunnels.",
        .type = SCHEMA_TEXT,
        SCHEMA_AT(profile, control_group),
        .max = GROUP_NAME_MAX,
        .preset = "vpn",
    },
};
static const struct schema_table control_table = {.fields = control_fields,
                                                  .n = ARRAY_SIZE(control_fields)};

static const struct schema_field root_fields[] = {
    {
        .key = "version",
        .doc = "Version of this file's format.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(profile, version),
        .min = 1,
        .max = 1,
        .preset = "1",
    },
    {
        .key = "tunnels",
        .doc = "The tunnels of this host, by name.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_MAP,
        SCHEMA_AT_N(profile, tunnels, n_tunnels),
        .max_items = PROFILE_TUNNELS_MAX,
        .table = &tunnel_table,
        .required = true,
        .mend = "vpnctl user add writes a file with one at the server",
    },
    {
        .key = "state",
        .doc = "Folder for what must survive a restart, such as device ids.",
        .type = SCHEMA_PATH,
        SCHEMA_AT(profile, state),
        .preset = "/var/lib/vpn-client",
    },
    {
        .key = "control",
        .doc = "How vpnctl --client reaches the client.",
        .type = SCHEMA_TABLE,
        .table = &control_table,
    },
    {
        .key = "log",
        .doc = "What is logged, and where.",
        .type = SCHEMA_TABLE,
        .table = &log_table,
    },
};
static const struct schema_table root_table = {.fields = root_fields, .n = ARRAY_SIZE(root_fields)};

const struct conf_kind profile_kind = {
    .table = &root_table,
    .size = sizeof(struct profile),
    .arena_offset = offsetof(struct profile, arena),
    .check = profile_check,
};

int profile_load(const char *path, struct profile **out, struct problems *problems)
{
    void *profile = NULL;
    int rc = conf_load(&profile_kind, path, NULL, &profile, problems);

    if (rc == 0)
        *out = profile;
    return rc;
}

int profile_parse(const char *name, const void *text, size_t len, struct profile **out,
                  struct problems *problems)
{
    void *profile = NULL;
    int rc = conf_parse(&profile_kind, name, text, len, &profile, problems);

    if (rc == 0)
        *out = profile;
    return rc;
}

void profile_free(struct profile *profile)
{
    if (profile)
        arena_free(profile->arena);
}
