/* The units that registers select between, each with its size in the base unit of its dimension.
 *
 * Const data; any thread. Only what a factor can say: no temperatures (offsets). What takes a
 * constant of the gas (%LEL and %VOL, ppm and mg/m³) has it from the table of gases here and from
 * the profile; nothing is assumed of a gas that is not in the table. */
#include "config/units.h"

#include <stddef.h>
#include <string.h>

enum dimension { PRESSURE, LENGTH, SPEED, FLOW, VOLUME, FRACTION, CONCENTRATION, ENERGY, TIME };

static const struct unit {
    const char *name;
    enum dimension dimension;
    double size;
} units[] = {
    {"Pa", PRESSURE, 1},
    {"hPa", PRESSURE, 100},
    {"kPa", PRESSURE, 1e3},
    {"MPa", PRESSURE, 1e6},
    {"mbar", PRESSURE, 100},
    {"bar", PRESSURE, 1e5},
    {"kg/cm2", PRESSURE, 98066.5},
    {"psi", PRESSURE, 6894.757293168361},
    {"mH2O", PRESSURE, 9806.65},
    {"mmH2O", PRESSURE, 9.80665},
    {"mm", LENGTH, 1},
    {"cm", LENGTH, 10},
    {"m", LENGTH, 1000},
    {"mm/s", SPEED, 1},
    {"cm/s", SPEED, 10},
    {"m/s", SPEED, 1000},
    {"L/h", FLOW, 1},
    {"L/min", FLOW, 60},
    {"m³/h", FLOW, 1000},
    {"m3/h", FLOW, 1000},
    {"L/s", FLOW, 3600},
    {"m³/s", FLOW, 3.6e6},
    {"m3/s", FLOW, 3.6e6},
    {"L", VOLUME, 1},
    {"m³", VOLUME, 1000},
    {"m3", VOLUME, 1000},
    {"ppb", FRACTION, 1},
    {"ppm", FRACTION, 1e3},
    {"%VOL", FRACTION, 1e7},
    {"µg/m³", CONCENTRATION, 1},
    {"mg/m³", CONCENTRATION, 1e3},
    {"kWh", ENERGY, 3.6},
    {"MJ", ENERGY, 1},
    {"GJ", ENERGY, 1000},
    {"s", TIME, 1},
    {"min", TIME, 60},
    {"h", TIME, 3600},
};

static const struct unit *find_unit(const char *name)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

bool units_factor(const char *from, const char *to, double *factor)
{
    if (strcmp(from, to) == 0) {
        *factor = 1;
        return true;
    }
    const struct unit *a = find_unit(from), *b = find_unit(to);
    if (a == NULL || b == NULL || a->dimension != b->dimension)
        return false;
    *factor = a->size / b->size;
    return true;
}

/* L/mol of an ideal gas at 20 °C and 101.325 kPa: 8.31446 x 293.15 / 101.325. The temperature that
 * occupational limits are stated at. */
static const double MOLAR_VOLUME = 24.055;

/* g/mol, from the atomic masses of IUPAC. */
static const struct gas {
    const char *quantity;
    double molar_mass;
} gases[] = {
    {"ch4", 16.043},
    {"co", 28.010},
    {"h2s", 34.081},
};

static double molar_mass(const char *quantity)
{
    for (size_t i = 0; i < sizeof(gases) / sizeof(gases[0]); i++) {
        if (strcmp(gases[i].quantity, quantity) == 0)
            return gases[i].molar_mass;
    }
    return 0;
}

/* How many ppb one of the unit is of this gas; 0 = not known. */
static double ppb_of(const char *name, double mass, double lel)
{
    static const double PPB_OF_VOL = 1e7, MG_OF_UG = 1e-3, PPB_OF_PPM = 1e3;
    const struct unit *unit = find_unit(name);
    if (strcmp(name, "%LEL") == 0)
        return lel > 0 ? lel / 100 * PPB_OF_VOL : 0;
    if (unit != NULL && unit->dimension == FRACTION)
        return unit->size;
    if (unit != NULL && unit->dimension == CONCENTRATION && mass > 0)
        return unit->size * MG_OF_UG * MOLAR_VOLUME / mass * PPB_OF_PPM;
    return 0;
}

bool units_gas_factor(const char *quantity, double lel, const char *from, const char *to,
                      double *factor)
{
    if (units_factor(from, to, factor))
        return true;
    double mass = molar_mass(quantity);
    double a = ppb_of(from, mass, lel), b = ppb_of(to, mass, lel);
    if (!(a > 0) || !(b > 0))
        return false;
    *factor = a / b;
    return true;
}
