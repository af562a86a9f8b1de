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

/* A block of source bytes; near the end of readable memory only those before it. */
TARGET static inline VEC NAME(source)(const uint8_t *from, const uint8_t *end) {
    if (end - from >= NAME(BLOCK)) return WIDEN(from);
    uint8_t some[NAME(BLOCK)] = {0};
    if (end > from) memcpy(some, from, (size_t)(end - from));
    return WIDEN(some);
}

TARGET static void NAME(filter_rows)(const Region *region, ptrdiff_t corner, const Filter *down, int row, int values,
                                     int16_t *line) {
    const uint8_t *first = region->pixels + corner + down->first[row] * region->stride, *end = region->end;
    const int16_t *weights = down->weights + (size_t)row * (size_t)down->taps;
    const int count = down->counts[row], shift = WEIGHT_BITS - BETWEEN_BITS;
    const VEC half = SPREAD(1 << (shift - 1));
    for (int x = 0; x < values; x += NAME(BLOCK)) {
        VEC low = half, high = half;
        const uint8_t *from = first + x;
        for (int t = 0; t < count; t += 2, from += 2 * region->stride) {
            int32_t pair;
            memcpy(&pair, weights + t, 4);
            const VEC above = NAME(source)(from, end), weight = SPREAD(pair);
            const VEC below = t + 1 < count ? NAME(source)(from + region->stride, end) : above;
            low = DOT(low, UNPACK_LOW(above, below), weight);
            high = DOT(high, UNPACK_HIGH(above, below), weight);
        }
        STORE(line + x, PACK_32(SHIFT(low, shift), SHIFT(high, shift)));
    }
}

/* Pixels 2k and 2k + 1 of each row become one lane: red, red, green, green, blue, blue, nothing. */
TARGET static void NAME(weave)(const int16_t *lines, size_t line_values, int width, int16_t *woven) {
    const VEC pairs = PAIRS;
    for (int x = 0; x < width; x += 2)
        STORE(woven + 4 * (size_t)x * LANES, SHUFFLE(JOIN(lines + 3 * x, line_values), pairs));
}

/* One output pixel of each row: three 32-bit sums in each lane. */
TARGET static inline VEC NAME(column)(const int16_t *woven, const Filter *across, int x, int most) {
    const int16_t *weights = across->weights + (size_t)x * (size_t)across->taps;
    const int16_t *from = woven + 4 * (size_t)across->first[x] * LANES;
    VEC sum = SPREAD(1 << (WEIGHT_BITS + BETWEEN_BITS - 1));
    for (int t = 0; t < most; t += 2, from += 8 * LANES) {
        int32_t pair;
        memcpy(&pair, weights + t, 4);
        sum = DOT(sum, LOAD(from), SPREAD(pair));
    }
    return SHIFT(sum, WEIGHT_BITS + BETWEEN_BITS);
}

/* Every pixel takes as many products as the widest filter (the rest of the weights are zero): a loop whose length the
 * processor cannot foresee costs more. Four pixels are 12 bytes of a 16-byte store: the next store covers the others,
 * and the end of a row is written apart. */
TARGET static void NAME(filter_columns)(const int16_t *woven, const Filter *across, int size, uint8_t *const *rows) {
    int most = 0;
    for (int x = 0; x < size; x++) most = across->counts[x] > most ? across->counts[x] : most;
    const VEC tight = TIGHT;
    for (int x = 0; x < size; x += 4) {
        VEC sums[4];
        for (int i = 0; i < 4; i++) sums[i] = NAME(column)(woven, across, x + i < size ? x + i : size - 1, most);
        const VEC pixels = SHUFFLE(PACK_16(PACK_32(sums[0], sums[1]), PACK_32(sums[2], sums[3])), tight);
        if (3 * x + 16 <= 3 * size) {
            SPLIT(rows, 3 * x, pixels);
            continue;
        }
        uint8_t last[LANES][16], *apart[LANES];
        for (int i = 0; i < LANES; i++) apart[i] = last[i];
        SPLIT(apart, 0, pixels);
        for (int i = 0; i < LANES; i++) memcpy(rows[i] + 3 * x, last[i], 3 * (size_t)(size - x < 4 ? size - x : 4));
    }
}

const Path NAME(PATH) = {LANES, NAME(filter_rows), NAME(weave), NAME(filter_columns)};
