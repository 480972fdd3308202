/* What two configurations say differently; see config_diff.h. */
#include "daemon/config_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/rate.h"
#include "common/text.h"
#include "daemon/config_qos.h"

#define USER_LINES 100 /* named; of more only the number is said */

static void line(json_t *lines, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(json_t *lines, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_array_append_new(lines, json_string(text));
}

/* ---- users --------------------------------------------------------------------------------- */

static void user_parts(unsigned int parts, char *out, size_t size)
{
    static const struct {
        unsigned int part;
        const char *name;
    } names[] = {
        {USER_PART_ADDRESS, "address"},
        {USER_PART_NETWORKS, "networks"},
        {USER_PART_LOGIN, "enabled, expires"},
        {USER_PART_DEVICES, "max-devices"},
        {USER_PART_CLASS, "class"},
    };
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(names) && used < size; i++)
        if (parts & names[i].part)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", names[i].name);
}

static void diff_users(json_t *lines, const struct config *then, const struct config *now,
                       const struct user_change *users, size_t n)
{
    char parts[128];

    for (size_t i = 0; i < n && i < USER_LINES; i++) {
        switch (users[i].kind) {
        case USER_ADDED:
            line(lines, "+ user %s", now->users[users[i].new_index].name);
            break;
        case USER_REMOVED:
            line(lines, "- user %s", then->users[users[i].old_index].name);
            break;
        case USER_CHANGED:
            user_parts(users[i].parts, parts, sizeof(parts));
            line(lines, "~ user %s: %s", now->users[users[i].new_index].name, parts);
            break;
        }
    }
    if (n > USER_LINES)
        line(lines, "~ and %zu more users", n - USER_LINES);
}

/* ---- values -------------------------------------------------------------------------------- */

static void diff_number(json_t *lines, const char *key, uint32_t then, uint32_t now)
{
    if (then != now)
        line(lines, "~ %s: %u, was %u", key, now, then);
}

static void diff_bool(json_t *lines, const char *key, bool then, bool now)
{
    if (then != now)
        line(lines, "~ %s: %s, was %s", key, now ? "true" : "false", then ? "true" : "false");
}

static void diff_text(json_t *lines, const char *key, const char *then, const char *now,
                      const char *note)
{
    if (!text_equal(then, now))
        line(lines, "~ %s: %s, was %s%s", key, now ? now : "absent", then ? then : "absent", note);
}

/* Lists become one text each, so that they are compared and shown the same way. */
struct list {
    char text[160];
    size_t used, left_out;
};

static void list_add(struct list *list, const char *item)
{
    const size_t left = sizeof(list->text) - list->used;

    if (strlen(item) + sizeof(", ") > left)
        list->left_out++;
    else
        list->used +=
            (size_t)snprintf(list->text + list->used, left, "%s%s", list->used ? ", " : "", item);
}

static void list_show(json_t *lines, const char *key, bool differs, const struct list *now,
                      const char *note)
{
    if (differs && now->left_out)
        line(lines, "~ %s: %s and %zu more%s", key, now->text, now->left_out, note);
    else if (differs)
        line(lines, "~ %s: %s%s", key, now->used ? now->text : "none", note);
}

static bool addrs_equal(const struct ip_addr *a, size_t n_a, const struct ip_addr *b, size_t n_b)
{
    for (size_t i = 0; n_a == n_b && i < n_a; i++)
        if (!ip_addr_equal(&a[i], &b[i]))
            return false;
    return n_a == n_b;
}

static bool prefixes_equal(const struct ip_prefix *a, size_t n_a, const struct ip_prefix *b,
                           size_t n_b)
{
    for (size_t i = 0; n_a == n_b && i < n_a; i++)
        if (a[i].len != b[i].len || !ip_addr_equal(&a[i].addr, &b[i].addr))
            return false;
    return n_a == n_b;
}

static void diff_prefixes(json_t *lines, const char *key, const struct ip_prefix *then,
                          size_t n_then, const struct ip_prefix *now, size_t n_now,
                          const char *note)
{
    struct list list = {.used = 0, .left_out = 0};
    char text[IP_PREFIX_STRLEN];

    for (size_t i = 0; i < n_now; i++)
        list_add(&list, ip_prefix_format(&now[i], text));
    list_show(lines, key, !prefixes_equal(then, n_then, now, n_now), &list, note);
}

static void diff_listen(json_t *lines, const struct config *then, const struct config *now)
{
    struct list list = {.used = 0, .left_out = 0};
    char text[IP_ENDPOINT_STRLEN];
    bool differs = then->n_listen != now->n_listen;

    for (size_t i = 0; i < now->n_listen; i++) {
        list_add(&list, ip_endpoint_format(&now->listen[i], text));
        differs = differs || !ip_endpoint_equal(&now->listen[i], &then->listen[i]);
    }
    list_show(lines, "server.listen", differs, &list,
              " (these sockets are made anew; clients follow if they can)");
}

static void diff_pool(json_t *lines, const struct config *then, const struct config *now)
{
    struct list list = {.used = 0, .left_out = 0};
    bool differs = then->n_pool != now->n_pool;

    for (size_t i = 0; i < now->n_pool; i++) {
        const struct ip_range *range = &now->pool[i];
        char first[IP_ADDR_STRLEN], last[IP_ADDR_STRLEN], text[2 * IP_ADDR_STRLEN];

        snprintf(text, sizeof(text), "%s-%s", ip_addr_format(&range->first, first),
                 ip_addr_format(&range->last, last));
        list_add(&list, text);
        differs = differs || !ip_addr_equal(&range->first, &then->pool[i].first) ||
                  !ip_addr_equal(&range->last, &then->pool[i].last);
    }
    list_show(lines, "tunnel.pool", differs, &list, "");
}

