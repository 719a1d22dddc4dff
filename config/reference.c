/* Walks through the field tables and puts into words what they say.
 *
 * Any thread. The keys belong to the caller; everything they point to is const. Says nothing that
 * does not stand in a table, and knows none of the keys itself. */
#include "config/reference.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/profile_parts.h"
#include "config/settings_parts.h"
#include "config/suggest.h"

enum { SECTIONS_MAX = 64 };

const struct reference_file reference_files[] = {
    {"", &SETTINGS}, {"profile", &PROFILE}, {"pack", &SETTINGS_PACK}, {NULL, NULL}};

/* Where each section stood first, as an index of the keys. */
struct walk {
    struct reference reference;
    size_t room;
    const struct section *seen[SECTIONS_MAX];
    size_t first[SECTIONS_MAX], seen_count;
};

static struct reference_key *add(struct walk *walk, const char *above, const struct field *field)
{
    struct reference *reference = &walk->reference;
    if (reference->count == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 128;
        void *keys = realloc(reference->keys, room * sizeof *reference->keys);
        if (!keys)
            return NULL;
        reference->keys = keys;
        walk->room = room;
    }
    struct reference_key *key = &reference->keys[reference->count++];
    *key = (struct reference_key){.field = field, .like = -1};
    snprintf(key->path, sizeof key->path, "%s%s%s", above, *above ? "." : "", field->key);
    return key;
}

static size_t find(const struct walk *walk, const struct section *section)
{
    size_t s = 0;
    while (s < walk->seen_count && walk->seen[s] != section)
        s++;
    return s;
}

/* The key under which it stood before; -1 = none did, from now on this one does. */
static long stood(struct walk *walk, const struct section *section, size_t key)
{
    size_t s = find(walk, section);
    if (s < walk->seen_count)
        return (long)walk->first[s];
    if (s < SECTIONS_MAX) {
        walk->seen[s] = section;
        walk->first[s] = key;
        walk->seen_count++;
    }
    return -1;
}

static bool go(struct walk *walk, const char *above, const struct section *section, bool again)
{
    for (size_t f = 0; f < section->count; f++) {
        const struct field *field = &section->fields[f];
        const struct section *below = field->section ? field->section : field->items;
        size_t index = walk->reference.count;
        struct reference_key *key = add(walk, above, field);
        if (!key)
            return false;
        key->again = again;
        key->like = below ? stood(walk, below, index) : -1;
        char path[REFERENCE_PATH_MAX];
        memcpy(path, key->path, sizeof path);
        if (below && !go(walk, path, below, again || walk->reference.keys[index].like >= 0))
            return false;
    }
    return true;
}

struct reference reference_new(const struct reference_file *files)
{
    struct walk walk = {0};
    bool good = true;
    for (const struct reference_file *file = files; good && file->section; file++)
        good = go(&walk, file->prefix, file->section, false);
    if (!good)
        reference_free(&walk.reference);
    return walk.reference;
}

void reference_free(struct reference *reference)
{
    free(reference->keys);
    *reference = (struct reference){0};
}

bool reference_is_under(const struct reference_key *key, const char *path)
{
    size_t length = strlen(path);
    return strncmp(key->path, path, length) == 0 &&
           (key->path[length] == '\0' || key->path[length] == '.');
}

/* What stands above it may have been left out. */
const char *reference_nearest(const struct reference *reference, const char *path)
{
    struct suggest suggest = suggest_start(path);
    for (size_t k = 0; k < reference->count; k++) {
        const char *own = reference->keys[k].path;
        size_t above = strlen(own) > strlen(path) ? strlen(own) - strlen(path) : 0;
        if (above && own[above - 1] == '.' && strcmp(own + above, path) == 0)
            return own;
        for (const char *part = reference->keys[k].path; part; part = strchr(part, '.'))
            suggest_offer(&suggest, part += *part == '.');
    }
    if (!*suggest_text(&suggest))
        return NULL;
    size_t k = 0;
    while (!(suggest.best >= reference->keys[k].path &&
             suggest.best < reference->keys[k].path + REFERENCE_PATH_MAX))
        k++;
    return reference->keys[k].path;
}

const char *reference_choice(const struct field *field, size_t n)
{
    const struct field_type *type = field->type;
    size_t own = 0;
    while (field->choices && field->choices[own].name) {
        if (own == n)
            return field->choices[own].name;
        own++;
    }
    return type->choice && n - own + 1 < type->choice_count
               ? type->choice((unsigned int)(n - own) + 1)
               : NULL;
}

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static void say(char out[REFERENCE_TEXT_MAX],
                                                      const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, REFERENCE_TEXT_MAX - used, format, arguments);
    va_end(arguments);
}

static void say_values(const struct field *field, bool zh, char *out)
{
    const char *min = field->min ? field->min : field->type->min;
    const char *max = field->max ? field->max : field->type->max;
    if (min && max)
        say(out, zh ? "；%s 到 %s" : "; %s to %s", min, max);
    else if (min)
        say(out, zh ? "；不小于 %s" : "; %s or more", min);
    else if (max)
        say(out, zh ? "；不大于 %s" : "; at most %s", max);
}

static void say_bytes(const struct field *field, bool zh, char *out)
{
    const char *min = field->min ? field->min : "1";
    if (field->max)
        say(out, zh ? "；%s 到 %s 字节（一个汉字 3 字节）" : "; %s to %s bytes", min, field->max);
}

static void say_characters(const struct field *field, bool zh, char *out)
{
    const char *min = field->min ? field->min : "1";
    if (field->max)
        say(out, zh ? "；%s 到 %s 个字符" : "; %s to %s characters", min, field->max);
    if (field->characters)
        say(out, zh ? "；只含 %s" : "; of %s", field->characters);
}

static void say_range(const struct field *field, bool zh, char *out)
{
    switch (field->type->bounds) {
    case BOUNDS_VALUE:
        say_values(field, zh, out);
        return;
    case BOUNDS_BYTES:
        say_bytes(field, zh, out);
        return;
    case BOUNDS_CHARACTERS:
        say_characters(field, zh, out);
        return;
    case BOUNDS_DIGITS:
        say(out, zh ? "；%s 位数字" : "; %s digits", field->max);
        return;
    case BOUNDS_ITEMS:
        if (field->min)
            say(out, zh ? "；不能为空" : "; not empty");
        return;
    }
}

void reference_facts(const struct field *field, bool chinese, char out[REFERENCE_TEXT_MAX])
{
    const char *choice;
    out[0] = '\0';
    say(out, "%s", chinese ? field->type->name.zh : field->type->name.en);
    for (size_t n = 0; (choice = reference_choice(field, n)); n++)
        say(out, "%s%s", n ? chinese ? "、" : ", " : chinese ? "：" : ": ", choice);
    say_range(field, chinese, out);
    if (field->required)
        say(out, "%s", chinese ? "；必填" : "; required");
    else if (field->fallback && *field->fallback)
        say(out, chinese ? "；默认 %s" : "; default %s", field->fallback);
}
