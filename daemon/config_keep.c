/* What a running server cannot change; see config_keep.h. */
#include "daemon/config_keep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/arena.h"

static void note(char kept[CONFIG_KEEP_SIZE], const char *key)
{
    size_t used = strlen(kept);

    snprintf(kept + used, CONFIG_KEEP_SIZE - used, "%s%s", used ? ", " : "", key);
}

static bool texts_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A text that stays as it was; NULL is one too. */
static int keep_text(struct config *now, const char **text, const char *former, const char *key,
                     char kept[CONFIG_KEEP_SIZE])
{
    if (texts_equal(*text, former))
        return 0;
    note(kept, key);
    *text = former ? arena_strdup(now->arena, former) : NULL;
    return former && !*text ? -ENOMEM : 0;
}

static int keep_array(struct config *now, void *items, size_t *n, const void *former,
                      size_t n_former, size_t size)
{
    void *copy = arena_array(now->arena, n_former, size);

    if (!copy)
        return -ENOMEM;
    if (n_former)
        memcpy(copy, former, n_former * size);
    memcpy(items, &copy, sizeof(copy));
    *n = n_former;
    return 0;
}

static bool listens_equal(const struct config *a, const struct config *b)
{
    size_t i;

    for (i = 0; a->n_listen == b->n_listen && i < a->n_listen; i++)
        if (!ip_endpoint_equal(&a->listen[i], &b->listen[i]))
            return false;
    return a->n_listen == b->n_listen;
}

static bool addresses_equal(const struct config *a, const struct config *b)
{
    size_t i;

    for (i = 0; i < a->n_addresses; i++) {
        const struct ip_prefix *pa = &a->addresses[i];
        const struct ip_prefix *pb = config_prefix(b, pa->addr.family);

        if (!pb || pb->len != pa->len || !ip_addr_equal(&pa->addr, &pb->addr))
            return false;
    }
    return a->n_addresses == b->n_addresses;
}

/* The users of the new file were checked against addresses that do not come into force. */
static int check_user(const struct config *config, const struct config_user *user, struct err *err)
{
    char text[IP_PREFIX_STRLEN];
    size_t i;

    for (i = 0; i < user->n_fixed; i++) {
        const struct ip_addr *addr = &user->fixed[i];
        const struct ip_prefix *own = config_prefix(config, addr->family);

        if (!own || !ip_prefix_contains(own, addr) || ip_addr_equal(&own->addr, addr))
            return err_set(err, -EINVAL,
                           "tunnel.addresses change only by a restart, and address %s of user %s "
                           "does not fit the present ones",
                           ip_addr_format(addr, text), user->name);
    }
    for (i = 0; i < user->n_networks; i++) {
        const struct ip_prefix *network = &user->networks[i];
        const struct ip_prefix *own = config_prefix(config, network->addr.family);

        if (!own || ip_prefix_overlaps(own, network))
            return err_set(err, -EINVAL,
                           "tunnel.addresses change only by a restart, and network %s of user %s "
                           "does not fit the present ones",
                           ip_prefix_format(network, text), user->name);
    }
    return 0;
}

static int keep_addresses(struct config *now, const struct config *then,
                          char kept[CONFIG_KEEP_SIZE], struct err *err)
{
    size_t i;
    int rc;

    if (addresses_equal(now, then))
        return 0;
    note(kept, "tunnel.addresses and tunnel.pool");
    rc = keep_array(now, &now->addresses, &now->n_addresses, then->addresses, then->n_addresses,
                    sizeof(*now->addresses));
    if (rc == 0)
        rc =
            keep_array(now, &now->pool, &now->n_pool, then->pool, then->n_pool, sizeof(*now->pool));
    if (rc < 0)
        return err_set(err, rc, "out of memory");
    for (i = 0; rc == 0 && i < now->n_users; i++)
        rc = check_user(now, &now->users[i], err);
    return rc;
}

static int keep_texts(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE])
{
    int rc = keep_text(now, &now->identity, then->identity, "server.identity", kept);

    if (rc == 0)
        rc = keep_text(now, &now->log_file, then->log_file, "log.file", kept);
    if (rc == 0)
        rc = keep_text(now, &now->control_socket, then->control_socket, "control.socket", kept);
    if (rc == 0)
        rc = keep_text(now, &now->control_group, then->control_group, "control.group", kept);
    if (rc == 0)
        rc = keep_text(now, &now->state, then->state, "state", kept);
    return rc;
}

int config_keep(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE],
                struct err *err)
{
    int rc = 0;

    kept[0] = '\0';
    if (!listens_equal(now, then)) {
        note(kept, "server.listen");
        rc = keep_array(now, &now->listen, &now->n_listen, then->listen, then->n_listen,
                        sizeof(*now->listen));
    }
    if (now->max_clients != then->max_clients)
        note(kept, "server.max-clients");
    if (now->workers != then->workers)
        note(kept, "server.workers");
    if (strcmp(now->device, then->device) != 0)
        note(kept, "tunnel.device");
    if (now->mtu != then->mtu)
        note(kept, "tunnel.mtu");
    now->max_clients = then->max_clients;
    now->workers = then->workers;
    now->mtu = then->mtu;
    memcpy(now->device, then->device, sizeof(now->device));
    if (rc == 0)
        rc = keep_texts(now, then, kept);
    if (rc < 0)
        return err_set(err, rc, "out of memory");
    return keep_addresses(now, then, kept, err);
}
