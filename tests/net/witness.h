/*
 * ip(8), tc(8) and nft(8): independent witnesses of what the kernel has, and somebody else who
 * changes it.  The commands are lines for the shell.
 */
#ifndef TESTS_NET_WITNESS_H
#define TESTS_NET_WITNESS_H

#include <stdbool.h>

/** must() - run a command, which must succeed */
void must(const char *command);

/** printed() - what a command prints.  The caller frees it. */
char *printed(const char *command);
/** says() - does what a command prints hold these words? */
bool says(const char *command, const char *words);
/** shows() - it must hold these words; the test fails with all that was printed */
void shows(const char *command, const char *words);
/** hides() - it must not hold these words */
void hides(const char *command, const char *words);

/** check_same() - two texts must be the same; the test fails with the first line that differs */
void check_same(const char *before, const char *after);

#endif
