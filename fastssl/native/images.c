/* Whole images, or the part of each that is needed, for those who cut the views elsewhere. */
#include "batch.h"
#include "guard.h"

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

static void copy_rows(const Decoding *from) {
    const ptrdiff_t left = 3 * (ptrdiff_t)from->box.left, stride = 3 * (ptrdiff_t)from->width;
    const size_t length = 3 * (size_t)(from->box.right - from->box.left);
    for (int32_t y = from->box.top; y < from->box.bottom; y++)
        memcpy(from->image + y * from->stride + left, from->bytes + y * stride + left, length);
}

static void copy_raw(const Decoding *from) {
    Guard guard = {.bytes = from->bytes, .size = from->size};
    if (sigsetjmp(guard.jump, 0) == 0) {
        fs_guard_begin(&guard);
        copy_rows(from);
    } else {
        snprintf(from->message, MESSAGE_BYTES, UNREADABLE);
    }
    fs_guard_end();
}

static void read_image(void *task, int64_t item, Memory *memory) {
    const Images *images = task;
    const Source *source = &images->source;
    const int32_t *box = images->boxes + 4 * item;
    if (fs_check_sample(source, item) || fs_check_box(source, item, box) || check_room(images, item)) return;
    const Sample *sample = &source->samples[item];
    const ptrdiff_t stride = 3 * (ptrdiff_t)images->width;
    Decoding decoding = {.bytes = fs_payload(source, item), .size = sample->bytes, .height = sample->height,
                         .width = sample->width, .box = {box[0], box[1], box[0] + box[2], box[1] + box[3]},
                         .shrink = 1, .image = images->out + item * images->height * stride, .stride = stride,
                         .scratch = &memory->pixels, .message = source->messages[item]};
    if (sample->jpeg) fs_decode(&decoding);
    else copy_raw(&decoding);
}

/* Number of samples that failed. */
int64_t fs_read_images(Pool *pool, Images *images, int64_t num_samples) {
    return fs_run(pool, &images->source, num_samples, read_image, images);
}
