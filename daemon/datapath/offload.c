/* Names and sets of offloads; see offload.h. */
#include "daemon/datapath/offload.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"

static const char *const names[] = {
    [OFFLOAD_TUN_TSO] = "tun-tso", [OFFLOAD_TUN_USO] = "tun-uso",
    [OFFLOAD_TUN_GRO] = "tun-gro", [OFFLOAD_UDP_SEGMENT] = "udp-segment",
    [OFFLOAD_UDP_GRO] = "udp-gro",
};
static_assert(ARRAY_SIZE(names) == OFFLOAD_NUM, "a new offload needs its name here");

const char *offload_name(unsigned int offload)
{
    return offload < OFFLOAD_NUM ? names[offload] : "unknown";
}

static int find(const char *word, size_t len)
{
    for (int i = 0; i < OFFLOAD_NUM; i++)
        if (strlen(names[i]) == len && strncmp(names[i], word, len) == 0)
            return i;
    return -1;
}

int offload_parse(const char *text, struct offload_choice *out, struct err *err)
{
    struct offload_choice choice = {.exact = true};

    if (!text) {
        *out = (struct offload_choice){.wanted = OFFLOAD_ALL};
        return 0;
    }
    if (strcmp(text, "none") == 0)
        text = "";
    while (*text) {
        size_t len = strcspn(text, ",");
        int offload = find(text, len);

        if (offload < 0)
            return err_set(err, -EINVAL,
                           OFFLOAD_ENVIRONMENT
                           ": no offload is called \"%.*s\" (there are tun-tso, "
                           "tun-uso, tun-gro, udp-segment, udp-gro; \"none\" "
                           "for none of them)",
                           len > 32 ? 32 : (int)len, text);
        choice.wanted |= OFFLOAD_BIT(offload);
        text += len + (text[len] == ',');
    }
    *out = choice;
    return 0;
}
