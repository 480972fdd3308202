/* A configuration file becomes a checked struct; see conf.h. */
#include "common/conf.h"

#include <errno.h>
#include <string.h>

#include "common/arena.h"
#include "common/cleanup.h"

/* Of an incomplete bundle only the syntax can be judged. */
static int read_tree(const struct conf_kind *kind, const struct bundle *bundle, void *out,
                     struct arena *tree, struct arena *arena, bool complete,
                     struct problems *problems)
{
    const size_t errors_before = problems->n_errors;
    struct doc_node *root;
    int rc = bundle_parse(bundle, tree, &root, problems);

    if (rc < 0 || !complete)
        return rc;
    rc = schema_read(kind->table, root, arena, out, problems);
    if (rc == 0)
        rc = kind->check(out, root, problems);
    return rc == 0 && problems->n_errors > errors_before ? -EINVAL : rc;
}

int conf_load(const struct conf_kind *kind, const char *path, const struct bundle *bundle,
              void **out, struct problems *problems)
{
    _cleanup_(bundle_clearp) struct bundle own = {0};
    struct arena *tree = arena_new(CONF_ARENA_MAX);
    struct arena *arena = arena_new(CONF_ARENA_MAX);
    void *conf = arena ? arena_alloc(arena, kind->size) : NULL;
    const size_t errors_before = problems->n_errors;
    int rc = tree && conf ? 0 : -ENOMEM, rc_read = 0;

    if (rc == 0 && !bundle) {
        rc_read = bundle_read(path, &own, problems);
        bundle = &own;
    }
    if (rc == 0) {
        memcpy((char *)conf + kind->arena_offset, &arena, sizeof(arena));
        rc = read_tree(kind, bundle, conf, tree, arena, rc_read == 0, problems);
    }
    if (rc_read < 0)
        rc = rc_read;
    if (rc < 0 && problems->n_errors == errors_before)
        problem_add(problems, PROBLEM_ERROR, &(struct doc_pos){.file = path}, NULL,
                    "not enough memory to read it");
    problems_sort(problems);
    arena_free(tree);
    if (rc < 0)
        arena_free(arena);
    else
        *out = conf;
    return rc;
}

int conf_parse(const struct conf_kind *kind, const char *name, const void *text, size_t len,
               void **out, struct problems *problems)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    int rc = bundle_add(&bundle, name, text, len);

    if (rc < 0) {
        problem_add(problems, PROBLEM_ERROR, &(struct doc_pos){.file = name}, NULL, "%s",
                    rc == -EFBIG ? "it is too large" : "not enough memory to read it");
        return rc;
    }
    return conf_load(kind, name, &bundle, out, problems);
}
