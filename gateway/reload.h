/* SIGHUP: another configuration while everything runs. Main thread, in its event loop.
 *
 *     load ─> compare ─> build what is new ─> store registers ─> changed lines end ─> pipeline goes
 *     over ─> swap ─> new lines begin ─> what nobody needs any more is freed
 *
 * Until the store has it on disk nothing has changed, and a reload that fails leaves it so. Lines
 * and uplinks that say what they said before never stop: their samples are named by the line's
 * number and the place on it, which stay, and they take the new settings over when they have time.
 */
#ifndef LIFELINE_RELOAD_H
#define LIFELINE_RELOAD_H

#include "gateway/house.h"

struct reload;

/* Listens for SIGHUP on house->base. NULL without memory. */
struct reload *reload_new(struct house *house);

/* The end of the daemon, in three steps around those of the house: nothing begins any more; the
 * threads that were left ending; the memory. reload_join() is false when one of them hangs. */
void reload_stop(struct reload *reload);
bool reload_join(struct reload *reload, mono_time deadline);
void reload_free(struct reload *reload);

#endif