static void diff_dns(json_t *lines, const struct config *then, const struct config *now)
{
    struct list list = {.used = 0, .left_out = 0};
    char text[IP_ADDR_STRLEN];

    for (size_t i = 0; i < now->n_dns; i++)
        list_add(&list, ip_addr_format(&now->dns[i], text));
    list_show(lines, "tunnel.dns", !addrs_equal(then->dns, then->n_dns, now->dns, now->n_dns),
              &list, " (told at the next login)");
}

/* ---- qos ------------------------------------------------------------------------------------- */

#define CLASS_STRLEN 200

static void diff_rate(json_t *lines, const char *key, uint64_t then, uint64_t now)
{
    char a[RATE_STRLEN], b[RATE_STRLEN];

    if (then != now)
        line(lines, "~ %s: %s, was %s", key, now ? rate_format(now, a) : "absent",
             then ? rate_format(then, b) : "absent");
}

/* "5mbit to 10mbit", or one rate where that is the ceiling too. */
static const char *rates_text(const struct config_rates *rates, char buf[2 * RATE_STRLEN + 4])
{
    char rate[RATE_STRLEN], ceil[RATE_STRLEN];

    if (rates->ceil == rates->rate)
        return rate_format(rates->rate, buf);
    snprintf(buf, 2 * RATE_STRLEN + 4, "%s to %s", rate_format(rates->rate, rate),
             rate_format(rates->ceil, ceil));
    return buf;
}

static void class_text(const struct config_class *cls, char buf[CLASS_STRLEN])
{
    char down[2 * RATE_STRLEN + 4], up[2 * RATE_STRLEN + 4];
    bool alike = cls->download.rate == cls->upload.rate && cls->download.ceil == cls->upload.ceil;

    rates_text(&cls->download, down);
    snprintf(buf, CLASS_STRLEN, "%s%s%s%s, priority %u%s%s", alike ? "" : "download ", down,
             alike ? "" : ", upload ", alike ? "" : rates_text(&cls->upload, up), cls->priority,
             cls->shared ? ", shared" : "", cls->guaranteed ? ", guaranteed" : "");
}

static void diff_qos(json_t *lines, const struct config_qos *then, const struct config_qos *now)
{
    size_t o = 0, w = 0;

    diff_rate(lines, "qos.download", then->download, now->download);
    diff_rate(lines, "qos.upload", then->upload, now->upload);
    diff_text(lines, "qos.default-class", then->default_name, now->default_name, "");
    diff_text(lines, "qos.leaf", config_leaf_name(then->leaf), config_leaf_name(now->leaf), "");
    while (o < then->n_classes || w < now->n_classes) {
        int order = o == then->n_classes  ? 1
                    : w == now->n_classes ? -1
                                          : strcmp(then->classes[o].name, now->classes[w].name);
        char old[CLASS_STRLEN] = "", new[CLASS_STRLEN] = "";

        if (order <= 0)
            class_text(&then->classes[o], old);
        if (order >= 0)
            class_text(&now->classes[w], new);
        if (order < 0)
            line(lines, "- qos.classes.%s: %s", then->classes[o].name, old);
        else if (order > 0)
            line(lines, "+ qos.classes.%s: %s", now->classes[w].name, new);
        else if (strcmp(old, new) != 0)
            line(lines, "~ qos.classes.%s: %s, was %s", now->classes[w].name, new, old);
        o += order <= 0;
        w += order >= 0;
    }
}

json_t *config_diff(const struct config *then, const struct config *now,
                    const struct user_change *users, size_t n_users, const char *kept)
{
    json_t *lines = json_array();

    if (!lines)
        return NULL;
    diff_listen(lines, then, now);
    diff_text(lines, "server.endpoint", then->endpoint, now->endpoint, "");
    diff_text(lines, "server.realm", then->realm, now->realm,
              " (tokens made for the former realm are worth nothing now)");
    diff_number(lines, "server.session-timeout", then->session_timeout_s, now->session_timeout_s);
    diff_text(lines, "tunnel.device", then->device, now->device,
              " (the device is made anew; sessions stay)");
    diff_prefixes(lines, "tunnel.addresses", then->addresses, then->n_addresses, now->addresses,
                  now->n_addresses, " (who does not fit gets another address)");
    diff_number(lines, "tunnel.mtu", then->mtu, now->mtu);
    diff_pool(lines, then, now);
    diff_dns(lines, then, now);
    diff_bool(lines, "tunnel.client-to-client", then->client_to_client, now->client_to_client);
    diff_prefixes(lines, "tunnel.push-routes", then->push_routes, then->n_push_routes,
                  now->push_routes, now->n_push_routes, "");
    diff_users(lines, then, now, users, n_users);
    diff_qos(lines, &then->qos, &now->qos);
    /* Switching it off is no change that the engine plans: what was there before is put back. */
    diff_bool(lines, "forwarding", then->forwarding, now->forwarding);
    diff_number(lines, "reconcile.interval", then->reconcile_interval_s, now->reconcile_interval_s);
    if (then->drift != now->drift)
        line(lines, "~ reconcile.drift: %s",
             now->drift == CONFIG_DRIFT_REPAIR ? "repair" : "report");
    if (then->log_level != now->log_level)
        line(lines, "~ log.level");
    if (kept[0])
        line(lines, "= %s: not before a restart", kept);
    return lines;
}
