/* The schedule of faults: which one strikes a request, and when links go down.
 *
 * Pure; called by the simulator's only thread and by its tests. Owns nothing: the list belongs to
 * the script. Never looks at a clock; the caller says what time it is. */
#include "drivers/sim/sim_fault.h"

const char *sim_fault_name(enum sim_fault_kind kind)
{
    switch (kind) {
    case SIM_FAULT_NONE:
        return "none";
    case SIM_FAULT_MUTE:
        return "mute";
    case SIM_FAULT_LATE:
        return "late";
    case SIM_FAULT_GARBLED:
        return "garbled";
    case SIM_FAULT_EXCEPTION:
        return "exception";
    case SIM_FAULT_WRONG_UNIT:
        return "wrong-unit";
    case SIM_FAULT_SHORT:
        return "short";
    case SIM_FAULT_NOISE:
        return "noise";
    case SIM_FAULT_FOREIGN:
        return "foreign";
    case SIM_FAULT_TWIN:
        return "twin";
    case SIM_FAULT_HOLE:
        return "hole";
    case SIM_FAULT_DROP_LINK:
        return "drop-link";
    case SIM_FAULT_COUNT:
        break;
    }
    return "none";
}

static bool lasts(const struct sim_fault *fault, int64_t now_ms)
{
    int64_t since_ms = now_ms - fault->at_ms;
    if (since_ms >= 0 && fault->repeat_ms > 0) {
        since_ms %= fault->repeat_ms;
    }
    return since_ms >= 0 && (fault->for_ms == 0 || since_ms < fault->for_ms);
}

static bool strikes(const struct sim_fault *fault, const struct sim_fault_target *target)
{
    if (fault->kind == SIM_FAULT_DROP_LINK || fault->line != target->line) {
        return false;
    }
    if (fault->kind != SIM_FAULT_HOLE) {
        return fault->device == SIM_FAULT_ANY || fault->device == target->device;
    }
    return (fault->device == SIM_FAULT_ANY || fault->unit == target->unit) &&
           target->address < fault->address + fault->count &&
           fault->address < target->address + target->count;
}

const struct sim_fault *sim_fault_strike(struct sim_faults *faults, int64_t now_ms,
                                         const struct sim_fault_target *target)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct sim_fault *fault = &faults->list[i];
        if (!strikes(fault, target) || !lasts(fault, now_ms)) {
            continue;
        }
        fault->seen++;
        if (fault->seen % fault->every == 0) {
            return fault;
        }
    }
    return NULL;
}

bool sim_fault_link_down(const struct sim_faults *faults, int64_t now_ms, int32_t line)
{
    for (size_t i = 0; i < faults->count; i++) {
        const struct sim_fault *fault = &faults->list[i];
        if (fault->kind == SIM_FAULT_DROP_LINK && fault->line == line && lasts(fault, now_ms)) {
            return true;
        }
    }
    return false;
}

int64_t sim_fault_next_link_change(const struct sim_faults *faults, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < faults->count; i++) {
        const struct sim_fault *fault = &faults->list[i];
        if (fault->kind != SIM_FAULT_DROP_LINK) {
            continue;
        }
        int64_t start = fault->at_ms;
        if (fault->repeat_ms > 0 && now_ms > start) {
            start += (now_ms - start) / fault->repeat_ms * fault->repeat_ms;
        }
        int64_t end = fault->for_ms > 0 ? start + fault->for_ms : start;
        int64_t again = fault->repeat_ms > 0 ? start + fault->repeat_ms : start;
        int64_t changes[3] = {start, end, again};
        for (int j = 0; j < 3; j++) {
            if (changes[j] > now_ms && changes[j] < next) {
                next = changes[j];
            }
        }
    }
    return next;
}
