/* common/helper and what runs on it: order, cancelling, and a job that does not end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/resolve.h"
#include "common/helper.h"

struct test_job {
    struct helper_job job;
    int number;
    int begun[2], go[2]; /* when set: work says that it has begun, and waits to be let go */
    pthread_t worked_by;
    struct test_log *log;
};

struct test_log {
    int done[8];
    size_t n_done, n_cancelled;
};

static void work(struct helper_job *job)
{
    struct test_job *t = (struct test_job *)job;
    char byte;

    t->worked_by = pthread_self();
    if (t->go[0] > 0) {
        assert_int_equal(write(t->begun[1], "", 1), 1);
        assert_int_equal(read(t->go[0], &byte, 1), 1);
    }
}

static void done(struct helper_job *job, bool cancelled)
{
    struct test_job *t = (struct test_job *)job;

    if (cancelled)
        t->log->n_cancelled++;
    else
        t->log->done[t->log->n_done++] = t->number;
}

static void service_until(struct helper *h, const struct test_log *log, size_t n)
{
    struct pollfd p = {.fd = helper_fd(h), .events = POLLIN};

    while (log->n_done < n) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        helper_service(h);
    }
}

static void test_order(void **state)
{
    struct test_log log = {0};
    struct test_job jobs[3];
    struct helper *h;

    (void)state;
    assert_int_equal(helper_new(&h), 0);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct test_job){.job = {.work = work, .done = done}, .number = i, .log = &log};
        helper_submit(h, &jobs[i].job);
    }
    service_until(h, &log, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log.done[i], i);
        assert_false(pthread_equal(jobs[i].worked_by, pthread_self()));
    }
    /* A job that is back may go again. */
    helper_submit(h, &jobs[1].job);
    service_until(h, &log, 4);
    assert_int_equal(log.done[3], 1);
    assert_int_equal(helper_close(h, 10000), 0);
    assert_int_equal(log.n_cancelled, 0);
}

/* The one that runs is waited for, the one behind it is cancelled. */
static void test_close(void **state)
{
    struct test_log log = {0};
    struct test_job running = {.job = {.work = work, .done = done}, .number = 1, .log = &log};
    struct test_job waiting = {.job = {.work = work, .done = done}, .number = 2, .log = &log};
    struct helper *h;
    char byte;

    (void)state;
    assert_int_equal(pipe(running.begun), 0);
    assert_int_equal(pipe(running.go), 0);
    assert_int_equal(helper_new(&h), 0);
    helper_submit(h, &running.job);
    helper_submit(h, &waiting.job);
    assert_int_equal(read(running.begun[0], &byte, 1), 1);
    assert_int_equal(helper_close(h, 20), -ETIMEDOUT);
    assert_int_equal(log.n_cancelled, 1);
    assert_int_equal(log.n_done, 0);
    /* Let the thread that was left alone come to its end. */
    assert_int_equal(write(running.go[1], "", 1), 1);
    assert_int_equal(helper_close(h, 10000), 0);
    assert_int_equal(log.n_cancelled, 1);
    assert_int_equal(log.n_done, 1);
    assert_int_equal(log.done[0], 1);
    for (int i = 0; i < 2; i++) {
        close(running.begun[i]);
        close(running.go[i]);
    }
}

static void test_close_nothing(void **state)
{
    (void)state;
    assert_int_equal(helper_close(NULL, 0), 0);
}

static void families(const char *in, const char *want)
{
    struct ip_addr addrs[RESOLVE_MAX] = {0};
    const size_t n = strlen(in);

    /* The last byte numbers them, so that the order within a family shows. */
    for (size_t i = 0; i < n; i++)
        addrs[i] = (struct ip_addr){.family = (uint8_t)(in[i] - '0'), .bytes = {[3] = (uint8_t)i}};
    resolve_alternate(addrs, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(addrs[i].family, want[i] - '0');
        for (size_t j = 0; j < i; j++)
            if (addrs[j].family == addrs[i].family)
                assert_true(addrs[j].bytes[3] < addrs[i].bytes[3]);
    }
}

static void test_alternate(void **state)
{
    (void)state;
    families("", "");
    families("4", "4");
    families("444", "444");
    families("6644", "6464");
    families("4466", "4646");
    families("64444", "64444");
    families("66664", "64666");
    families("46646644", "46464646");
}

