/* The choice between MQTT 5 and 3.1.1, from what a broker did so far.
 * Pure; each uplink's thread owns its struct. Every connection that was used starts the question
 * anew: a broker that was updated is spoken to in 5 from the next connect on.
 * Never touches a connection. */
#include "gateway/uplink/protocol.h"

void protocol_start(struct protocol *protocol)
{
    *protocol = (struct protocol){.is_5 = true};
}

bool protocol_accepted(struct protocol *protocol)
{
    protocol->knows_5 |= protocol->is_5;
    protocol->took_311 |= !protocol->is_5;
    return protocol->is_5 || protocol->refused_5 || protocol->means_311;
}

void protocol_ended(struct protocol *protocol, enum protocol_end end)
{
    bool was_5 = protocol->is_5;
    switch (end) {
    case PROTOCOL_END_USED:
        protocol->is_5 = true;
        protocol->refused_5 = protocol->took_311 = protocol->means_311 = false;
        return;
    case PROTOCOL_END_VERSION:
        protocol->refused_5 |= was_5;
        protocol->is_5 = !was_5;
        return;
    case PROTOCOL_END_HUNG_UP:
        if (was_5 && !protocol->knows_5) {
            protocol->means_311 = protocol->took_311;
            protocol->is_5 = false;
            return;
        }
        break;
    case PROTOCOL_END_OTHER:
        break;
    }
    protocol->is_5 = !protocol->refused_5;
}
