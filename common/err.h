/* One error: the sentence a person reads.  The number travels as the function's -errno. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

struct err {
    char msg[512];
};

/**
 * err_set() - write the reason of a failure
 * @err: where to write, NULL to discard
 * @rc:  the negative errno to hand on
 * @fmt: one clear sentence: what, where, how to mend it
 *
 * Return: @rc, so that `return err_set(err, -EINVAL, "...")` reads as one step.
 */
int err_set(struct err *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * err_prefix() - put the context in front of an error that is already there
 *
 * Return: @rc.
 */
int err_prefix(struct err *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
