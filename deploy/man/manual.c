/* Makes a manual page, or the completion, out of a skeleton and the tables of the programs.
 *
 *     manual lifelinectl.1.in lifelinectl.1
 *
 * Run by the build (CMakeLists.txt), one thread. A line of the skeleton that is a mark, like
 * `@keys profile@`, is replaced by what a table says (manual_marks.c); all others are copied.
 * Never knows an option, a key or a command itself. A mark that nobody knows is an error. */
#include <stdlib.h>
#include <string.h>

#include "deploy/man/manual.h"

enum { LINE_MAX_LENGTH = 1000 };

static bool put(FILE *out, const char *line)
{
    char name[100], argument[100] = "";
    size_t length = strcspn(line, "\n");
    if (length < 3 || line[0] != '@' || line[length - 1] != '@') {
        fputs(line, out);
        return true;
    }
    if (sscanf(line, "@%99[a-z_]%*[ ]%99[^@]@", name, argument) < 1)
        return false;
    for (const struct manual_mark *mark = manual_marks; mark->name; mark++) {
        if (strcmp(mark->name, name) == 0)
            return mark->put(out, argument);
    }
    return false;
}

int main(int argc, char **argv)
{
    char line[LINE_MAX_LENGTH];
    int number = 0;
    if (argc != 3) {
        fputs("usage: manual SKELETON FILE\n", stderr);
        return EXIT_FAILURE;
    }
    FILE *in = fopen(argv[1], "re"), *out = in ? fopen(argv[2], "we") : NULL;
    bool fine = in && out;
    if (!fine)
        perror(in ? argv[2] : argv[1]);
    while (fine && fgets(line, sizeof line, in)) {
        number++;
        fine = put(out, line);
        if (!fine)
            fprintf(stderr, "%s:%d: no such mark: %s", argv[1], number, line);
    }
    fine = out && fclose(out) == 0 && fine;
    if (in)
        fclose(in);
    if (!fine && out)
        remove(argv[2]);
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
