/* Memory that is freed all at once: everything that a loaded file becomes.
 *
 * Nothing here returns NULL. Files are small and bounded, so a failing allocation means that the
 * whole machine is out of memory; the process ends then and its supervisor starts it again. */
#ifndef LIFELINE_ARENA_H
#define LIFELINE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);

/* Zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t length);
char *arena_text(struct arena *arena, const char *text);

/* Memory from elsewhere: when there is none it ends as above. */
void *arena_must(void *memory);

/* What is called when there is no memory left, to say so and end the process; at first abort(). */
void arena_exhausted(void (*handler)(void));

#endif
