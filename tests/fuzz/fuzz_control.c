/* Any plaintext as a control record: what is taken is exactly what would be built of it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

static void check_request(const uint8_t *data, size_t size)
{
    uint8_t buf[CONTROL_REQUEST_LEN], page;

    if (control_request_parse(data, size, &page) < 0)
        return;
    control_request_build(buf, page);
    require(control_is(data, size) && size == sizeof(buf) && memcmp(buf, data, size) == 0);
}

static void check_answer(const uint8_t *data, size_t size)
{
    static struct ip_prefix all[CONTROL_PAGES_MAX * CONTROL_ROUTES_MAX];
    uint8_t buf[CONTROL_ANSWER_MAX];
    struct control_answer a;
    size_t len;

    if (control_answer_parse(data, size, &a) < 0)
        return;
    require(control_is(data, size) && a.page < a.pages && a.count <= CONTROL_ROUTES_MAX);
    for (size_t i = 0; i < a.count; i++)
        require(a.routes[i].len <= ip_addr_bits(&a.routes[i].addr));
    /* One page by itself, then its number as it was. */
    memcpy(all, a.routes, a.count * sizeof(all[0]));
    len = control_answer_build(buf, all, a.count, 0);
    buf[1] = a.page;
    buf[2] = a.pages;
    require(len == size && memcmp(buf, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_request(data, size);
    check_answer(data, size);
    return 0;
}
