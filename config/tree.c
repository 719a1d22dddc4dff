/* Builds the tree of a YAML file out of libfyaml's events.
 *
 * Runs in the thread that loads a configuration. The tree lies in the caller's arena; nothing of
 * libfyaml outlives tree_parse(), and nothing of it is printed: its own complaints go into the
 * diagnostics like all others. */
#include "config/tree.h"

#include <libfyaml.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH_MAX = 12, MEMBERS_MAX = 8192 };

struct builder {
    const struct source *source;
    struct arena *arena;
    struct diagnostics *out;
    struct node *root;
    struct {
        struct node *node;
        struct node *last;   /* its newest member */
        struct node *key_of; /* a member that has its key and waits for its value */
    } stack[DEPTH_MAX];
    size_t depth;
    struct place latest; /* of the newest key: where a missing value is missing */
};

static struct place token_place(const struct builder *builder, struct fy_token *token)
{
    const struct fy_mark *start = token == NULL ? NULL : fy_token_start_mark(token);
    const struct fy_mark *end = token == NULL ? NULL : fy_token_end_mark(token);
    if (start == NULL)
        return builder->latest;
    size_t length =
        end != NULL && end->input_pos > start->input_pos ? end->input_pos - start->input_pos : 1;
    return diagnostics_place(builder->source, start->input_pos, length);
}

/* Copies a token's text; returns its length. */
static size_t copy_text(struct fy_token *token, char *out)
{
    size_t length = 0;
    int error = 0;
    struct fy_token_iter *iterator = arena_must(fy_token_iter_create(token));
    for (const struct fy_iter_chunk *chunk = NULL;
         (chunk = fy_token_iter_chunk_next(iterator, chunk, &error)) != NULL;
         length += chunk->len) {
        if (out != NULL)
            memcpy(out + length, chunk->str, chunk->len);
    }
    fy_token_iter_destroy(iterator);
    return length;
}

/* Not by fy_token_get_text(): libfyaml 0.7.12 leaks there with many quotes or escapes. */
static char *token_text(struct builder *builder, struct fy_token *token, size_t *length)
{
    *length = token == NULL ? 0 : copy_text(token, NULL);
    char *text = arena_alloc(builder->arena, *length + 1);
    if (*length > 0)
        copy_text(token, text);
    return text;
}

static void report(struct builder *builder, struct place place, const char *message)
{
    diagnostics_add(builder->out, SEVERITY_ERROR, place, "%s", message);
}

const struct node *tree_member(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP)
        return NULL;
    for (const struct node *member = map->first; member != NULL; member = member->next) {
        if (strcmp(member->key, key) == 0)
            return member;
    }
    return NULL;
}

const char *tree_kind_name(enum node_kind kind)
{
    switch (kind) {
    case NODE_EMPTY:
        return "nothing";
    case NODE_TEXT:
        return "a single value";
    case NODE_MAP:
        return "a map of keys";
    case NODE_LIST:
        return "a list";
    }
    return "something else";
}

static void append(struct builder *builder, struct node *member)
{
    size_t top = builder->depth - 1;
    struct node *parent = builder->stack[top].node;
    if (parent->first == NULL)
        parent->first = member;
    else
        builder->stack[top].last->next = member;
    builder->stack[top].last = member;
    parent->count++;
}

static void add_key(struct builder *builder, struct fy_token *token)
{
    size_t top = builder->depth - 1;
    struct node *map = builder->stack[top].node;
    struct node *member = arena_alloc(builder->arena, sizeof(*member));
    size_t length = 0;
    member->key = token_text(builder, token, &length);
    member->key_place = token_place(builder, token);
    member->place = member->key_place;
    builder->latest = member->key_place;
    if (strlen(member->key) != length)
        report(builder, member->place, "a NUL character is not allowed here");
    builder->stack[top].key_of = member;

    /* The second of two is parsed like any other, but no part of the tree. */
    const struct node *before = tree_member(map, member->key);
    if (before == NULL) {
        append(builder, member);
        return;
    }
    diagnostics_add(builder->out, SEVERITY_ERROR, member->key_place,
                    "key \"%s\" is given twice; the first is in line %u", member->key,
                    before->key_place.line);
}

/* The node that the next value goes into; NULL when a map expects a key instead. */
static struct node *value_node(struct builder *builder)
{
    if (builder->depth == 0) {
        builder->root = arena_alloc(builder->arena, sizeof(*builder->root));
        return builder->root;
    }
    size_t top = builder->depth - 1;
    if (builder->stack[top].node->kind == NODE_LIST) {
        struct node *item = arena_alloc(builder->arena, sizeof(*item));
        append(builder, item);
        return item;
    }
    struct node *member = builder->stack[top].key_of;
    builder->stack[top].key_of = NULL;
    return member;
}

