/* What is checked before a sample's bytes are touched. */
#include "batch.h"
#include "guard.h"

#include <stdio.h>

int fs_check_sample(const Source *source, int64_t item) {
    const Sample *sample = &source->samples[item];
    char *message = source->messages[item];
    const uint64_t raw = 3 * (uint64_t)sample->height * (uint64_t)sample->width;
    message[0] = 0;
    if (sample->bytes == 0)
        snprintf(message, MESSAGE_BYTES, "empty: it holds no bytes");
    else if (sample->offset > source->size || sample->bytes > source->size - sample->offset)
        snprintf(message, MESSAGE_BYTES, "outside the file: %llu bytes from %llu on, of %llu",
                 (unsigned long long)sample->bytes, (unsigned long long)sample->offset,
                 (unsigned long long)source->size);
    else if (sample->height < 1 || sample->width < 1 || sample->height > 65535 || sample->width > 65535)
        snprintf(message, MESSAGE_BYTES, "wrong size: %d x %d pixels", sample->height, sample->width);
    else if (!sample->jpeg && sample->bytes != raw)
        snprintf(message, MESSAGE_BYTES, "wrong size: %llu bytes, but %d x %d pixels take %llu",
                 (unsigned long long)sample->bytes, sample->height, sample->width, (unsigned long long)raw);
    else
        return 0;
    return -1;
}

int fs_check_box(const Source *source, int64_t item, const int32_t *box) {
    const Sample *sample = &source->samples[item];
    const int rows = box[0] >= 0 && box[2] > 0 && box[2] <= sample->height - box[0];
    const int columns = box[1] >= 0 && box[3] > 0 && box[3] <= sample->width - box[1];
    if (rows && columns) return 0;
    snprintf(source->messages[item], MESSAGE_BYTES, "crop outside the image: %d x %d at (%d, %d) of %d x %d", box[2],
             box[3], box[0], box[1], sample->height, sample->width);
    return -1;
}

const uint8_t *fs_payload(const Source *source, int64_t item) { return source->bytes + source->samples[item].offset; }

int64_t fs_run(Pool *pool, const Source *source, int64_t num_samples, void (*work)(void *, int64_t, Memory *),
               void *task) {
    fs_guard_install(); /* each time: another handler may have been put first since */
    Job job = {.work = work, .task = task, .items = num_samples};
    fs_pool_run(pool, &job);
    int64_t failures = 0;
    for (int64_t i = 0; i < num_samples; i++) failures += source->messages[i][0] != 0;
    return failures;
}
