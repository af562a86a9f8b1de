/* resize_vector.h for AVX2 and for AVX-512 with VNNI; resize.c asks the processor which it has. */
#include "filter.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define PAIR_BYTES 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1
#define TIGHT_BYTES 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1
#define LINE(p, gap, i) _mm_loadu_si128((const __m128i *)((p) + (i) * (gap)))
#define PUT(rows, i, at, v) _mm_storeu_si128((__m128i *)((rows)[i] + (at)), v)

#define LANES 2
#define NAME(x) AVX2_##x
#define TARGET __attribute__((target("avx2")))
#define VEC __m256i
#define LOAD(p) _mm256_load_si256((const __m256i *)(p))
#define SPREAD _mm256_set1_epi32
#define WIDEN(p) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define DOT(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#define UNPACK_LOW _mm256_unpacklo_epi16
#define UNPACK_HIGH _mm256_unpackhi_epi16
#define PACK_32 _mm256_packs_epi32
#define PACK_16 _mm256_packus_epi16
#define SHUFFLE _mm256_shuffle_epi8
#define SHIFT _mm256_srai_epi32
#define STORE(p, v) _mm256_store_si256((__m256i *)(p), v)
#define JOIN(p, gap) _mm256_inserti128_si256(_mm256_castsi128_si256(LINE(p, gap, 0)), LINE(p, gap, 1), 1)
#define SPLIT(rows, at, v)                                   \
    do {                                                     \
        const __m256i all = v;                               \
        PUT(rows, 0, at, _mm256_castsi256_si128(all));       \
        PUT(rows, 1, at, _mm256_extracti128_si256(all, 1));  \
    } while (0)
#define PAIRS _mm256_broadcastsi128_si256(_mm_setr_epi8(PAIR_BYTES))
#define TIGHT _mm256_broadcastsi128_si256(_mm_setr_epi8(TIGHT_BYTES))
#include "resize_vector.h"

#undef LANES
#undef NAME
#undef TARGET
#undef VEC
#undef LOAD
#undef SPREAD
#undef WIDEN
#undef DOT
#undef UNPACK_LOW
#undef UNPACK_HIGH
#undef PACK_32
#undef PACK_16
#undef SHUFFLE
#undef SHIFT
#undef STORE
#undef JOIN
#undef SPLIT
#undef PAIRS
#undef TIGHT

#define LANES 4
#define NAME(x) AVX512_##x
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define VEC __m512i
#define LOAD(p) _mm512_load_si512(p)
#define SPREAD _mm512_set1_epi32
#define WIDEN(p) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define DOT(sum, a, b) _mm512_dpwssd_epi32(sum, a, b)
#define UNPACK_LOW _mm512_unpacklo_epi16
#define UNPACK_HIGH _mm512_unpackhi_epi16
#define PACK_32 _mm512_packs_epi32
#define PACK_16 _mm512_packus_epi16
#define SHUFFLE _mm512_shuffle_epi8
#define SHIFT _mm512_srai_epi32
#define STORE(p, v) _mm512_store_si512(p, v)
#define JOIN2(p, gap, i) _mm256_inserti128_si256(_mm256_castsi128_si256(LINE(p, gap, i)), LINE(p, gap, (i) + 1), 1)
#define JOIN(p, gap) _mm512_inserti64x4(_mm512_castsi256_si512(JOIN2(p, gap, 0)), JOIN2(p, gap, 2), 1)
#define SPLIT(rows, at, v)                                    \
    do {                                                      \
        const __m512i all = v;                                \
        PUT(rows, 0, at, _mm512_castsi512_si128(all));        \
        PUT(rows, 1, at, _mm512_extracti32x4_epi32(all, 1));  \
        PUT(rows, 2, at, _mm512_extracti32x4_epi32(all, 2));  \
        PUT(rows, 3, at, _mm512_extracti32x4_epi32(all, 3));  \
    } while (0)
#define PAIRS _mm512_broadcast_i32x4(_mm_setr_epi8(PAIR_BYTES))
#define TIGHT _mm512_broadcast_i32x4(_mm_setr_epi8(TIGHT_BYTES))
#include "resize_vector.h"
#endif
