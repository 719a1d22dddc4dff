/* main() for a fuzz target where there is no fuzzer: feeds it every file of the folders given.
 *
 * One thread. Each input is copied into a block of exactly its own size, so that AddressSanitizer
 * sees a read one byte past it. Prints the name before each input: the last one named is the
 * one that crashed. No inputs at all is a failure, or an empty corpus would stay green. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path)
{
    bool ok = false;
    uint8_t *data = NULL;
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &info) != 0)
        goto out;
    size_t size = (size_t)info.st_size;
    data = malloc(size);
    if (data == NULL && size > 0)
        goto out;
    if (size > 0 && fread(data, 1, size, file) != size)
        goto out;
    printf("%s\n", path);
    fflush(stdout);
    ok = LLVMFuzzerTestOneInput(data, size) == 0;
out:
    if (!ok)
        fprintf(stderr, "%s: not replayed\n", path);
    free(data);
    if (file != NULL)
        fclose(file);
    return ok;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Inputs replayed, in the order of their names, or -1. */
static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, visible, alphasort);
    if (count < 0) {
        perror(folder);
        return -1;
    }
    bool ok = true;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        ok = replay_file(path) && ok;
        free(entries[i]);
    }
    free(entries);
    return ok ? count : -1;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
