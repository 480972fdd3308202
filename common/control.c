/* Control records inside DATA; see control.h. */
#include "common/control.h"

#include <errno.h>
#include <string.h>

#include "common/wire.h"

_Static_assert(CONTROL_HEADER_LEN + CONTROL_ROUTES_MAX * CONTROL_ENTRY_LEN <= CONTROL_ANSWER_MAX &&
                   CONTROL_ANSWER_MAX <= WIRE_MTU_MIN && CONTROL_ANSWER_MAX % WIRE_PAD == 0,
               "a full page goes through every tunnel");

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && *p == 0) {
        p++;
        n--;
    }
    return n == 0;
}

bool control_is(const uint8_t *buf, size_t len)
{
    return len > 0 && buf[0] >> 4 == 0;
}

void control_request_build(uint8_t buf[CONTROL_REQUEST_LEN], uint8_t page)
{
    memset(buf, 0, CONTROL_REQUEST_LEN);
    buf[0] = CONTROL_ROUTE_REQUEST;
    buf[1] = page;
}

int control_request_parse(const uint8_t *buf, size_t len, uint8_t *page)
{
    if (len != CONTROL_REQUEST_LEN || buf[0] != CONTROL_ROUTE_REQUEST || !all_zero(buf + 2, 14))
        return -EINVAL;
    *page = buf[1];
    return 0;
}

size_t control_pages(size_t n)
{
    return n ? (n + CONTROL_ROUTES_MAX - 1) / CONTROL_ROUTES_MAX : 1;
}

static void entry_put(uint8_t *p, const struct ip_prefix *route)
{
    p[0] = route->len;
    p[1] = route->addr.family;
    memcpy(p + 4, route->addr.bytes, ip_addr_bytes(&route->addr));
}

size_t control_answer_build(uint8_t buf[CONTROL_ANSWER_MAX], const struct ip_prefix *routes,
                            size_t n, uint8_t page)
{
    size_t pages = control_pages(n), first = (size_t)page * CONTROL_ROUTES_MAX;
    size_t count, i;

    if (pages > CONTROL_PAGES_MAX || page >= pages)
        return 0;
    count = n - first < CONTROL_ROUTES_MAX ? n - first : CONTROL_ROUTES_MAX;
    memset(buf, 0, CONTROL_ANSWER_MAX);
    buf[0] = CONTROL_ROUTE_ANSWER;
    buf[1] = page;
    buf[2] = (uint8_t)pages;
    buf[3] = (uint8_t)count;
    for (i = 0; i < count; i++)
        entry_put(buf + CONTROL_HEADER_LEN + i * CONTROL_ENTRY_LEN, &routes[first + i]);
    return wire_padded(CONTROL_HEADER_LEN + count * CONTROL_ENTRY_LEN);
}

static int entry_parse(const uint8_t *p, struct ip_prefix *out)
{
    struct ip_prefix route = {.len = p[0]}, network;

    if ((p[1] != 4 && p[1] != 6) || !all_zero(p + 2, 2))
        return -EINVAL;
    route.addr.family = p[1];
    memcpy(route.addr.bytes, p + 4, sizeof(route.addr.bytes));
    if (route.len > ip_addr_bits(&route.addr))
        return -EINVAL;
    /* Host bits, and the bytes behind an IPv4 address, are zero: one spelling per route. */
    network = ip_prefix_network(route);
    if (memcmp(network.addr.bytes, route.addr.bytes, sizeof(route.addr.bytes)) != 0 ||
        (route.addr.family == 4 && !all_zero(p + 8, 12)))
        return -EINVAL;
    *out = route;
    return 0;
}

int control_answer_parse(const uint8_t *buf, size_t len, struct control_answer *out)
{
    struct ip_prefix route;
    size_t used, i;

    if (len < CONTROL_HEADER_LEN || buf[0] != CONTROL_ROUTE_ANSWER || buf[1] >= buf[2] ||
        buf[3] > CONTROL_ROUTES_MAX || !all_zero(buf + 4, 12))
        return -EINVAL;
    used = CONTROL_HEADER_LEN + (size_t)buf[3] * CONTROL_ENTRY_LEN;
    if (len != wire_padded(used) || !all_zero(buf + used, len - used))
        return -EINVAL;
    for (i = 0; i < buf[3]; i++) {
        if (entry_parse(buf + CONTROL_HEADER_LEN + i * CONTROL_ENTRY_LEN, &route) < 0)
            return -EINVAL;
        if (out)
            out->routes[i] = route;
    }
    if (out) {
        out->page = buf[1];
        out->pages = buf[2];
        out->count = buf[3];
    }
    return 0;
}
