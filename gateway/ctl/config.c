/* lifelinectl config --explain [KEY]: what the keys of gateway.yaml, of a sensor profile and of a
 * pack of alarm rules mean.
 *
 * Reads no file and asks no daemon: everything comes from the field tables that read the files
 * (config/reference.h), and from those of the diagnoses (diagnoses.h). KEY is a path like
 * uplinks.tls.ca; what is below it is told, too. */
#include <stdio.h>
#include <string.h>

#include "config/reference.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/diagnoses.h"
#include "gateway/ctl/text.h"

static json_t *choices_of(const struct field *field)
{
    json_t *choices = json_array();
    const char *choice;
    for (size_t n = 0; (choice = reference_choice(field, n)); n++)
        json_array_append_new(choices, json_string(choice));
    return choices;
}

static json_t *key_of(const struct reference *reference, const struct reference_key *key)
{
    const struct field *field = key->field;
    char facts_zh[REFERENCE_TEXT_MAX], facts_en[REFERENCE_TEXT_MAX];
    reference_facts(field, true, facts_zh);
    reference_facts(field, false, facts_en);
    return json_pack(
        "{s:s, s:s, s:b, s:s?, s:s?, s:s?, s:s?, s:o, s:s?, s:{s:s, s:s}, s:{s:s, s:s}}", "key",
        key->path, "type", field->type->name.en, "required", (int)field->required, "default",
        field->fallback, "min", field->min, "max", field->max, "characters", field->characters,
        "choices", choices_of(field), "like",
        key->like < 0 ? NULL : reference->keys[key->like].path, "facts", "zh", facts_zh, "en",
        facts_en, "help", "zh", field->help.zh, "en", field->help.en);
}

static void fold(int indent, const char *text)
{
    char line[1000];
    snprintf(line, sizeof line, "%*s%s", indent, "", text);
    text_fold(stdout, line, 4);
}

static const char *said(const json_t *key, const char *what)
{
    return text_of(json_object_get(key, what), say("zh", "en"));
}

static void show(const json_t *result)
{
    const json_t *keys = json_object_get(result, "keys");
    const json_t *key;
    char line[800];
    for (size_t k = 0; k < json_array_size(keys); k++) {
        key = json_array_get(keys, k);
        snprintf(line, sizeof line, "%s  %s", text_of(key, "key"), said(key, "facts"));
        fold(0, line);
        fold(4, said(key, "help"));
        if (!json_is_string(json_object_get(key, "like")))
            continue;
        snprintf(line, sizeof line, say("其下的键同 %s", "its keys are those of %s"),
                 text_of(key, "like"));
        fold(4, line);
    }
}

/* Those of the diagnoses, which are no keys of a file's own. */
static void add_diagnoses(json_t *keys, const char *path)
{
    json_t *diagnoses = diagnoses_keys();
    for (size_t d = 0; d < json_array_size(diagnoses); d++) {
        struct reference_key key = {0};
        snprintf(key.path, sizeof key.path, "%s", text_of(json_array_get(diagnoses, d), "key"));
        if (!path || reference_is_under(&key, path))
            json_array_append(keys, json_array_get(diagnoses, d));
    }
    json_decref(diagnoses);
}

static json_t *find(const struct reference *reference, const char *path)
{
    json_t *keys = json_array();
    for (size_t k = 0; k < reference->count; k++) {
        const struct reference_key *key = &reference->keys[k];
        if (path ? reference_is_under(key, path) : !key->again)
            json_array_append_new(keys, key_of(reference, key));
    }
    add_diagnoses(keys, path);
    return keys;
}

static enum ctl_exit refuse(const struct reference *reference, const char *path)
{
    const char *nearest = reference_nearest(reference, path);
    if (nearest)
        say_error(say("没有键 \"%s\"；是不是 \"%s\"？", "no key \"%s\"; did you mean \"%s\"?"),
                  path, nearest);
    else
        say_error(say("没有键 \"%s\"", "no key \"%s\""), path);
    return CTL_FINDING;
}

static enum ctl_exit run(struct ctl *ctl)
{
    const char *path = ctl->argument_count ? ctl->arguments[0] : NULL;
    if (!ctl->explain_keys) {
        say_error(say("config 需要 --explain", "config needs --explain"));
        return CTL_USAGE;
    }
    struct reference reference = reference_new(reference_files);
    json_t *result = json_pack("{s:o}", "keys", find(&reference, path));
    enum ctl_exit code = CTL_FINE;
    if (json_array_size(json_object_get(result, "keys")))
        ctl->writer->write(ctl->command, result);
    else
        code = refuse(&reference, path ? path : "");
    json_decref(result);
    reference_free(&reference);
    return code;
}

const struct command config_command = {
    .name = "config",
    .arguments = "--explain [KEY]",
    .help = {"配置文件、设备模板、报警规则包的各个键",
             "the keys of the configuration, of profiles and of alarm packs"},
    .least = 0,
    .most = 1,
    .run = run,
    .text = show,
};
