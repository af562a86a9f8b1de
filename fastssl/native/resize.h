/* Crop and resize of 8-bit RGB: torchvision's antialiased filters in 16-bit fixed point, within a level of float. */
#ifndef FASTSSL_RESIZE_H
#define FASTSSL_RESIZE_H
#include <stddef.h>
#include <stdint.h>

enum { WEIGHT_BITS = 14, BETWEEN_BITS = 6 };

/* Decoded pixels, three bytes each. Nothing at `end` or beyond is read. */
typedef struct {
    const uint8_t *pixels, *end;
    ptrdiff_t stride; /* bytes from row to row */
    int32_t height, width;
} Region;

/* What one view takes from a region, in its pixels; fractions where the region is decoded at a smaller scale. */
typedef struct {
    double top, left, height, width;
    int32_t size;  /* side of the view */
    int32_t cubic; /* 0: triangle, 1: Keys' cubic, a = -.5 */
    int32_t flip;  /* left to right */
} Crop;

/* Memory of one thread, kept from image to image; all zeros to begin with. */
typedef struct {
    void *memory;
    size_t bytes;
} Scratch;

/* At least `bytes`, aligned to 64; what it held is lost. NULL when there is no memory. */
void *reserve(Scratch *scratch, size_t bytes);

/* Writes size * size pixels to `out`; -1 when there is no memory. The same bytes on every processor. `kept` holds filters
 * from call to call. */
int fs_resize(const Region *region, const Crop *crop, uint8_t *out, Scratch *scratch, Scratch *kept);

/* Weights of one direction: output pixel i takes `counts[i]` source pixels from `first[i]` on. */
typedef struct {
    int32_t *first, *counts;
    int16_t *weights; /* `taps` for each output pixel, zeros after the last */
    int32_t taps;     /* even */
    int32_t most;     /* largest of `counts` */
} Filter;

typedef struct Axis Axis; /* of filter.h */
typedef void Fill(Filter *filter, const Axis *axis, void *scratch);

/* How a processor makes the weights and does the two passes. */
typedef struct {
    int lanes; /* output rows made at once */
    Fill *fill;
    /* One row between the passes: `values` numbers with BETWEEN_BITS below the point. */
    void (*filter_rows)(const Region *region, ptrdiff_t corner, const Filter *down, int row, int values, int16_t *line);
    /* `lanes` rows side by side, as the second pass reads them. `lines` are `line_values` apart. */
    void (*weave)(const int16_t *lines, size_t line_values, int width, int16_t *woven);
    void (*filter_columns)(const int16_t *woven, const Filter *across, int size, uint8_t *const *rows);
} Path;

extern const Path PLAIN_PATH;
#if defined(__x86_64__)
extern const Path AVX2_PATH, AVX512_PATH;
#endif
#endif
