/* A password from a person, who is not shown what he types, or from a pipe. */
#ifndef CLIENT_PASSWORD_H
#define CLIENT_PASSWORD_H

#include <stddef.h>

#include "common/err.h"

#define PASSWORD_MIN 8
#define PASSWORD_MAX 512 /* bytes, without the NUL */

/**
 * password_read() - ask for a new password
 * @user: whose it will be, for the prompt
 * @password: the password; the caller wipes it
 * @err: the reason of a failure
 *
 * On a terminal it is asked for twice, without echo; otherwise one line is read from standard
 * input, and not a byte more.
 *
 * Return: 0, -EINVAL for one that is too short, too long or was not repeated, -ECANCELED without
 * one.
 */
int password_read(const char *user, char password[PASSWORD_MAX + 1], struct err *err);

#endif
