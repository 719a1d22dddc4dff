/* The table of the commands, the forms of their output, and the help.
 *
 * One thread. What a command does is its own file's, what an option is, options.c's. Owns nothing,
 * prints to where it is told. */
#include "gateway/ctl/commands.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/options.h"
#include "gateway/ctl/text.h"
#include "gateway/ctl/width.h"

enum { FORM_COLUMNS = 24, TEXT_COLUMN = 26 };

const struct command *const commands_table[] = {&status_command, &tail_command,
                                                &read_command,   &query_command,
                                                &check_command,  &probe_command,
                                                &doctor_command, &setup_command,
                                                &alarms_command, &report_command,
                                                &watch_command,  &config_command,
                                                &names_command,  NULL};

static const struct words notes[] = {
    {"POINT 为“设备.测点”或设备名；* 和 ? 为通配符。",
     "POINT is device.point or a device; * and ? stand for others."},
    {"退出码：0 正常，1 发现问题，2 用法错误，3 没有守护进程（query：且无存储）。",
     "Exit status: 0 fine, 1 a finding, 2 usage, 3 no daemon (query: and no store)."},
};

static void write_text(const struct command *command, const json_t *result)
{
    command->text(result);
}

static void write_json(const struct command *command, const json_t *result)
{
    (void)command;
    json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
}

static const struct {
    struct writer writer;
    enum ctl_form form;
} forms[] = {{{"text", write_text}, CTL_TEXT}, {{"json", write_json}, CTL_JSON_LINES}};

bool commands_choose_form(struct ctl *ctl, const char *name)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].writer.name, name) == 0) {
            ctl->writer = &forms[i].writer;
            ctl->form = forms[i].form;
            return true;
        }
    }
    say_error(
        say("没有格式 \"%s\"，可用 text 或 json", "no format \"%s\"; there are text and json"),
        name);
    return false;
}

const struct command *commands_find(const char *name)
{
    for (const struct command *const *command = commands_table; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}

void commands_usage(FILE *out, const struct command *command)
{
    fprintf(out, "%slifelinectl %s %s\n", say("用法：", "usage: "), command->name,
            command->arguments);
}

/* A form and its text, whose further lines stand below the first; a form that is too long has a
 * line of its own. */
static void show(FILE *out, const char *form, const char *text)
{
    char *line = NULL;
    bool alone = width_of(form) >= FORM_COLUMNS;
    if (alone)
        fprintf(out, "  %s\n", form);
    if (asprintf(&line, "  %-*s%s", FORM_COLUMNS, alone ? "" : form, text) >= 0)
        text_fold(out, line, TEXT_COLUMN);
    free(line);
}

static void show_command(FILE *out, const struct command *command)
{
    char form[64];
    snprintf(form, sizeof form, "%s %s", command->name, command->arguments);
    show(out, form, say_words(command->help));
}

/* "check, probe: " before what is said of an option that not every command takes */
static void put_takers(FILE *stream, const struct option_row *row)
{
    for (size_t i = 0; row->takers[i]; i++)
        fprintf(stream, "%s%s", i ? say("、", ", ") : "", row->takers[i]->name);
    if (row->takers[0])
        fputs(say("：", ": "), stream);
}

static void show_option(FILE *out, const struct option_row *row, bool with_takers)
{
    char form[64], *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return;
    snprintf(form, sizeof form, "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
             row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
             row->argument ? " " : "", row->argument ? row->argument : "");
    if (with_takers)
        put_takers(stream, row);
    fputs(say_words(row->text), stream);
    if (fclose(stream) == 0)
        show(out, form, text);
    free(text);
}

static void show_all(FILE *out)
{
    fputs(say("用法：lifelinectl 命令 [选项]... [参数]...\n\n",
              "usage: lifelinectl COMMAND [OPTION]... [ARGUMENT]...\n\n"),
          out);
    for (const struct command *const *command = commands_table; *command; command++)
        show_command(out, *command);
    fputc('\n', out);
    for (const struct option_row *row = options_table; row->name; row++)
        show_option(out, row, true);
    fputc('\n', out);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        text_fold(out, say_words(notes[i]), 0);
}

void commands_help(FILE *out, const struct command *command)
{
    if (!command) {
        show_all(out);
        return;
    }
    commands_usage(out, command);
    fprintf(out, "%s\n\n", say_words(command->help));
    for (const struct option_row *row = options_table; row->name; row++) {
        if (options_fit(row, command))
            show_option(out, row, false);
    }
}
