/* Puts registers of several periods into one read and says what it costs.
 *
 * Pure: runs where plan_new() runs, owns nothing. A read with the periods p1 | p2 | ... is asked
 * 1/p1 times a ms. What the hull of the next period adds to its request, it adds 1/p2 times a ms
 * only, and so on; so it costs the sum over m of 1/pm x (T(hull up to pm) - T(hull up to pm-1)). */
#include "drivers/plan_bundle.h"

#include <math.h>
#include <string.h>

#include "drivers/line_time.h"

static bool divides(uint32_t shorter_ms, uint32_t longer_ms)
{
    return shorter_ms == 0 ? longer_ms == 0 : longer_ms % shorter_ms == 0;
}

double plan_bundle_cost(const struct plan_wire *wire, const struct plan_bundle *a,
                        const struct plan_bundle *b)
{
    struct plan_span sum = {.first = UINT32_MAX, .cap = UINT32_MAX};
    double cost = 0, before_ns = 0;
    uint32_t every_ms = 0, periods = 0;
    for (uint32_t i = 0, k = 0; i < a->count || k < b->count;) {
        bool from_a =
            k == b->count || (i < a->count && a->layers[i].every_ms <= b->layers[k].every_ms);
        const struct plan_layer *layer = from_a ? &a->layers[i++] : &b->layers[k++];
        if (periods == 0 || layer->every_ms != every_ms) {
            if (periods == PLAN_LAYERS_MAX || (periods > 0 && !divides(every_ms, layer->every_ms)))
                return INFINITY;
            every_ms = layer->every_ms;
            periods++;
        }
        sum = plan_bundle_hull(&sum, &layer->span);
        uint32_t bytes = line_time_bytes(wire->function, sum.end - sum.first);
        double ns = (double)(sum.overhead_ns + bytes * wire->byte_ns);
        cost += (ns - before_ns) / (every_ms != 0 ? every_ms : 1);
        before_ns = ns;
    }
    return periods == 0 || plan_bundle_fits(&sum) ? cost : INFINITY;
}

bool plan_bundle_add(struct plan_bundle *bundle, const struct plan_layer *layer)
{
    struct plan_layer *at = bundle->layers, *end = at + bundle->count;
    bundle->whole = at < end ? plan_bundle_hull(&bundle->whole, &layer->span) : layer->span;
    if (!plan_bundle_fits(&bundle->whole))
        return false;
    while (at < end && at->every_ms < layer->every_ms)
        at++;
    if (at < end && at->every_ms == layer->every_ms) {
        at->span = plan_bundle_hull(&at->span, &layer->span);
        return true;
    }
    if (bundle->count == PLAN_LAYERS_MAX ||
        (at > bundle->layers && !divides(at[-1].every_ms, layer->every_ms)) ||
        (at < end && !divides(layer->every_ms, at->every_ms)))
        return false;
    memmove(at + 1, at, (size_t)(end - at) * sizeof *at);
    *at = *layer;
    bundle->count++;
    return true;
}
