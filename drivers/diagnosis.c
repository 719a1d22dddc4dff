/* Finding a diagnosis by its sector and name.
 *
 * Const tables only: any thread may ask. A new diagnosis is a new file diagnosis_NAME.c and a line
 * in the tables of the classes that have it. */
#include "drivers/diagnosis.h"

#include <string.h>

#include "drivers/class.h"

const struct diagnosis_form *diagnosis_form_of(enum sector sector, const char *name)
{
    const struct sensor_class *class = class_of(sector);
    for (size_t i = 0; class != NULL && i < class->diagnosis_count; i++) {
        if (strcmp(class->diagnoses[i]->form.name, name) == 0)
            return &class->diagnoses[i]->form;
    }
    return NULL;
}

const struct diagnosis *diagnosis_of(const struct diagnosis_form *form)
{
    _Static_assert(offsetof(struct diagnosis, form) == 0, "the form is the head");
    return (const struct diagnosis *)form;
}
