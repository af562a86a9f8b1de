/* Whole images, or the part of each that is needed, for those who cut the views elsewhere. */
#include "batch.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    Source source;
    const int32_t *boxes; /* a row per sample: top, left, height, width */
    uint8_t *out;         /* (samples, height, width, 3); an image lies at the top left of its place */
    int32_t height, width;
} Images;

static int check_room(const Images *images, int64_t item) {
    const Sample *sample = &images->source.samples[item];
    if (sample->height <= images->height && sample->width <= images->width) return 0;
    snprintf(images->source.messages[item], MESSAGE_BYTES, "too large: %d x %d pixels, and there is room for %d x %d",
             sample->height, sample->width, images->height, images->width);
    return -1;
}

static void copy_rows(const uint8_t *from, ptrdiff_t from_stride, const int32_t *box, uint8_t *to, ptrdiff_t stride) {
    for (int32_t y = box[0]; y < box[0] + box[2]; y++)
        memcpy(to + y * stride + 3 * (ptrdiff_t)box[1], from + y * from_stride + 3 * (ptrdiff_t)box[1],
               3 * (size_t)box[3]);
}

static void read_image(void *task, int64_t item, Memory *memory) {
    const Images *images = task;
    const Source *source = &images->source;
    const int32_t *box = images->boxes + 4 * item;
    if (fs_check_sample(source, item) || fs_check_box(source, item, box) || check_room(images, item)) return;
    const Sample *sample = &source->samples[item];
    const ptrdiff_t stride = 3 * (ptrdiff_t)images->width;
    uint8_t *image = images->out + item * images->height * stride;
    if (!sample->jpeg) {
        copy_rows(fs_payload(source, item), 3 * (ptrdiff_t)sample->width, box, image, stride);
        return;
    }
    Decoding decoding = {.bytes = fs_payload(source, item), .size = sample->bytes, .height = sample->height,
                         .width = sample->width, .box = {box[0], box[1], box[0] + box[2], box[1] + box[3]},
                         .shrink = 1, .image = image, .stride = stride, .scratch = &memory->pixels,
                         .message = source->messages[item]};
    fs_decode(&decoding);
}

/* Number of samples that failed. */
int64_t fs_read_images(Pool *pool, Images *images, int64_t num_samples) {
    return fs_run(pool, &images->source, num_samples, read_image, images);
}
