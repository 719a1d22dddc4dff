/* The table of lifelined's options, and who reads it.
 *
 * The main thread, before there are others. Owns nothing; what is read points into argv. Says
 * itself what there is to say: help, version, usage. */
#include "gateway/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

static const struct usage_option options[] = {
    {"config", 'c', "FILE", 'c', "the configuration (" SETUP_CONFIG ")"},
    {"profiles", '\0', "DIR", 'p',
     "where profiles are; may be given several times; then profiles/ beside the configuration, "
     "then " SETUP_PROFILES},
    {"check", '\0', NULL, 'k', "check the configuration and exit: 0 fine, 1 errors"},
    {"help", 'h', NULL, 'h', "this text"},
    {"version", '\0', NULL, 'v', "the version"},
};

const struct usage arguments_usage = {
    .program = "lifelined",
    .form = "[-c FILE] [--profiles DIR]... [--check]",
    .purpose = "Polls Modbus sensors, stores every reading, publishes to MQTT. SIGHUP reloads the "
               "configuration: lines and uplinks that it leaves as they are go on.",
    .options = options,
    .count = sizeof options / sizeof *options,
};

static int tell(FILE *out)
{
    char text[USAGE_TEXT_MAX];
    usage_text(&arguments_usage, text);
    fputs(text, out);
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

int arguments_parse(struct arguments *arguments, int argc, char **argv)
{
    int option;
    *arguments = (struct arguments){.config = SETUP_CONFIG};
    while ((option = usage_next(&arguments_usage, argc, argv)) != -1) {
        if (option == 'c') {
            arguments->config = optarg;
        } else if (option == 'p' && setup_path_add(&arguments->profiles, optarg)) {
            continue;
        } else if (option == 'k') {
            arguments->check = true;
        } else if (option == 'v') {
            puts("lifelined " LIFELINE_VERSION);
            return EXIT_SUCCESS;
        } else {
            return tell(option == 'h' ? stdout : stderr);
        }
    }
    return optind == argc ? -1 : tell(stderr);
}
