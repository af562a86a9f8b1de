/* The two passes of resize.c for one kind of vector. Included with these names defined:
 *
 * LANES                 16-byte lanes of a vector, one for each output row of a group
 * NAME(x), TARGET       this kind's function names and function attribute
 * VEC, LOAD, SPREAD     the vector; from aligned memory; one 32-bit number everywhere
 * WIDEN(p)              8 * LANES bytes as 16-bit numbers
 * DOT(sum, a, b)        sum + products of 16-bit pairs
 * UNPACK_LOW/HIGH, PACK_32, PACK_16, SHUFFLE, SHIFT, STORE      as the instructions do, lane by lane
 * JOIN(p, gap)          16 bytes from each of LANES places, `gap` numbers apart
 * SPLIT(rows, at, v)    lane i to rows[i] + at, 16 bytes
 */
enum { NAME(BLOCK) = 8 * LANES };

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

/* A block of source bytes; where it is not whole, only those before the end of readable memory. */
TARGET INLINE VEC NAME(source)(const uint8_t *from, int whole, const uint8_t *end) {
    if (whole || end - from >= NAME(BLOCK)) return WIDEN(from);
    uint8_t some[NAME(BLOCK)] = {0};
    memcpy(some, from, (size_t)(end - from));
    return WIDEN(some);
}

/* One block of a row; the last of `pairs` pairs of source rows may be one row, whose partner then weighs nothing. */
TARGET INLINE void NAME(block)(const uint8_t *from, ptrdiff_t stride, ptrdiff_t last_step, const int16_t *weights,
                               int pairs, int whole, const uint8_t *end, int16_t *restrict line) {
    const int shift = WEIGHT_BITS - BETWEEN_BITS;
    VEC low = SPREAD(1 << (shift - 1)), high = low;
    for (int t = 0; t < pairs; t++, from += 2 * stride) {
        int32_t pair;
        memcpy(&pair, weights + 2 * t, 4);
        const VEC weight = SPREAD(pair), above = NAME(source)(from, whole, end);
        const VEC below = NAME(source)(from + (t + 1 < pairs ? stride : last_step), whole, end);
        low = DOT(low, UNPACK_LOW(above, below), weight);
        high = DOT(high, UNPACK_HIGH(above, below), weight);
    }
    STORE(line, PACK_32(SHIFT(low, shift), SHIFT(high, shift)));
}

TARGET INLINE void NAME(blocks)(const uint8_t *from, ptrdiff_t stride, ptrdiff_t last_step, const int16_t *weights,
                                int pairs, int values, const uint8_t *end, int16_t *restrict line) {
    int x = 0;
    for (; x + NAME(BLOCK) <= values; x += NAME(BLOCK))
        NAME(block)(from + x, stride, last_step, weights, pairs, 1, end, line + x);
    if (x < values) NAME(block)(from + x, stride, last_step, weights, pairs, 0, end, line + x);
}

TARGET static void NAME(filter_rows)(const Region *region, ptrdiff_t corner, const Filter *down, int row, int values,
                                     int16_t *line) {
    const uint8_t *from = region->pixels + corner + down->first[row] * region->stride;
    const int16_t *weights = down->weights + (size_t)row * (size_t)down->taps;
    const int count = down->counts[row], pairs = (count + 1) / 2;
    const ptrdiff_t last_step = count % 2 ? 0 : region->stride;
#define WITH(n) NAME(blocks)(from, region->stride, last_step, weights, n, values, region->end, line)
    switch (pairs) { /* loops of known length become straight code with the weights in registers */
        case 1: WITH(1); break;
        case 2: WITH(2); break;
        case 3: WITH(3); break;
        case 4: WITH(4); break;
        default: WITH(pairs);
    }
#undef WITH
}

/* Pixels 2k and 2k + 1 of each row become one lane: red, red, green, green, blue, blue, nothing. */
TARGET static void NAME(weave)(const int16_t *lines, size_t line_values, int width, int16_t *woven) {
    const VEC pairs = PAIRS;
    for (int x = 0; x < width; x += 2)
        STORE(woven + 4 * (size_t)x * LANES, SHUFFLE(JOIN(lines + 3 * x, line_values), pairs));
}

/* One output pixel of each row: three 32-bit sums in each lane. */
TARGET INLINE VEC NAME(column)(const int16_t *woven, const Filter *across, int x, int pairs) {
    const int16_t *weights = across->weights + (size_t)x * (size_t)across->taps;
    const int16_t *from = woven + 4 * (size_t)across->first[x] * LANES;
    VEC sum = SPREAD(1 << (WEIGHT_BITS + BETWEEN_BITS - 1));
    for (int t = 0; t < pairs; t++, from += 8 * LANES) {
        int32_t pair;
        memcpy(&pair, weights + 2 * t, 4);
        sum = DOT(sum, LOAD(from), SPREAD(pair));
    }
    return SHIFT(sum, WEIGHT_BITS + BETWEEN_BITS);
}

/* Pixels x to x + 3 of each row, 12 bytes in each lane; beyond the row's end its last pixel again. */
TARGET INLINE VEC NAME(four)(const int16_t *woven, const Filter *across, int pairs, int x, int last) {
    VEC sums[4];
    for (int i = 0; i < 4; i++) sums[i] = NAME(column)(woven, across, x + i < last ? x + i : last, pairs);
    return SHUFFLE(PACK_16(PACK_32(sums[0], sums[1]), PACK_32(sums[2], sums[3])), TIGHT);
}

/* A store is 16 bytes for 12 of pixels: the next one covers the others, and the end of a row is written apart. */
TARGET INLINE void NAME(columns)(const int16_t *woven, const Filter *across, int pairs, int size,
                                 uint8_t *const *rows) {
    uint8_t *to[LANES], end[LANES][16], *apart[LANES];
    for (int i = 0; i < LANES; i++) to[i] = rows[i], apart[i] = end[i]; /* the stores below cannot reach these */
    int x = 0;
    for (; 3 * x + 16 <= 3 * size; x += 4) SPLIT(to, 3 * x, NAME(four)(woven, across, pairs, x, x + 3));
    for (; x < size; x += 4) {
        SPLIT(apart, 0, NAME(four)(woven, across, pairs, x, size - 1));
        for (int i = 0; i < LANES; i++) memcpy(to[i] + 3 * x, end[i], 3 * (size_t)(size - x < 4 ? size - x : 4));
    }
}

/* Every pixel takes as many products as the widest filter (the rest of the weights are zero): a loop whose length the
 * processor cannot foresee costs more. */
TARGET static void NAME(filter_columns)(const int16_t *woven, const Filter *across, int size, uint8_t *const *rows) {
    const int pairs = (across->most + 1) / 2;
    switch (pairs) {
        case 1: NAME(columns)(woven, across, 1, size, rows); break;
        case 2: NAME(columns)(woven, across, 2, size, rows); break;
        case 3: NAME(columns)(woven, across, 3, size, rows); break;
        case 4: NAME(columns)(woven, across, 4, size, rows); break;
        default: NAME(columns)(woven, across, pairs, size, rows);
    }
}

const Path NAME(PATH) = {LANES, fs_fill_avx2, NAME(filter_rows), NAME(weave), NAME(filter_columns)};