struct answer {
    struct resolve_result result;
    bool here;
};

static void keep(void *ctx, const struct resolve_result *result)
{
    struct answer *a = ctx;

    a->result = *result;
    a->here = true;
}

/* Literal addresses need no name server, so this works everywhere. */
static void test_resolve(void **state)
{
    struct answer a = {0};
    const struct dns dns = {.fd = -1};
    struct helper *h;

    (void)state;
    assert_int_equal(helper_new(&h), 0);
    assert_int_equal(resolve_start(h, &dns, "192.0.2.7", keep, &a), 0);
    while (!a.here) {
        struct pollfd p = {.fd = helper_fd(h), .events = POLLIN};

        assert_int_equal(poll(&p, 1, 10000), 1);
        helper_service(h);
    }
    assert_int_equal(a.result.n, 1);
    assert_int_equal(a.result.addrs[0].family, 4);
    assert_memory_equal(a.result.addrs[0].bytes, "\xc0\x00\x02\x07", 4);
    assert_int_equal(helper_close(h, 10000), 0);
}

/* A look-up that has not begun when all ends: nobody hears of it, and nothing of it is left. */
static void test_cancelled(void **state)
{
    struct test_log log = {0};
    struct test_job running = {.job = {.work = work, .done = done}, .number = 1, .log = &log};
    const struct dns dns = {.fd = -1};
    struct answer a = {0};
    struct helper *h;
    char byte;

    (void)state;
    assert_int_equal(pipe(running.begun), 0);
    assert_int_equal(pipe(running.go), 0);
    assert_int_equal(helper_new(&h), 0);
    helper_submit(h, &running.job);
    assert_int_equal(read(running.begun[0], &byte, 1), 1);
    assert_int_equal(resolve_start(h, &dns, "192.0.2.7", keep, &a), 0);
    assert_int_equal(helper_close(h, 1), -ETIMEDOUT);
    assert_int_equal(write(running.go[1], "", 1), 1);
    assert_int_equal(helper_close(h, 10000), 0);
    assert_false(a.here);
    for (int i = 0; i < 2; i++) {
        close(running.begun[i]);
        close(running.go[i]);
    }
}

static unsigned int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_dns_open(void **state)
{
    const unsigned int before = count_descriptors();
    struct rlimit limit, none;
    struct dns dns = {0};
    struct err err;
    int free_fd;

    (void)state;
    dns_close(&dns); /* descriptor 0 is somebody else's */
    assert_int_equal(count_descriptors(), before);
    dns = (struct dns){0};
    assert_int_equal(dns_open(&dns, 0, &err), 0);
    if (dns.port)
        assert_in_range(dns.port, DNS_PORT_FIRST, DNS_PORT_LAST);
    dns_close(&dns);
    dns_close(&dns);
    assert_int_equal(count_descriptors(), before);

    /* Without a descriptor for it. */
    free_fd = dup(0);
    assert_true(free_fd >= 0);
    close(free_fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)free_fd, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(dns_open(&dns, 0, &err), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_false(dns.opened);
    dns_close(&dns);
    assert_int_equal(count_descriptors(), before);
}

/* What stands in /etc/hosts needs no name server. */
static void test_dns_lookup(void **state)
{
    const unsigned int before = count_descriptors();
    struct ip_addr addrs[RESOLVE_MAX];
    struct dns dns = {0};
    struct err err;
    size_t n = 0;

    (void)state;
    assert_int_equal(dns_open(&dns, 0, &err), 0);
    for (unsigned int i = 0; i < 10; i++) {
        assert_int_equal(dns_lookup(&dns, "localhost", addrs, RESOLVE_MAX, &n, &err), 0);
        assert_in_range(n, 1, RESOLVE_MAX);
        assert_int_equal(dns_lookup(&dns, "localhost", addrs, 1, &n, &err), 0);
        assert_int_equal(n, 1);
    }
    dns_close(&dns);
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),         cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_nothing), cmocka_unit_test(test_alternate),
        cmocka_unit_test(test_resolve),       cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_dns_open),      cmocka_unit_test(test_dns_lookup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
