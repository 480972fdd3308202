/*
 * The spawner: forked before any network byte is read, root, without a network of its own, and the
 * only one that can start the enclave.
 *
 * A daemon that may become the enclave's uid could read its key; one that may not could not
 * respawn it.  So this small process keeps the right to do it, and takes one-byte commands.
 */
#ifndef ENCLAVE_SPAWNER_H
#define ENCLAVE_SPAWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

enum spawner_command {
    SPAWNER_SPAWN = 'S', /* start the enclave; an old one is killed first */
    SPAWNER_KILL = 'K',  /* kill the enclave */
    SPAWNER_TUN = 'T',   /* open /dev/net/tun */
};

struct spawner {
    int fd; /* our end of the command socket */
    pid_t pid;
};

/**
 * spawner_start() - fork the spawner
 * @argv: the enclave's arguments, argv[0] included, NULL-terminated; must stay until the fork
 *
 * @quiet: going to the background: nothing of the terminal is kept open, standard error included
 *
 * The program is vpn-enclave in the folder of the running binary.  Call with the rights the enclave
 * needs (root) and before threads, sockets and dropped privileges.
 *
 * Return: 0 or -errno.
 */
int spawner_start(struct spawner *s, char *const argv[], bool quiet, struct err *err);

/**
 * spawner_spawn() - start a fresh enclave
 * @control: becomes the control socket (close-on-exec)
 * @pidfd: becomes its pidfd
 * @pid: becomes its pid in our namespace
 *
 * Return: 0 or -errno; -EPIPE when the spawner is gone.
 */
int spawner_spawn(struct spawner *s, int *control, int *pidfd, pid_t *pid, struct err *err);

/** spawner_kill() - end the enclave with SIGKILL.  Return: 0 or -errno. */
int spawner_kill(struct spawner *s);

/** spawner_open_tun() - Return: a descriptor of /dev/net/tun, or -errno with the sentence. */
int spawner_open_tun(struct spawner *s, struct err *err);

/** spawner_stop() - close the command socket: the spawner kills the enclave and exits; wait. */
void spawner_stop(struct spawner *s);

#endif
