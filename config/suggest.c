/* Finds the name that was probably meant, by edit distance.
 *
 * Pure, any thread, no memory of its own: names longer than NAME_MAX_LENGTH are never suggested.
 * Transposed neighbours count as one slip, and so does a change of case. */
#include "config/suggest.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    size_t before[NAME_MAX_LENGTH + 1] = {0}, last[NAME_MAX_LENGTH + 1], row[NAME_MAX_LENGTH + 1];
    for (size_t j = 0; j <= columns; j++)
        last[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = smaller(change, smaller(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        memcpy(before, last, sizeof(before));
        memcpy(last, row, sizeof(last));
    }
    return last[columns];
}

struct suggest suggest_start(const char *word)
{
    return (struct suggest){.word = word, .distance = SIZE_MAX};
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
    if (strlen(suggest->word) > NAME_MAX_LENGTH || strlen(candidate) > NAME_MAX_LENGTH)
        return;
    size_t distance =
        strcasecmp(suggest->word, candidate) == 0 ? 1 : edit_distance(suggest->word, candidate);
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = candidate;
    }
}

const char *suggest_text(struct suggest *suggest)
{
    suggest->text[0] = '\0';
    if (suggest->best != NULL && suggest->distance <= strlen(suggest->best) / 3 + 1 &&
        suggest->distance < strlen(suggest->best))
        snprintf(suggest->text, sizeof(suggest->text), "; did you mean \"%.76s\"?", suggest->best);
    return suggest->text;
}
