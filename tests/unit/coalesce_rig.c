/* A batch of packets that are merged, and what comes out of it. */
#include "tests/unit/coalesce_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/datapath/gso.h"

struct coalesce merge;
struct packet out[COALESCE_PACKETS];
unsigned int n_out, n_frames;

static uint8_t cells[COALESCE_PACKETS][ROOM];

uint8_t *cell(unsigned int i)
{
    return cells[i] + 64;
}

void add(unsigned int i, size_t len)
{
    coalesce_add(&merge, cell(i), len, 0, BOTH);
}

void take_out(void)
{
    static uint8_t frame[GSO_HEADER_LEN + 65535];
    struct iovec iov[COALESCE_PACKETS];
    unsigned int g, i;

    n_out = 0;
    n_frames = merge.n_groups;
    for (g = 0; g < merge.n_groups; g++) {
        unsigned int n = coalesce_frame(&merge, g, iov);
        struct gso_split split;
        size_t len = 0;

        for (i = 0; i < n; i++) {
            assert_true(len + iov[i].iov_len <= sizeof(frame));
            memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
        assert_int_equal(len - GSO_HEADER_LEN, total_of(frame + GSO_HEADER_LEN));
        assert_int_equal(gso_split_begin(&split, frame, len), 0);
        while (gso_split_more(&split)) {
            assert_true(n_out < COALESCE_PACKETS);
            out[n_out].len = gso_split_size(&split);
            assert_true(out[n_out].len <= ROOM);
            gso_split_next(&split, out[n_out++].bytes);
        }
    }
}

struct shape segment(size_t data)
{
    return (struct shape){.family = 4,
                          .protocol = IPPROTO_TCP,
                          .ttl = 64,
                          .id = 7,
                          .port = 40000,
                          .seq = 1000,
                          .ack = 99,
                          .flags = ACK,
                          .window = 501,
                          .options = 12,
                          .stamp = 5,
                          .data = data};
}

void follow(struct shape *s)
{
    s->seq += (uint32_t)s->data;
    s->id++;
}
