/*
 * A real vpn-server or vpn-client under observation, in the test's own network namespace.
 */
#ifndef TESTS_ENCLAVE_DAEMON_H
#define TESTS_ENCLAVE_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/enclave/scan.h"

struct daemon {
    char dir[32]; /* temporary; holds the configuration, the log, cores */
    char log[64];
    pid_t pid, spawner, enclave;
    int err_fd; /* standard error of all three */
};

/**
 * daemon_unavailable() - check what @program needs and move into a network namespace of our own
 *
 * Return: NULL, or why these tests cannot run on this machine.
 */
const char *daemon_unavailable(const char *program);
const char *daemon_namespace(void);
/** daemon_program() - path of one of the built programs.  Return: NULL when it is not there. */
const char *daemon_program(const char *name);

/** daemon_dir() - make the folder */
void daemon_dir(struct daemon *d);
/** daemon_write() - make a file in it */
void daemon_write(const struct daemon *d, const char *name, int mode, const char *text);
/** daemon_start() - run a program in the folder; standard output goes to /dev/null */
void daemon_start(struct daemon *d, const char *const argv[]);
/** daemon_wait_log() - wait until @text has been logged @times times */
void daemon_wait_log(const struct daemon *d, const char *text, unsigned int times);
/** daemon_find() - learn the pids of spawner and enclave; waits until the enclave is another one */
void daemon_find(struct daemon *d);
/** daemon_stop() - kill it, wait for all of it, remove the folder */
void daemon_stop(struct daemon *d);

/** daemon_scan() - memory of daemon and spawner, and the log: fails if a needle is found */
void daemon_scan(struct daemon *d, struct scan *s, const char *phase);
/** daemon_scan_core() - the same for cores of both, made by gcore(1) */
void daemon_scan_core(struct daemon *d, struct scan *s);
/** daemon_abort() - let it die of SIGABRT with cores allowed; scan one if the kernel writes it */
void daemon_abort(struct daemon *d, struct scan *s);
/** daemon_scan_enclave() - what the enclave's secret region holds.  Return: false if impossible. */
bool daemon_scan_enclave(struct daemon *d, struct scan *s);
/** daemon_assert_sealed_off() - neither the daemon's uid nor root can read the enclave's keys */
void daemon_assert_sealed_off(const struct daemon *d);

#endif
