/* A configuration is sent to the daemon; see config_send.h. */
#include "client/config_send.h"

#include <stdlib.h>
#include <string.h>

#include "client/render.h"
#include "common/bundle.h"
#include "common/cleanup.h"
#include "common/ctl.h"
#include "common/problem.h"

/* What the files are called and how long they are; the texts themselves go behind the request. */
static json_t *files_json(const struct bundle *bundle)
{
    json_t *files = json_array();

    for (size_t i = 0; i < bundle->n; i++)
        json_array_append_new(files, json_pack("{s:s, s:I}", "name", bundle->files[i].name, "bytes",
                                               (json_int_t)bundle->files[i].len));
    return files;
}

static char *texts_joined(const struct bundle *bundle, size_t *len)
{
    char *texts = malloc(bundle->bytes + 1);

    *len = 0;
    for (size_t i = 0; texts && i < bundle->n; i++) {
        memcpy(texts + *len, bundle->files[i].text, bundle->files[i].len);
        *len += bundle->files[i].len;
    }
    return texts;
}

int config_send(const struct cmd *cmd, const char *file, const char *verb, json_t *more,
                json_t **reply)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    _cleanup_(free_p) char *texts = NULL;
    struct problems problems = {0};
    json_t *request;
    size_t len = 0;
    int rc = bundle_read(file, &bundle, &problems);

    *reply = NULL;
    if (rc < 0) {
        json_decref(more);
        return cmd_problems_print(&problems, rc);
    }
    texts = texts_joined(&bundle, &len);
    request = texts ? json_pack("{s:i, s:s, s:o}", "version", CTL_VERSION, "cmd", verb, "files",
                                files_json(&bundle))
                    : NULL;
    if (request && more)
        json_object_update(request, more);
    json_decref(more);
    /* The analyzer does not know that _cleanup_ frees. */
    return cmd_request_blob(cmd, request, texts, len, reply); // NOLINT(clang-analyzer-unix.Malloc)
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
