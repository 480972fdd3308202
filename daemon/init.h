/* `vpn-server --init`: a first configuration with a fresh realm and identity. */
#ifndef DAEMON_INIT_H
#define DAEMON_INIT_H

#include <stdio.h>

#include "common/err.h"

#define INIT_DIR "/etc/vpn"

/**
 * init_render() - the text of a first vpn.yaml
 * @dir: where it will lie, in full
 * @text: written on success; free() it
 *
 * For INIT_DIR and the example's realm this is etc/vpn.yaml.
 *
 * Return: 0 or -ENOMEM.
 */
int init_render(const char *dir, const char *realm, char **text, size_t *len);

/**
 * init_write() - write vpn.yaml, identity.key and identity.pub
 * @dir: where; made when it is not there.  For any other folder than INIT_DIR the file names state
 *       and control socket below @dir, so that it can be tried without touching the system
 * @out: gets what was written and the next step, on success
 *
 * Nothing is ever overwritten: -EEXIST when one of the three is there.  All or nothing: a failure
 * removes what was made.  The private key is wiped from memory.
 *
 * Return: 0 or -errno.
 */
int init_write(const char *dir, FILE *out, struct err *err);

#endif
