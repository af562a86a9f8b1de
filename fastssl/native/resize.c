/* Rows first, then columns.
 *
 * Weights carry 14 bits and the rows in between 6 bits below the point, sums are 32-bit integers: a view is the same on
 * every processor, and with filters of up to 16 pixels at most .56 of a level from the exact result (.65 with longer).
 *
 * Traffic per view of s px from a crop of h x w: 3 h w bytes read, 3 s^2 written; 32 w bytes (64 w with AVX-512) lie in
 * between and stay in the first cache.
 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int whole_below(double x) { return (int)x - (x < (int)x); }

void *reserve(Scratch *scratch, size_t bytes) {
    if (bytes > scratch->bytes) {
        free(scratch->memory);
        bytes = (bytes + 4095) & ~(size_t)4095;
        scratch->memory = aligned_alloc(64, bytes);
        scratch->bytes = scratch->memory ? bytes : 0;
    }
    return scratch->memory;
}

/* In blocks, so that the compiler can use what vectors every processor of the kind has. */
static void filter_rows(const Region *region, ptrdiff_t corner, const Filter *down, int row, int values,
                        int16_t *line) {
    enum { BLOCK = 64 };
    const uint8_t *source = region->pixels + corner + down->first[row] * region->stride;
    const int16_t *weights = down->weights + (size_t)row * (size_t)down->taps;
    const int shift = WEIGHT_BITS - BETWEEN_BITS;
    for (int x = 0; x < values; x += BLOCK) {
        const int block = values - x < BLOCK ? values - x : BLOCK;
        int32_t sums[BLOCK];
        for (int i = 0; i < block; i++) sums[i] = 1 << (shift - 1);
        for (int t = 0; t < down->counts[row]; t++) {
            const uint8_t *from = source + t * region->stride + x;
            const int weight = weights[t];
            for (int i = 0; i < block; i++) sums[i] += weight * from[i];
        }
        for (int i = 0; i < block; i++) line[x + i] = (int16_t)(sums[i] >> shift);
    }
}

static void copy_line(const int16_t *lines, size_t line_values, int width, int16_t *woven) {
    (void)line_values;
    memcpy(woven, lines, sizeof(int16_t) * 3 * (size_t)width);
}

