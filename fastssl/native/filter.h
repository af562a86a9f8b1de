/* Weights of the antialiased resize along one direction. */
#ifndef FASTSSL_FILTER_H
#define FASTSSL_FILTER_H
#include "resize.h"

struct Axis {
    double start, length; /* of the crop along this direction */
    int extent;           /* pixels of the region from the first that the crop touches */
    int size, cubic, flip;
    int align; /* filters begin at a multiple of this: 1 or 2 */
};

/* Room for the weights of one output pixel. */
int fs_taps(const Axis *axis);
/* Bytes of scratch that filling a filter takes. */
size_t fs_fill_bytes(const Axis *axis);
/* The filter as this thread keeps it, made by `fill` where it does not yet; NULL for one that is not kept. It holds
 * until the next call for the same `align`. */
const Filter *fs_kept(const Axis *axis, Fill *fill, void *scratch, Scratch *kept);
/* How a processor fills in `first`, `counts`, `weights` and `most` of a filter that has room for them. */
void fs_fill(Filter *filter, const Axis *axis, void *scratch);
#if defined(__x86_64__)
void fs_fill_avx2(Filter *filter, const Axis *axis, void *scratch);
#endif
#endif
