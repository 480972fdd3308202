/*
 * Memory that is short when a test says so: the linker sends the allocations of all that is linked
 * here (-Wl,--wrap=..., MEMORY_WRAP in the Makefile); those of libraries are not among them.
 */
#ifndef TESTS_SHORT_MEMORY_H
#define TESTS_SHORT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "netlink/kernel.h"

static struct {
    size_t fail_at; /* this allocation fails; 0: none */
    bool for_good;  /* and all that follow */
    size_t n;       /* so far */
    bool suspended; /* what the fake kernel keeps has room */
    struct net_kernel kernel;
} memory;

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);

static bool is_short(void)
{
    if (memory.suspended || memory.fail_at == 0)
        return false;
    memory.n++;
    return memory.n == memory.fail_at || (memory.for_good && memory.n > memory.fail_at);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_short() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_short() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return is_short() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
    return is_short() ? NULL : __real_strdup(text);
}

/* From here on allocation number @fail_at fails; @for_good: and all that follow. */
static void memory_shorten(size_t fail_at, bool for_good)
{
    memory.fail_at = fail_at;
    memory.for_good = for_good;
    memory.n = 0;
}

/* There is memory again.  Return: whether it had become short. */
static bool memory_relieve(void)
{
    const bool was_short = memory.fail_at && memory.n >= memory.fail_at;

    memory.fail_at = 0;
    return was_short;
}

/* ---- the fake kernel, whose own memory is never short ------------------------------------------
 */

struct memory_refused {
    net_refused *tell;
    void *ctx;
};

static void pass_refusal(void *ctx, size_t i, int rc, const char *why)
{
    const struct memory_refused *refused = ctx;

    memory.suspended = false;
    refused->tell(refused->ctx, i, rc, why);
    memory.suspended = true;
}

static int memory_apply(void *ctx, const struct net_op *ops, size_t n, net_refused *tell,
                        void *tell_ctx, struct err *err)
{
    struct memory_refused refused = {.tell = tell, .ctx = tell_ctx};
    int rc;

    memory.suspended = true;
    rc = memory.kernel.apply(ctx, ops, n, pass_refusal, &refused, err);
    memory.suspended = false;
    return rc;
}

/* The same kernel, with such a memory of its own. */
static struct net_kernel memory_kernel(struct net_kernel kernel)
{
    memory.kernel = kernel;
    kernel.apply = memory_apply;
    return kernel;
}

#endif