static void add_scalar(struct builder *builder, struct fy_event *event)
{
    struct fy_token *token = event->scalar.value;
    bool is_key = builder->depth > 0 && builder->stack[builder->depth - 1].node->kind == NODE_MAP &&
                  builder->stack[builder->depth - 1].key_of == NULL;
    if (event->scalar.tag != NULL)
        report(builder, token_place(builder, event->scalar.tag), "tags are not used here");
    if (is_key) {
        add_key(builder, token);
        return;
    }
    struct node *node = value_node(builder);
    size_t length = 0;
    const char *text = token_text(builder, token, &length);
    node->place = token_place(builder, token);
    bool plain = token != NULL && fy_token_scalar_style(token) == FYSS_PLAIN;
    if (token == NULL ||
        (plain && (length == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)))
        return;
    node->kind = NODE_TEXT;
    node->text = text;
    if (strlen(text) != length)
        report(builder, node->place, "a NUL character is not allowed here");
}

static bool open_node(struct builder *builder, enum node_kind kind, struct fy_token *start,
                      struct fy_token *tag)
{
    struct place place = token_place(builder, start);
    if (builder->depth == DEPTH_MAX) {
        report(builder, place, "nested too deeply");
        return false;
    }
    if (tag != NULL)
        report(builder, token_place(builder, tag), "tags are not used here");
    struct node *node = value_node(builder);
    if (node == NULL) {
        report(builder, place, "a key must be a plain word");
        return false;
    }
    node->kind = kind;
    node->place = place;
    memset(&builder->stack[builder->depth], 0, sizeof(builder->stack[0]));
    builder->stack[builder->depth++].node = node;
    return true;
}

/* False ends the parse; the reason has been reported. */
static bool take_event(struct builder *builder, struct fy_event *event)
{
    if (builder->depth > 0 && builder->stack[builder->depth - 1].node->count > MEMBERS_MAX) {
        report(builder, builder->latest, "too many items");
        return false;
    }
    switch (event->type) {
    case FYET_SCALAR:
        add_scalar(builder, event);
        return true;
    case FYET_MAPPING_START:
        return open_node(builder, NODE_MAP, event->mapping_start.mapping_start,
                         event->mapping_start.tag);
    case FYET_SEQUENCE_START:
        return open_node(builder, NODE_LIST, event->sequence_start.sequence_start,
                         event->sequence_start.tag);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        builder->depth--;
        return true;
    case FYET_ALIAS:
        report(builder, token_place(builder, event->alias.anchor),
               "aliases are not used here; write the value out");
        return false;
    case FYET_DOCUMENT_START:
        if (builder->root == NULL)
            return true;
        report(builder, token_place(builder, event->document_start.document_start),
               "a second document in the file; only one is read");
        return false;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return true;
    }
    return true;
}

static void discard(struct fy_diag *diag, void *user, const char *text, size_t length)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)length;
}

/* libfyaml counts lines and columns from 1 here. */
static void report_syntax(struct builder *builder, struct fy_diag *diag)
{
    void *iterator = NULL;
    const struct source *source = builder->source;
    for (const struct fy_diag_error *error; (error = fy_diag_errors_iterate(diag, &iterator));) {
        struct place place = {.file = source->name,
                              .line = error->line > 0 ? (uint32_t)error->line : 1,
                              .column = error->column > 0 ? (uint32_t)error->column : 1};
        diagnostics_add(builder->out, SEVERITY_ERROR, place, "%s", error->msg);
    }
}

const struct node *tree_parse(const struct source *source, struct arena *arena,
                              struct diagnostics *out)
{
    struct builder builder = {.source = source, .arena = arena, .out = out};
    builder.latest = (struct place){.file = source->name, .line = 1, .column = 1};
    bool complete = false;
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = discard;
    diag_config.level = FYET_ERROR;
    diag_config.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE,
        .diag = diag,
    };
    size_t errors = diagnostics_errors(out);
    struct fy_parser *parser = fy_parser_create(&config);
    if (parser == NULL || fy_parser_set_string(parser, source->text, source->length) != 0)
        goto out;
    bool going = true;
    while (going) {
        struct fy_event *event = fy_parser_parse(parser);
        if (event == NULL)
            break;
        going = take_event(&builder, event);
        complete = event->type == FYET_STREAM_END;
        fy_parser_event_free(parser, event);
    }
    report_syntax(&builder, diag);
    if (complete && builder.root == NULL)
        report(&builder, builder.latest, "the file is empty");
out:
    if (!complete && diagnostics_errors(out) == errors)
        report(&builder, builder.latest, "this is no YAML from here on");
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return complete ? builder.root : NULL;
}