static uint8_t level(int sum) {
    sum = (sum + (1 << (WEIGHT_BITS + BETWEEN_BITS - 1))) >> (WEIGHT_BITS + BETWEEN_BITS);
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void filter_columns(const int16_t *line, const Filter *across, int size, uint8_t *const *rows) {
    uint8_t *to = rows[0];
    for (int x = 0; x < size; x++, to += 3) {
        const int16_t *weights = across->weights + (size_t)x * (size_t)across->taps;
        const int16_t *from = line + 3 * across->first[x];
        int red = 0, green = 0, blue = 0;
        for (int t = 0; t < across->counts[x]; t++, from += 3) {
            red += weights[t] * from[0];
            green += weights[t] * from[1];
            blue += weights[t] * from[2];
        }
        to[0] = level(red), to[1] = level(green), to[2] = level(blue);
    }
}

const Path PLAIN_PATH = {1, fs_fill, filter_rows, copy_line, filter_columns};

static const Path *chosen;

/* 0: plain C, 1: AVX2, 2: AVX-512 with VNNI. Takes the best that the processor has up to `most` and gives it back. Not
 * while views are being made. */
int fs_choose_path(int most) {
    chosen = &PLAIN_PATH;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (most >= 2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return chosen = &AVX512_PATH, 2;
    if (most >= 1 && __builtin_cpu_supports("avx2")) return chosen = &AVX2_PATH, 1;
#endif
    return 0;
}

__attribute__((constructor)) static void choose_best_path(void) { fs_choose_path(2); }

static size_t round_up(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* What one view needs beside its pixels, in one piece of scratch. */
typedef struct {
    Filter down, across;
    int16_t *woven, *lines;
    void *filling;
    size_t line_values;
} Layout;

static void *cut(uintptr_t *at, size_t bytes) {
    void *piece = (void *)*at;
    *at += round_up(bytes);
    return piece;
}

static Filter cut_filter(uintptr_t *at, const Axis *axis) {
    const size_t slots = (size_t)axis->size;
    const int32_t taps = fs_taps(axis);
    int32_t *index = cut(at, 2 * sizeof(int32_t) * slots);
    return (Filter){index, index + slots, cut(at, sizeof(int16_t) * slots * (size_t)taps), taps, 0};
}

/* Lays the pieces out from `at` on and gives back where they end; from 0 on that is their size. Vectors are stored
 * whole, and the second pass reads beyond the last pixel where its weights are zero: lines and pairs have room for it.
 */
static uintptr_t lay_out(Layout *layout, uintptr_t at, const Axis *down, const Axis *across, size_t values) {
    const size_t line_bytes = round_up(sizeof(int16_t) * (values + 96));
    const size_t pixels = values / 3 + (size_t)fs_taps(across) + 2;
    const size_t filling = fs_fill_bytes(down), filling_across = fs_fill_bytes(across);
    layout->line_values = line_bytes / sizeof(int16_t);
    layout->woven = cut(&at, 32 * pixels);
    layout->lines = cut(&at, 4 * line_bytes);
    layout->filling = cut(&at, filling > filling_across ? filling : filling_across);
    layout->down = cut_filter(&at, down);
    layout->across = cut_filter(&at, across);
    return at;
}

/* Rows go through in groups of `lanes`; a group that the view does not fill repeats the last row. */
static void pass(const Region *region, ptrdiff_t corner, int values, const Layout *layout, const Filter *down,
                 const Filter *across, int size, uint8_t *out) {
    const Path *path = chosen;
    for (int y = 0; y < size; y += path->lanes) {
        uint8_t *rows[4];
        for (int lane = 0; lane < path->lanes; lane++) {
            const int row = y + lane < size ? y + lane : size - 1;
            int16_t *line = layout->lines + (size_t)lane * layout->line_values;
            rows[lane] = out + (size_t)row * (size_t)size * 3;
            path->filter_rows(region, corner, down, row, values, line);
        }
        path->weave(layout->lines, layout->line_values, values / 3, layout->woven);
        path->filter_columns(layout->woven, across, size, rows);
    }
}

/* What the passes give where a crop has the view's size already. */
static void copy(const uint8_t *from, ptrdiff_t stride, int size, int flip, uint8_t *out) {
    const size_t row = 3 * (size_t)size;
    for (int y = 0; y < size; y++, from += stride, out += row) {
        if (!flip) memcpy(out, from, row);
        else
            for (size_t x = 0; x < row; x += 3) memcpy(out + row - 3 - x, from + x, 3);
    }
}

static const Filter *filter_of(const Axis *axis, Filter *room, void *filling, Scratch *kept) {
    const Filter *filter = fs_kept(axis, chosen->fill, filling, kept);
    if (filter) return filter;
    chosen->fill(room, axis, filling);
    return room;
}

int fs_resize(const Region *region, const Crop *crop, uint8_t *out, Scratch *scratch, Scratch *kept) {
    const int top = whole_below(crop->top), left = whole_below(crop->left), size = crop->size;
    int height = (int)ceil(crop->top + crop->height) - top, width = (int)ceil(crop->left + crop->width) - left;
    if (top + height > region->height) height = region->height - top;
    if (left + width > region->width) width = region->width - left;
    const ptrdiff_t corner = top * region->stride + 3 * (ptrdiff_t)left;
    if (crop->top == top && crop->left == left && crop->height == size && crop->width == size) {
        copy(region->pixels + corner, region->stride, size, crop->flip, out);
        return 0;
    }
    const Axis down = {crop->top - top, crop->height, height, size, crop->cubic, 0, 1};
    const Axis across = {crop->left - left, crop->width, width, size, crop->cubic, crop->flip, 2};
    const size_t values = 3 * (size_t)width;
    Layout layout;
    void *memory = reserve(scratch, lay_out(&layout, 0, &down, &across, values));
    if (!memory) return -1;
    lay_out(&layout, (uintptr_t)memory, &down, &across, values);
    memset(layout.woven, 0, (size_t)((char *)layout.filling - (char *)layout.woven));
    const Filter *down_filter = filter_of(&down, &layout.down, layout.filling, kept);
    const Filter *across_filter = filter_of(&across, &layout.across, layout.filling, kept);
    pass(region, corner, (int)values, &layout, down_filter, across_filter, size, out);
    return 0;
}
