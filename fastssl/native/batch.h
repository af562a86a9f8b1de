/* Samples of a mapped file, and running something over a batch of them. */
#ifndef FASTSSL_BATCH_H
#define FASTSSL_BATCH_H
#include "decode.h"
#include "pool.h"

/* The structures here and in views.c and images.c are laid out as library.py gives them. */
typedef struct {
    uint64_t offset, bytes; /* where its payload lies in the source */
    int32_t height, width;
    int32_t jpeg; /* else height * width * 3 bytes of RGB */
    int32_t unused;
} Sample;

typedef struct {
    const uint8_t *bytes;
    uint64_t size;
    const Sample *samples;
    char (*messages)[MESSAGE_BYTES]; /* a line per sample, empty where all went well */
} Source;

/* -1, with the sample's message written, where its entry cannot be true. Empties the message first. */
int fs_check_sample(const Source *source, int64_t item);
/* The same for a box, (top, left, height, width), that must lie inside the image. */
int fs_check_box(const Source *source, int64_t item, const int32_t *box);
/* Where the payload of a checked sample begins. */
const uint8_t *fs_payload(const Source *source, int64_t item);
/* Calls `work` for every sample; gives back how many failed. */
int64_t fs_run(Pool *pool, const Source *source, int64_t num_samples, void (*work)(void *, int64_t, Memory *),
               void *task);
#endif
