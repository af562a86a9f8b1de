/* Crops lie on whole pixels, so a filter depends on the crop's length alone and not on its place: views of CIFAR's size
 * take some hundred different ones. Making them anew each time takes a quarter of such a view. Larger views differ more
 * and have more pixels to spread the cost over.
 */
#include "filter.h"

#include <string.h>

enum { SLOTS = 64, MOST_SIZE = 64, MOST_TAPS = 16 }; /* slots of each `align`: 1 or 2 */

/* A slot whose `axis.size` is 0 is empty. */
typedef struct {
    Axis axis;
    Filter filter;
    int32_t first[MOST_SIZE], counts[MOST_SIZE];
    int16_t weights[MOST_SIZE * MOST_TAPS];
} Slot;

static int is_same(const Axis *a, const Axis *b) {
    return a->length == b->length && a->extent == b->extent && a->size == b->size && a->cubic == b->cubic &&
           a->flip == b->flip && a->align == b->align;
}

static Slot *slots_of(Scratch *kept) {
    const int fresh = kept->bytes == 0;
    Slot *slots = reserve(kept, 2 * SLOTS * sizeof(Slot));
    if (slots && fresh) memset(slots, 0, 2 * SLOTS * sizeof(Slot));
    return slots;
}

const Filter *fs_kept(const Axis *axis, Fill *fill, void *scratch, Scratch *kept) {
    if (axis->size > MOST_SIZE || axis->start != 0 || axis->length != axis->extent || fs_taps(axis) > MOST_TAPS)
        return NULL;
    Slot *slots = slots_of(kept);
    if (!slots) return NULL;
    Slot *slot = &slots[(axis->align - 1) * SLOTS + (2 * axis->extent + axis->flip + 7 * axis->size) % SLOTS];
    if (!is_same(&slot->axis, axis)) {
        slot->filter = (Filter){slot->first, slot->counts, slot->weights, fs_taps(axis), 0};
        fill(&slot->filter, axis, scratch);
        slot->axis = *axis;
    }
    return &slot->filter;
}
