/* The client's configuration: /etc/vpn/client.yaml as plain values, checked. */
#include "client/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/cleanup.h"
#include "common/conf.h"
#include "common/value.h"

#define ROUTES_MAX      1024
#define NETWORKS_MAX    64
#define SOCKET_PATH_MAX 107 /* sun_path of unix(7), less its NUL */
#define GROUP_NAME_MAX  32
#define PATH_SIZE       160

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

/* One tunnel with its entry in the tree, for places. */
struct check {
    struct profile *profile;
    struct profile_tunnel *tunnel;
    const struct doc_entry *entry;
    struct problems *problems;
};

static void complain(const struct check *c, const char *key, const char *what)
{
    const struct doc_entry *e = key ? doc_entry_find(c->entry->value, key) : NULL;
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "tunnels.%s%s%s", c->entry->key, key ? "." : "", key ? key : "");
    problem_add(c->problems, PROBLEM_ERROR, e ? &e->value->pos : &c->entry->pos, path, "%s", what);
}

static bool has(const struct check *c, const char *key)
{
    return doc_get(c->entry->value, key) != NULL;
}

static void check_credential(const struct check *c)
{
    if (has(c, "token-file") && has(c, "key-file"))
        complain(c, "key-file", "stands beside token-file (keep one of the two)");
    else if (!has(c, "token-file") && !has(c, "key-file"))
        complain(c, NULL, "has no credential (write token-file: or key-file:)");
    if (has(c, "token-file") && !has(c, "realm"))
        complain(c, NULL, "realm is missing, which a token needs (copy it from the server's file)");
}

static void check_routes(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;

    for (size_t i = 0; i < t->n_routes; i++) {
        for (size_t j = 0; j < i; j++) {
            char text[IP_PREFIX_STRLEN], what[IP_PREFIX_STRLEN + 48];

            if (t->routes[i].len != t->routes[j].len ||
                !ip_addr_equal(&t->routes[i].addr, &t->routes[j].addr))
                continue;
            snprintf(what, sizeof(what), "%s is in the list twice (remove one)",
                     ip_prefix_format(&t->routes[i], text));
            complain(c, "routes", what);
            return;
        }
    }
}

/* `default` would let the server reach everything that this host can. */
static void check_networks(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;

    for (size_t i = 0; i < t->n_networks; i++) {
        char text[IP_PREFIX_STRLEN], what[IP_PREFIX_STRLEN + 64];

        if (t->networks[i].len > 0 && ip_prefix_is_routable(&t->networks[i]))
            continue;
        snprintf(what, sizeof(what), "%s cannot lie behind a client (write the network itself)",
                 ip_prefix_format(&t->networks[i], text));
        complain(c, "networks", what);
        return;
    }
}

/* A path that is relative counts from the folder of the file that says it. */
static int path_resolve(const struct check *c, const char *key, const char **path)
{
    const struct doc_node *node = doc_get(c->entry->value, key);
    const char *slash;
    char *full;
    size_t folder;

    if (!*path || (*path)[0] == '/')
        return 0;
    slash = strrchr(node->pos.file, '/');
    if (!slash)
        return 0;
    folder = (size_t)(slash - node->pos.file) + 1;
    full = arena_array(c->profile->arena, folder + strlen(*path) + 1, 1);
    if (!full)
        return -ENOMEM;
    memcpy(full, node->pos.file, folder);
    memcpy(full + folder, *path, strlen(*path) + 1);
    *path = full;
    return 0;
}

static int check_tunnel(const struct check *c)
{
    struct profile_tunnel *t = c->tunnel;
    char host[VALUE_HOST_MAX + 1];
    int rc;

    t->file = arena_strdup(c->profile->arena, c->entry->pos.file);
    if (!t->file)
        return -ENOMEM;
    t->line = c->entry->pos.line;
    t->own_network = !has(c, "routes");
    if (t->server && value_endpoint(t->server, host, &t->server_port, NULL) == 0) {
        t->server_host = arena_strdup(c->profile->arena, host);
        if (!t->server_host)
            return -ENOMEM;
    }
    check_credential(c);
    check_routes(c);
    check_networks(c);
    rc = path_resolve(c, "token-file", &t->token_file);
    return rc < 0 ? rc : path_resolve(c, "key-file", &t->key_file);
}

static int device_cmp(const void *a, const void *b)
{
    const struct check *ca = a, *cb = b;
    int order = strncmp(ca->tunnel->device, cb->tunnel->device, IFNAMSIZ);

    /* The tunnels are sorted by name and so their addresses are in that order. */
    return order ? order : (ca->tunnel > cb->tunnel) - (ca->tunnel < cb->tunnel);
}

static int check_tunnels(void *out, const struct doc_node *root, struct problems *problems)
{
    struct profile *profile = out;
    const struct doc_node *map = doc_get(root, "tunnels");
    struct check *checks = arena_array(profile->arena, profile->n_tunnels, sizeof(*checks));
    size_t n = 0;

    if (!checks)
        return -ENOMEM;
    if (map && profile->n_tunnels == 0 && (doc_is_null(map) || map->kind == DOC_MAP))
        problem_add(problems, PROBLEM_ERROR, &map->pos, "tunnels",
                    "has no tunnel in it (vpnctl user add writes a file with one at the server)");
    for (size_t i = 0; i < profile->n_tunnels; i++) {
        struct profile_tunnel *t = &profile->tunnels[i];
        const struct doc_entry *e = doc_entry_find(map, t->name);
        int rc;

        /* Its name was in error, or it is no map: that has been said. */
        if (!e || (e->value->kind != DOC_MAP && !doc_is_null(e->value)))
            continue;
        checks[n] = (struct check){profile, t, e, problems};
        rc = check_tunnel(&checks[n]);
        if (rc < 0)
            return rc;
        n += t->device[0] != '\0';
    }
    if (n)
        qsort(checks, n, sizeof(*checks), device_cmp);
    for (size_t i = 1; i < n; i++) {
        char what[IFNAMSIZ + PROFILE_NAME_MAX + 64];

        if (strcmp(checks[i].tunnel->device, checks[i - 1].tunnel->device) != 0)
            continue;
        snprintf(what, sizeof(what), "%s is the device of tunnel %s already (write another)",
                 checks[i].tunnel->device, checks[i - 1].tunnel->name);
        complain(&checks[i], "device", what);
    }
    return 0;
}

const struct conf_kind profile_kind = {
    .table = &root_table,
    .size = sizeof(struct profile),
    .arena_offset = offsetof(struct profile, arena),
    .check = check_tunnels,
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
