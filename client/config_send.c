/* A configuration is sent to the daemon; see config_send.h. */
#include "client/config_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/render.h"
#include "common/bundle.h"
#include "common/cleanup.h"
#include "common/ctl.h"
#include "common/problem.h"
#include "daemon/config.h"

/* NULL: not UTF-8, or no memory. */
static json_t *files_json(const struct bundle *bundle)
{
    json_t *files = json_array();

    for (size_t i = 0; files && i < bundle->n; i++) {
        const struct bundle_file *file = &bundle->files[i];
        json_t *item = json_pack("{s:s, s:s%}", "name", file->name, "text", file->text, file->len);

        if (!item || json_array_append_new(files, item) < 0) {
            json_decref(files);
            return NULL;
        }
    }
    return files;
}

int config_request(const char *file, const char *verb, json_t **out)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    struct problems problems = {0};
    struct config *config = NULL;
    json_t *files;
    int rc = bundle_read(file, &bundle, &problems);

    if (rc < 0)
        return cmd_problems_print(&problems, rc);
    files = files_json(&bundle);
    if (!files) {
        /* JSON cannot carry it, so it is no UTF-8: the parser knows where. */
        rc = config_read(&bundle, &config, &problems);
        config_free(config);
        return cmd_problems_print(&problems, rc < 0 ? rc : -ENOMEM);
    }
    *out = json_pack("{s:i, s:s, s:o}", "version", CTL_VERSION, "cmd", verb, "files", files);
    return *out ? EXIT_SUCCESS : EXIT_FAILURE;
}

void config_problems(const json_t *reply, const char *key)
{
    const json_t *list = json_object_get(reply, key);

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *problem = json_array_get(list, i);

        if (strcmp(cmd_text(problem, "kind"), "note") == 0)
            fputs("note: ", stderr);
        render_text(stderr, false, RENDER_STYLE_PLAIN, cmd_text(problem, "text"));
        fputc('\n', stderr);
    }
}

static enum render_style line_style(char sign)
{
    switch (sign) {
    case '+':
        return RENDER_STYLE_GOOD;
    case '-':
    case '!':
        return RENDER_STYLE_BAD;
    case '~':
        return RENDER_STYLE_WARN;
    default:
        return RENDER_STYLE_DIM;
    }
}

static void lines(const struct cmd *cmd, const json_t *list, size_t counts[256])
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (!text)
            continue;
        counts[(unsigned char)text[0]]++;
        render_text(stdout, cmd->color, line_style(text[0]), text);
        putchar('\n');
    }
}

size_t config_changes(const json_t *reply)
{
    return json_array_size(json_object_get(reply, "changes")) +
           json_array_size(json_object_get(reply, "kernel"));
}

void config_lines(const struct cmd *cmd, const json_t *reply)
{
    size_t counts[256] = {0};

    lines(cmd, json_object_get(reply, "changes"), counts);
    lines(cmd, json_object_get(reply, "kernel"), counts);
    lines(cmd, json_object_get(reply, "waiting"), counts);
    lines(cmd, json_object_get(reply, "blocked"), counts);
    lines(cmd, json_object_get(reply, "clashes"), counts);
    if (counts['+'] + counts['~'] + counts['-'])
        printf("%zu to add, %zu to change, %zu to remove", counts['+'], counts['~'], counts['-']);
    else
        printf("Nothing to change");
    if (counts['?'])
        printf("; %zu waiting", counts['?']);
    if (counts['!'])
        printf("; %zu in the way", counts['!']);
    puts(".");
}
