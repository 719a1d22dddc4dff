/* lifelinectl: the command line of the gateway, for people and for scripts.
 *
 * One thread. Reads the options, finds the command in its table and the writer of the output
 * format; the rest is the commands' own. A command asks the daemon over its socket or, as `check`
 * and `probe` do, needs none. Writes no file but the transcript that `probe` is asked for. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl/ctl.h"
#include "gateway/ctl/text.h"

#define DEFAULT_SOCKET "/run/lifeline/api.sock"

enum { HELP_COLUMN = 26 };

static const struct command *const commands[] = {&status_command, &tail_command,  &read_command,
                                                 &query_command,  &check_command, &probe_command};

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

static const struct writer writers[] = {{"text", write_text}, {"json", write_json}};

static void usage(FILE *out)
{
    fputs("usage: lifelinectl [--format text|json] [--socket PATH] COMMAND ...\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char form[64];
        snprintf(form, sizeof form, "%s %s", commands[i]->name, commands[i]->arguments);
        fprintf(out, "  %-*s%s\n", HELP_COLUMN, form, commands[i]->help);
    }
    fputs("\n"
          "      --format FORMAT     text for people (default), json for scripts\n"
          "      --socket PATH       the daemon's API; else $LIFELINE_SOCKET, else\n"
          "                          " DEFAULT_SOCKET "\n"
          "      --profiles DIR      check, probe: where profiles are, before profiles/\n"
          "                          beside the file and " SETUP_PROFILES "\n"
          "      --since T           query: from when, 1h ago if not given; 2h, 30d or\n"
          "                          2026-11-22T03:00, local or with Z, +08:00\n"
          "      --until T           query: before when, now if not given\n"
          "      --csv, --json       query: for other programs; json is one object a line\n"
          "  -c, --config FILE       probe, query without a daemon: the configuration, else\n"
          "                          " SETUP_CONFIG "\n"
          "      --scan              probe: every unit at every usual baud\n"
          "      --record FILE       probe: write what was said into a transcript\n"
          "  -h, --help\n"
          "      --version\n"
          "\n"
          "POINT is device.point or a device; * and ? stand for others.\n"
          "Exit status: 0 fine, 1 a finding, 2 usage, 3 no daemon (query: and no store).\n",
          out);
}

static bool choose_writer(struct ctl *ctl, const char *name)
{
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        if (strcmp(writers[i].name, name) == 0) {
            ctl->writer = &writers[i];
            ctl->form = writers[i].write == write_json ? CTL_JSON_LINES : CTL_TEXT;
            return true;
        }
    }
    fprintf(stderr, "lifelinectl: no format \"%s\"; there are text and json\n", name);
    return false;
}

static bool choose_command(struct ctl *ctl, const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            ctl->command = commands[i];
            return true;
        }
    }
    fprintf(stderr, "lifelinectl: no command \"%s\"\n", name);
    return false;
}

static bool arguments_fit(const struct ctl *ctl)
{
    const struct command *command = ctl->command;
    bool fit = ctl->argument_count >= command->least &&
               (command->most < 0 || ctl->argument_count <= command->most);
    if (!fit)
        fprintf(stderr, "usage: lifelinectl %s %s\n", command->name, command->arguments);
    return fit;
}

/* An option that is taken as it stands. */
static bool take_word(struct ctl *ctl, int option)
{
    switch (option) {
    case 's':
        ctl->socket = optarg;
        return true;
    case 'c':
        ctl->config = optarg;
        return true;
    case 'r':
        ctl->record = optarg;
        return true;
    case 'n':
        ctl->scan = true;
        return true;
    case 'b':
        ctl->since = optarg;
        return true;
    case 'u':
        ctl->until = optarg;
        return true;
    case 'C':
        ctl->form = CTL_CSV;
        return true;
    default:
        return false;
    }
}

/* True to go on; otherwise *code is the exit status. */
static bool parse(struct ctl *ctl, int argc, char **argv, enum ctl_exit *code)
{
    static const struct option known[] = {{"format", required_argument, NULL, 'f'},
                                          {"socket", required_argument, NULL, 's'},
                                          {"profiles", required_argument, NULL, 'p'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"scan", no_argument, NULL, 'n'},
                                          {"record", required_argument, NULL, 'r'},
                                          {"since", required_argument, NULL, 'b'},
                                          {"until", required_argument, NULL, 'u'},
                                          {"csv", no_argument, NULL, 'C'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {0}};
    int option;
    *code = CTL_USAGE;
    while ((option = getopt_long(argc, argv, "c:h", known, NULL)) != -1) {
        if (option == 'f' && choose_writer(ctl, optarg))
            continue;
        if (option == 'j' && choose_writer(ctl, "json"))
            continue;
        if (option == 'p' && setup_path_add(&ctl->profiles, optarg))
            continue;
        if (take_word(ctl, option))
            continue;
        if (option == 'h' || option == 'v')
            *code = CTL_FINE;
        if (option == 'h')
            usage(stdout);
        else if (option == 'v')
            puts("lifelinectl " LIFELINE_VERSION);
        return false;
    }
    if (optind == argc) {
        usage(stderr);
        return false;
    }
    ctl->arguments = argv + optind + 1;
    ctl->argument_count = argc - optind - 1;
    return choose_command(ctl, argv[optind]) && arguments_fit(ctl);
}

int main(int argc, char **argv)
{
    const char *socket = getenv("LIFELINE_SOCKET");
    struct ctl ctl = {.socket = socket && *socket ? socket : DEFAULT_SOCKET,
                      .config = SETUP_CONFIG,
                      .writer = &writers[0]};
    enum ctl_exit code;
    text_begin();
    if (!parse(&ctl, argc, argv, &code))
        return (int)code;
    curl_global_init(CURL_GLOBAL_NOTHING);
    code = ctl.command->run(&ctl);
    curl_global_cleanup();
    return (int)code;
}
