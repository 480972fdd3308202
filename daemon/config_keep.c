/* What a running server cannot change; see config_keep.h. */
#include "daemon/config_keep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/arena.h"
#include "common/text.h"

static void note(char kept[CONFIG_KEEP_SIZE], const char *key)
{
    size_t used = strlen(kept);

    snprintf(kept + used, CONFIG_KEEP_SIZE - used, "%s%s", used ? ", " : "", key);
}

/* A text that stays as it was; NULL is one too. */
static int keep_text(struct config *now, const char **text, const char *former, const char *key,
                     char kept[CONFIG_KEEP_SIZE])
{
    if (text_equal(*text, former))
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

static bool is_low(const struct ip_endpoint *listen)
{
    return listen->port < 1024;
}

static bool has_low(const struct config *config)
{
    for (size_t i = 0; i < config->n_listen; i++)
        if (is_low(&config->listen[i]))
            return true;
    return false;
}

/* The right to bind ports below 1024 is kept at start if any was wanted, and gone otherwise. */
static int keep_listen(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE])
{
    if (!has_low(now) || has_low(then))
        return 0;
    note(kept, "server.listen (ports below 1024)");
    return keep_array(now, &now->listen, &now->n_listen, then->listen, then->n_listen,
                      sizeof(*now->listen));
}

static int keep_paths(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE])
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

int config_keep(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE])
{
    int rc;

    kept[0] = '\0';
    rc = keep_listen(now, then, kept);
    if (now->max_clients != then->max_clients)
        note(kept, "server.max-clients");
    if (now->workers != then->workers)
        note(kept, "server.workers");
    now->max_clients = then->max_clients;
    now->workers = then->workers;
    return rc < 0 ? rc : keep_paths(now, then, kept);
}

int config_keep_paths(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE])
{
    kept[0] = '\0';
    return keep_paths(now, then, kept);
}
