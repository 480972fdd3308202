/*
 * The one region that holds keys: no other process, and not even the kernel, reads it where
 * memfd_secret(2) exists; elsewhere it is locked, never dumped and never inherited.
 */
#ifndef ENCLAVE_SECRET_H
#define ENCLAVE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret {
    unsigned char *base; /* zeroed; pages are taken as they are touched */
    size_t size;
    bool sealed_off; /* memfd_secret is in use */
};

/**
 * secret_alloc() - map @size bytes between two guard pages
 *
 * memfd_secret pages left the kernel's own map, so no bug or root shell reads them through /proc.
 * They are DONTFORK (WIPEONFORK is EINVAL on them); the fallback is locked, DONTDUMP, WIPEONFORK.
 *
 * Return: 0 or -errno.
 */
int secret_alloc(struct secret *s, size_t size);

/** secret_wipe() - overwrite everything; the mapping stays. */
void secret_wipe(struct secret *s);

#endif
