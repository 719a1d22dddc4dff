/* What the tables say, as mdoc and as words of a shell.
 *
 * One thread, run by the build. Owns nothing; writes to the file it is given. Text is English: the
 * manual in Chinese is deploy/manual.zh-CN.md. A word that would be a request or an escape of roff
 * is told as it is. */
#include <stdarg.h>
#include <string.h>

#include "config/reference.h"
#include "deploy/man/manual.h"
#include "drivers/class.h"
#include "drivers/sim/sim_arguments.h"
#include "drivers/sim/sim_scenario.h"
#include "drivers/sim/sim_script.h"
#include "gateway/api/metrics.h"
#include "gateway/arguments.h"
#include "gateway/ctl/commands.h"
#include "gateway/ctl/diagnoses.h"
#include "gateway/ctl/options.h"
#include "gateway/ctl/text.h"

enum { COLUMNS = 78, TEXT_MAX = 1200 };

/* ---- mdoc ---- */

static void put_escaped(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '"')
            fputs("\\(dq", out);
        else
            fputc(text[i], out);
    }
}

/* Whole lines of text, none of which begins with what roff takes for a request. */
static void put_text(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column && column + 1 + length > COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        fputs(column ? " " : strchr(".'", *text) ? "\\&" : "", out);
        put_escaped(out, text, length);
        column += (column > 0) + length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

__attribute__((format(printf, 2, 3))) static void tell(FILE *out, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_text(out, text);
}

/* ".It MACRO NAME": one argument, however many words it has. */
static void put_item(FILE *out, const char *macro, const char *name)
{
    fprintf(out, ".It %s \"", macro);
    put_escaped(out, name, strlen(name));
    fputs("\"\n", out);
}

static void put_option(FILE *out, char letter, const char *name, const char *argument)
{
    fputs(".It ", out);
    if (letter)
        fprintf(out, "Fl %c , ", letter);
    fprintf(out, "Fl -%s%s%s\n", name, argument ? " Ar " : "", argument ? argument : "");
}

/* ---- options and commands ---- */

static bool put_usage(FILE *out, const char *program)
{
    static const struct usage *const usages[] = {&arguments_usage, &sim_arguments_usage};
    for (size_t u = 0; u < sizeof usages / sizeof *usages; u++) {
        if (strcmp(usages[u]->program, program) != 0)
            continue;
        for (size_t i = 0; i < usages[u]->count; i++) {
            const struct usage_option *option = &usages[u]->options[i];
            put_option(out, option->letter, option->name, option->argument);
            put_text(out, option->text);
        }
        return true;
    }
    return false;
}

static void put_options_of(FILE *out, const struct command *command)
{
    for (const struct option_row *row = options_table; row->name; row++) {
        bool everybody = !row->takers[0];
        if (command ? everybody || !options_fit(row, command) : !everybody)
            continue;
        put_option(out, row->letter, row->name, row->argument);
        put_text(out, row->text.en);
    }
}

static bool has_options(const struct command *command)
{
    for (const struct option_row *row = options_table; row->name; row++) {
        if (row->takers[0] && options_fit(row, command))
            return true;
    }
    return false;
}

static bool put_commands(FILE *out, const char *none)
{
    for (const struct command *const *command = commands_table; *command; command++) {
        char form[100];
        snprintf(form, sizeof form, "%s %s", (*command)->name, (*command)->arguments);
        fprintf(out, ".Ss ");
        put_text(out, form);
        tell(out, "%c%s.", (*command)->help.en[0] & ~0x20, (*command)->help.en + 1);
        if (!has_options(*command))
            continue;
        fputs(".Bl -tag -width Ds\n", out);
        put_options_of(out, *command);
        fputs(".El\n", out);
    }
    return !*none;
}

static bool put_common_options(FILE *out, const char *none)
{
    put_options_of(out, NULL);
    return !*none;
}

/* ---- keys ---- */

static void put_key(FILE *out, const struct reference *reference, const struct reference_key *key,
                    const char *path)
{
    char facts[REFERENCE_TEXT_MAX];
    reference_facts(key->field, false, facts);
    put_item(out, "Ic", path);
    tell(out, "%s (%s)", key->field->help.en, facts);
    if (key->like >= 0)
        tell(out, "Its keys are those of %s.", reference->keys[key->like].path);
}

/* The file that a key belongs to: "" is gateway.yaml. */
static const char *prefix_of(const struct reference_key *key)
{
    const char *prefix = "";
    for (const struct reference_file *file = reference_files; file->section; file++) {
        if (*file->prefix && reference_is_under(key, file->prefix))
            prefix = file->prefix;
    }
    return prefix;
}

static bool put_keys(FILE *out, const char *which)
{
    const char *wanted = strcmp(which, "gateway") == 0 ? "" : which;
    struct reference reference = reference_new(reference_files);
    size_t skipped = *wanted ? strlen(wanted) + 1 : 0, count = 0;
    for (size_t k = 0; k < reference.count; k++) {
        const struct reference_key *key = &reference.keys[k];
        if (!key->again && strcmp(prefix_of(key), wanted) == 0) {
            put_key(out, &reference, key, key->path + skipped);
            count++;
        }
    }
    reference_free(&reference);
    return count > 0;
}

/* Those of the simulator's files. */
static bool put_sim_keys(FILE *out, const char *which)
{
    const struct reference_file files[] = {
        {"", strcmp(which, "script") == 0 ? &SIM_SCRIPT_FAULT : &SIM_SCENARIO}, {NULL, NULL}};
    struct reference reference = reference_new(files);
    for (size_t k = 0; k < reference.count; k++)
        put_key(out, &reference, &reference.keys[k], reference.keys[k].path);
    reference_free(&reference);
    return strcmp(which, "script") == 0 || strcmp(which, "scenario") == 0;
}

/* ---- sensor classes ---- */

static void put_quantity(FILE *out, const struct quantity *quantity)
{
    char range[80] = "any";
    if (quantity->min != 0 || quantity->max != 0)
        snprintf(range, sizeof range, "%.8g to %.8g", quantity->min, quantity->max);
    fprintf(out, ".It %s Ta %s Ta %s Ta %s\n", quantity->name, quantity->unit, range,
            quantity->title_en);
}

static void begin_quantities(FILE *out, const char *title)
{
    fprintf(out,
            ".Ss %s\n.Bl -column \"hydrogen_sulphide\" \"mg/m3 \" \"0 to 1500000\" \"title\"\n",
            title);
    fputs(".It Em quantity Ta Em unit Ta Em range Ta Em title\n", out);
}

static bool put_quantities(FILE *out, const char *none)
{
    for (int s = 1; s < SECTOR_COUNT; s++) {
        const struct sensor_class *class = class_of((enum sector)s);
        begin_quantities(out, names_sector((enum sector)s));
        for (size_t q = 0; q < class->count; q++)
            put_quantity(out, &class->quantities[q]);
        fputs(".El\n", out);
    }
    begin_quantities(out, "Any sector");
    for (const struct quantity *quantity = class_common; quantity->name; quantity++)
        put_quantity(out, quantity);
    fputs(".El\n", out);
    return !*none;
}

static bool put_diagnoses(FILE *out, const char *none)
{
    json_t *keys = diagnoses_keys();
    for (size_t k = 0; k < json_array_size(keys); k++) {
        const json_t *key = json_array_get(keys, k);
        put_item(out, "Ic", strchr(text_of(key, "key"), '.') + 1);
        tell(out, "%s (%s)", text_of(json_object_get(key, "help"), "en"),
             text_of(json_object_get(key, "facts"), "en"));
    }
    json_decref(keys);
    return !*none;
}

static bool put_metrics(FILE *out, const char *none)
{
    struct metrics_family family;
    for (size_t m = 0; (family = metrics_family(m)).name; m++) {
        put_item(out, "Ic", family.name);
        tell(out, "%s (%s)", family.help, family.type);
    }
    return !*none;
}

static bool put_system(FILE *out, const char *none)
{
    fputs(".Os \"Lifeline Gateway " LIFELINE_VERSION "\"\n", out);
    return !*none;
}

/* ---- the shell ---- */

static bool put_shell_commands(FILE *out, const char *none)
{
    fputs("    local commands='", out);
    for (const struct command *const *command = commands_table; *command; command++)
        fprintf(out, "%s%s", command == commands_table ? "" : " ", (*command)->name);
    fputs("'\n", out);
    return !*none;
}

/* A line a command, and one for what stands before it: the options it takes; then those that want
 * an argument. */
static void put_shell_options(FILE *out, const struct command *command)
{
    fprintf(out, "    %s) options='", command ? command->name : "*");
    for (const struct option_row *row = options_table; row->name; row++) {
        if (command ? !options_fit(row, command) : row->takers[0] != NULL)
            continue;
        if (row->letter)
            fprintf(out, "-%c ", row->letter);
        fprintf(out, "--%s ", row->name);
    }
    fputs("' ;;\n", out);
}

static bool put_shell_cases(FILE *out, const char *none)
{
    for (const struct command *const *command = commands_table; *command; command++)
        put_shell_options(out, *command);
    put_shell_options(out, NULL);
    return !*none;
}

/* By the word that stands for the argument. */
static bool put_shell_arguments(FILE *out, const char *none)
{
    const char *before = "";
    fputs("    local arguments=' ", out);
    for (const struct option_row *row = options_table; row->name; row++) {
        if (!row->argument)
            continue;
        if (row->letter)
            fprintf(out, "%s-%c:%s ", before, row->letter, row->argument);
        fprintf(out, "--%s:%s ", row->name, row->argument);
    }
    fputs("'\n", out);
    return !*none;
}

static bool put_shell_sectors(FILE *out, const char *none)
{
    fputs("    local sectors='", out);
    for (int s = 1; s < SECTOR_COUNT; s++)
        fprintf(out, "%s%s", s == 1 ? "" : " ", names_sector((enum sector)s));
    fputs("'\n", out);
    return !*none;
}

static bool put_shell_keys(FILE *out, const char *none)
{
    struct reference reference = reference_new(reference_files);
    fputs("    local keys='", out);
    for (size_t k = 0; k < reference.count; k++)
        fprintf(out, "%s%s", k ? " " : "", reference.keys[k].path);
    json_t *diagnoses = diagnoses_keys();
    for (size_t d = 0; d < json_array_size(diagnoses); d++)
        fprintf(out, " %s", text_of(json_array_get(diagnoses, d), "key"));
    json_decref(diagnoses);
    fputs("'\n", out);
    reference_free(&reference);
    return !*none;
}

const struct manual_mark manual_marks[] = {
    {"usage", put_usage},
    {"commands", put_commands},
    {"options", put_common_options},
    {"keys", put_keys},
    {"sim_keys", put_sim_keys},
    {"quantities", put_quantities},
    {"diagnoses", put_diagnoses},
    {"metrics", put_metrics},
    {"system", put_system},
    {"shell_commands", put_shell_commands},
    {"shell_cases", put_shell_cases},
    {"shell_arguments", put_shell_arguments},
    {"shell_sectors", put_shell_sectors},
    {"shell_keys", put_shell_keys},
    {0},
};
