/* Wipe and exit; see end.h. */
#include "enclave/end.h"

#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Of the 512 bytes of FXSAVE the last 48 are the kernel's, to say how much follows. */
#define FP_SIZE     512
#define FP_SW_BYTES 464

static struct secret *registered;
static void (*registered_first)(void);
static _Thread_local bool ending_here;

void enclave_end_wipes(struct secret *s)
{
    registered = s;
}

void enclave_end_first(void (*first)(void))
{
    registered_first = first;
}

static void say(const char *why)
{
    char line[160] = "vpn-enclave: ";
    size_t len = strlen(line);

    strncat(line, why, sizeof(line) - len - 2);
    len = strlen(line);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nobody listens; the exit status still speaks */
}

void enclave_end(const char *why)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;

    /* A fault within the wipe itself: nothing more can be done. */
    if (ending_here)
        _exit(1);
    /* Several threads may find a reason at once: the first wipes, and none cuts it short. */
    while (atomic_flag_test_and_set(&ending))
        ;
    ending_here = true;
    if (registered_first)
        registered_first();
    /* Before anything that a hostile caller could hold up, such as a full standard error. */
    if (registered)
        secret_wipe(registered);
    if (why)
        say(why);
    _exit(why ? 1 : 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/*
 * The kernel saved the registers on this stack, and a cipher leaves parts of its state in the
 * vector registers.  On x86 they stand in an area of their own whose size depends on the processor.
 */
static void wipe_saved_registers(ucontext_t *context)
{
#if defined(__x86_64__)
    uint8_t *area = (uint8_t *)context->uc_mcontext.fpregs;
    struct _fpx_sw_bytes description;

    if (area) {
        memcpy(&description, area + FP_SW_BYTES, sizeof(description));
        sodium_memzero(area, description.magic1 == FP_XSTATE_MAGIC1 ? description.extended_size
                                                                    : FP_SIZE);
    }
#endif
    sodium_memzero(&context->uc_mcontext, sizeof(context->uc_mcontext));
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    wipe_saved_registers(context);
    enclave_end("a fault of its own");
}

void enclave_end_on_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    size_t i;

    for (i = 0; i < ARRAY_SIZE(faults); i++)
        sigaction(faults[i], &sa, NULL);
}
#else
void enclave_end_on_faults(void)
{
    /* The sanitizers' runtime reports faults by itself. */
}
#endif
