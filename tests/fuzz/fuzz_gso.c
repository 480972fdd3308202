/*
 * Frames from a device, and packets from peers: whatever they are, what is cut stays within the
 * frame, what is merged within an IP packet, and cutting a merged packet gives as much data back.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/inner.h"
#include "daemon/datapath/coalesce.h"
#include "daemon/datapath/gso.h"

#define ROOM 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct coalesce merge;
static uint8_t cells[COALESCE_PACKETS][GSO_HEADER_LEN + ROOM];

/* Return: bytes of payload and packets' own headers that came out. */
static size_t cut(uint8_t *frame, size_t len)
{
    struct gso_split split;
    size_t total = 0;

    if (gso_split_begin(&split, frame, len) < 0)
        return 0;
    while (gso_split_more(&split)) {
        size_t piece = gso_split_size(&split);
        uint8_t *out = malloc(piece); /* its end is seen by the sanitizer */

        if (!out || piece > len)
            abort();
        gso_split_next(&split, out);
        free(out);
        total += piece - split.headers;
    }
    if (total + split.headers + GSO_HEADER_LEN != len)
        abort();
    return total;
}

static void one_frame(const uint8_t *data, size_t size)
{
    uint8_t *frame = malloc(size + 1);

    if (!frame)
        abort();
    memcpy(frame, data, size);
    (void)cut(frame, size);
    free(frame);
}

/* Packets of two bytes' length each, as lane_deliver.c hands them on. */
static void many_packets(const uint8_t *data, size_t size)
{
    static uint8_t frame[GSO_HEADER_LEN + 65535];
    struct iovec iov[COALESCE_PACKETS];
    unsigned int g, i, n = 0;

    coalesce_begin(&merge);
    while (size > 2 && n < COALESCE_PACKETS) {
        size_t len = (size_t)(data[0] << 8 | data[1]) % ROOM;
        struct inner in;

        data += 2;
        size -= 2;
        len = len < size ? len : size;
        memcpy(cells[n] + GSO_HEADER_LEN, data, len);
        data += len;
        size -= len;
        if (inner_parse(cells[n] + GSO_HEADER_LEN, len, &in) < 0)
            continue;
        coalesce_add(&merge, cells[n++] + GSO_HEADER_LEN, in.total, 0, COALESCE_TCP | COALESCE_UDP);
    }
    for (g = 0; g < merge.n_groups; g++) {
        size_t len = 0;

        n = coalesce_frame(&merge, g, iov);
        for (i = 0; i < n; i++) {
            if (len + iov[i].iov_len > sizeof(frame))
                abort();
            memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
        if (merge.groups[g].count > 1 && cut(frame, len) != merge.groups[g].data)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] & 1)
        one_frame(data + 1, size - 1);
    else
        many_packets(data + 1, size - 1);
    return 0;
}
