/* Puts items of several periods together and says what they cost.
 *
 * Pure: runs where plan_new() runs, owns nothing. A read with the periods p1 | p2 | ... is asked
 * 1/p1 times a ms, and at 1/p(m+1) of these with the next longer period too; so it costs the sum
 * over m of (1/pm - 1/p(m+1)) x T(hull of the items up to pm). */
#include "drivers/plan_bundle.h"

#include <stddef.h>

int64_t plan_bundle_data_ns(const struct plan_wire *wire, uint32_t count)
{
    return (wire->bits ? (count + 7) / 8 : 2 * count) * wire->byte_ns;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static bool divides(uint32_t shorter_ms, uint32_t longer_ms)
{
    return shorter_ms == 0 ? longer_ms == 0 : longer_ms % shorter_ms == 0;
}

void plan_bundle_widen(struct plan_layer *layer, const struct plan_layer *by)
{
    layer->first = plan_bundle_least(layer->first, by->first);
    layer->end = most(layer->end, by->end);
    layer->overhead_ns =
        layer->overhead_ns > by->overhead_ns ? layer->overhead_ns : by->overhead_ns;
}

double plan_bundle_cost(const struct plan_wire *wire, const struct plan_bundle *bundle)
{
    double cost = 0;
    struct plan_layer sum = bundle->layers[0];
    for (uint32_t i = 0; i < bundle->count; i++) {
        plan_bundle_widen(&sum, &bundle->layers[i]);
        double slower = i + 1 < bundle->count ? bundle->layers[i + 1].rate : 0;
        cost += (bundle->layers[i].rate - slower) *
                (double)(sum.overhead_ns + plan_bundle_data_ns(wire, sum.end - sum.first));
    }
    return cost;
}

struct plan_layer plan_bundle_whole(const struct plan_bundle *bundle)
{
    struct plan_layer sum = bundle->layers[0];
    for (uint32_t i = 1; i < bundle->count; i++)
        plan_bundle_widen(&sum, &bundle->layers[i]);
    return sum;
}

bool plan_bundle_join(const struct plan_bundle *a, const struct plan_bundle *b,
                      struct plan_bundle *out)
{
    out->cap = plan_bundle_least(a->cap, b->cap);
    out->count = 0;
    uint32_t first = UINT32_MAX, end = 0;
    for (uint32_t i = 0, k = 0; i < a->count || k < b->count;) {
        bool from_a =
            k == b->count || (i < a->count && a->layers[i].every_ms <= b->layers[k].every_ms);
        const struct plan_layer *layer = from_a ? &a->layers[i++] : &b->layers[k++];
        struct plan_layer *last = out->count > 0 ? &out->layers[out->count - 1] : NULL;
        first = plan_bundle_least(first, layer->first);
        end = most(end, layer->end);
        if (last != NULL && last->every_ms == layer->every_ms) {
            plan_bundle_widen(last, layer);
            continue;
        }
        if (out->count == PLAN_LAYERS_MAX ||
            (last != NULL && !divides(last->every_ms, layer->every_ms)))
            return false;
        out->layers[out->count++] = *layer;
    }
    return out->count == 0 || end - first <= out->cap;
}

/* The part is mostly one point, of a period that is there already. */
static bool widen_layer(struct plan_bundle *bundle, const struct plan_bundle *part, bool *fits)
{
    const struct plan_layer *own = &part->layers[0];
    uint32_t first = own->first, end = own->end, same = UINT32_MAX;
    for (uint32_t i = 0; i < bundle->count; i++) {
        first = plan_bundle_least(first, bundle->layers[i].first);
        end = most(end, bundle->layers[i].end);
        same = bundle->layers[i].every_ms == own->every_ms ? i : same;
    }
    if (part->count != 1 || same == UINT32_MAX)
        return false;
    uint32_t cap = plan_bundle_least(bundle->cap, part->cap);
    *fits = end - first <= cap;
    if (*fits) {
        bundle->cap = cap;
        plan_bundle_widen(&bundle->layers[same], own);
    }
    return true;
}

bool plan_bundle_add(struct plan_bundle *bundle, const struct plan_bundle *part)
{
    bool fits = false;
    if (part->count == 0 || widen_layer(bundle, part, &fits))
        return part->count == 0 || fits;
    struct plan_bundle joined;
    fits = plan_bundle_join(bundle, part, &joined);
    if (fits)
        *bundle = joined;
    return fits;
}
