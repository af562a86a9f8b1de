/* Half-pixel centres; the filter widens when the crop shrinks, is cut at the crop's edge and normalised (as
 * aten/src/ATen/native/cpu/UpSampleKernel.cpp defines it). Weights are made in doubles and rounded to integers.
 *
 * A view of 32 pixels takes 64 filters, which cost as much as all its pixels when made one by one: they are made in
 * blocks, number by number across the block, so that the compiler finds vectors. No value depends on its neighbours.
 */
#include "filter.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32, ONE = 1 << WEIGHT_BITS };

/* A block of output pixels, the last of the view again where the block goes on beyond it. */
typedef struct {
    double centre[BLOCK], total[BLOCK];
    int32_t low[BLOCK], high[BLOCK], left[BLOCK], most[BLOCK], largest[BLOCK];
    double (*exact)[BLOCK];   /* a row for each source pixel from `low` on */
    int32_t (*rounded)[BLOCK];
} Block;

#define INLINE static inline __attribute__((always_inline))

static double reach_of(const Axis *axis) {
    double scale = axis->length / axis->size;
    return (axis->cubic ? 2 : 1) * (scale > 1 ? scale : 1);
}

int fs_taps(const Axis *axis) { return (2 * (int)ceil(reach_of(axis)) + 2 + axis->align) & ~1; }

size_t fs_fill_bytes(const Axis *axis) {
    return (size_t)fs_taps(axis) * BLOCK * (sizeof(double) + sizeof(int32_t));
}

INLINE double triangle(double x) { return 1 - x > 0 ? 1 - x : 0; }

/* Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -.5. */
INLINE double keys(double x) {
    const double near = (1.5 * x - 2.5) * x * x + 1, far = ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return x < 1 ? near : x < 2 ? far : 0;
}

/* Where the filters of pixels `from` on lie; gives back the number of source pixels of the widest. */
INLINE int place(Block *block, const Axis *axis, int from) {
    const double scale = axis->length / axis->size, reach = reach_of(axis);
    int widest = 0;
    for (int i = 0; i < BLOCK; i++) {
        const int pixel = from + i < axis->size ? from + i : axis->size - 1;
        const double centre = block->centre[i] = axis->start + scale * (pixel + 0.5);
        const int low = (int)(centre - reach + 0.5), high = (int)(centre + reach + 0.5);
        block->low[i] = low > 0 ? low : 0;
        block->high[i] = high < axis->extent ? high : axis->extent;
    }
    for (int i = 0; i < BLOCK; i++)
        if (block->high[i] - block->low[i] > widest) widest = block->high[i] - block->low[i];
    return widest;
}

INLINE void weigh(Block *block, double squeeze, int cubic, int widest) {
    for (int i = 0; i < BLOCK; i++) block->total[i] = 0;
    for (int t = 0; t < widest; t++) {
        double *restrict exact = block->exact[t];
        for (int i = 0; i < BLOCK; i++) {
            const double x = fabs((block->low[i] + t + 0.5 - block->centre[i]) * squeeze);
            const double weight = cubic ? keys(x) : triangle(x);
            exact[i] = block->low[i] + t < block->high[i] ? weight : 0;
            block->total[i] += exact[i];
        }
    }
}

/* Weights that add up to one; the largest, the first of equals, takes what rounding leaves: flat images stay flat. */
INLINE void round_all(Block *block, int widest) {
    double gain[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        gain[i] = ONE / block->total[i];
        block->left[i] = ONE, block->most[i] = INT32_MIN, block->largest[i] = 0;
    }
    for (int t = 0; t < widest; t++) {
        const double *restrict exact = block->exact[t];
        int32_t *restrict rounded = block->rounded[t];
        for (int i = 0; i < BLOCK; i++) {
            const int weight = (int)(exact[i] * gain[i] + (ONE * 4.0 + 0.5)) - ONE * 4;
            rounded[i] = weight;
            block->left[i] -= weight;
            block->largest[i] = weight > block->most[i] ? t : block->largest[i];
            block->most[i] = weight > block->most[i] ? weight : block->most[i];
        }
    }
}

INLINE void store(Filter *filter, const Axis *axis, const Block *block, int from, int widest) {
    const int pixels = axis->size - from < BLOCK ? axis->size - from : BLOCK, step = axis->flip ? -1 : 1;
    int at = axis->flip ? axis->size - 1 - from : from;
    for (int i = 0; i < pixels; i++, at += step) {
        const int skip = block->low[i] & (axis->align - 1), count = block->high[i] - block->low[i] + skip;
        int16_t *weights = filter->weights + (size_t)at * (size_t)filter->taps + skip;
        for (int t = 0; t < widest; t++) weights[t] = (int16_t)block->rounded[t][i]; /* zeros after the last */
        weights[block->largest[i]] = (int16_t)(block->most[i] + block->left[i]);
        filter->first[at] = block->low[i] - skip;
        filter->counts[at] = count;
        if (count > filter->most) filter->most = count;
    }
}

INLINE void fill(Filter *filter, const Axis *axis, void *scratch) {
    const double scale = axis->length / axis->size, squeeze = scale > 1 ? 1 / scale : 1;
    Block block;
    block.exact = scratch;
    block.rounded = (int32_t(*)[BLOCK])(block.exact + filter->taps);
    memset(filter->weights, 0, sizeof(int16_t) * (size_t)filter->taps * (size_t)axis->size);
    for (int from = 0; from < axis->size; from += BLOCK) {
        const int widest = place(&block, axis, from);
        weigh(&block, squeeze, axis->cubic, widest);
        round_all(&block, widest);
        store(filter, axis, &block, from, widest);
    }
}

void fs_fill(Filter *filter, const Axis *axis, void *scratch) { fill(filter, axis, scratch); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) void fs_fill_avx2(Filter *filter, const Axis *axis, void *scratch) {
    fill(filter, axis, scratch);
}
#endif
