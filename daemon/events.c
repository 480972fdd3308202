/* What happens, told to whoever watches; see events.h. */
#include "daemon/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/datapath/report.h"
#include "daemon/server.h"

void events_say(struct server *s, const char *kind, json_t *more, const char *fmt, ...)
{
    char text[1024];
    json_t *event;
    va_list ap;

    if (ctl_server_streams(s->ctl) == 0) {
        json_decref(more);
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    event = json_pack("{s:i, s:s, s:o, s:s}", "version", CTL_VERSION, "event", kind, "time",
                      report_time((time_t)(s->now.real_us / 1000000)), "text", text);
    if (event && more)
        json_object_update(event, more);
    json_decref(more);
    if (event)
        ctl_server_publish(s->ctl, event, s->now.mono_ms);
    json_decref(event);
}

static void put_addr(json_t *list, const struct ip_addr *addr)
{
    char text[IP_ADDR_STRLEN];

    if (addr->family)
        json_array_append_new(list, json_string(ip_addr_format(addr, text)));
}

void events_session(struct server *s, const char *kind, const struct server_session *session)
{
    char device[2 * WIRE_DEVICE_ID_LEN + 1];
    json_t *addresses;

    if (ctl_server_streams(s->ctl) == 0)
        return;
    addresses = json_array();
    put_addr(addresses, &session->lease->ip4);
    put_addr(addresses, &session->lease->ip6);
    lease_device_format(session->lease, device);
    events_say(s, kind,
               json_pack("{s:s, s:s, s:o}", "user", session_name(s, session), "device", device,
                         "addresses", addresses),
               "%s (%.16s)", session_name(s, session), device);
}
