/* Each image is read and decoded once, and all its views are cut from what was decoded. */
#include "batch.h"
#include "guard.h"

#include <stdio.h>

typedef struct {
    const int32_t *crops; /* a row per sample: top, left, height, width, flip, and what else the caller keeps there */
    int64_t words;        /* of a row */
    uint8_t *out;         /* (samples, size, size, 3) */
    int32_t size, cubic;
} View;

typedef struct {
    Source source;
    const View *views;
    int32_t num_views, scaled;
} Crops;

static const int32_t *crop_of(const View *view, int64_t item) { return view->crops + item * view->words; }

static int check(const Crops *crops, int64_t item) {
    if (fs_check_sample(&crops->source, item)) return -1;
    for (int v = 0; v < crops->num_views; v++)
        if (fs_check_box(&crops->source, item, crop_of(&crops->views[v], item))) return -1;
    return 0;
}

static Box union_of(const Crops *crops, int64_t item) {
    Box box = {65535, 65535, 0, 0};
    for (int v = 0; v < crops->num_views; v++) {
        const int32_t *c = crop_of(&crops->views[v], item);
        if (c[0] < box.top) box.top = c[0];
        if (c[1] < box.left) box.left = c[1];
        if (c[0] + c[2] > box.bottom) box.bottom = c[0] + c[2];
        if (c[1] + c[3] > box.right) box.right = c[1] + c[3];
    }
    return box;
}

/* The smallest scale at which no crop has to grow again. */
static int shrink_of(const Crops *crops, int64_t item) {
    int shrink = crops->scaled ? 8 : 1;
    for (int v = 0; v < crops->num_views; v++) {
        const int32_t *c = crop_of(&crops->views[v], item);
        const int32_t shorter = c[2] < c[3] ? c[2] : c[3];
        while (shrink > 1 && shorter / shrink < crops->views[v].size) shrink /= 2;
    }
    return shrink;
}

static void cut_views(const Crops *crops, int64_t item, const Decoding *from, Memory *memory) {
    const double part = 1.0 / from->shrink;
    for (int v = 0; v < crops->num_views; v++) {
        const View *view = &crops->views[v];
        const int32_t *c = crop_of(view, item);
        const Crop crop = {.top = c[0] * part - from->top, .left = c[1] * part - from->left, .height = c[2] * part,
                           .width = c[3] * part, .size = view->size, .cubic = view->cubic, .flip = c[4] != 0};
        uint8_t *out = view->out + (size_t)item * 3 * (size_t)view->size * (size_t)view->size;
        if (fs_resize(&from->region, &crop, out, &memory->rows, &memory->filters))
            snprintf(crops->source.messages[item], MESSAGE_BYTES, "no memory to resize it");
    }
}

static void cut_from_jpeg(const Crops *crops, int64_t item, Decoding *decoding, Memory *memory) {
    decoding->box = union_of(crops, item);
    decoding->shrink = shrink_of(crops, item);
    if (fs_decode(decoding) == 0) cut_views(crops, item, decoding, memory);
}

static void cut_from_raw(const Crops *crops, int64_t item, Decoding *decoding, Memory *memory) {
    Guard guard = {.bytes = decoding->bytes, .size = decoding->size};
    decoding->region = (Region){decoding->bytes, decoding->bytes + decoding->size, 3 * (ptrdiff_t)decoding->width,
                                decoding->height, decoding->width};
    if (sigsetjmp(guard.jump, 0) == 0) {
        fs_guard_begin(&guard);
        cut_views(crops, item, decoding, memory);
    } else {
        snprintf(decoding->message, MESSAGE_BYTES, UNREADABLE);
    }
    fs_guard_end();
}

static void make_views(void *task, int64_t item, Memory *memory) {
    const Crops *crops = task;
    if (check(crops, item)) return;
    const Sample *sample = &crops->source.samples[item];
    Decoding decoding = {.bytes = fs_payload(&crops->source, item), .size = sample->bytes, .height = sample->height,
                         .width = sample->width, .shrink = 1, .scratch = &memory->pixels,
                         .message = crops->source.messages[item]};
    (sample->jpeg ? cut_from_jpeg : cut_from_raw)(crops, item, &decoding, memory);
}

/* Number of samples that failed. */
int64_t fs_make_crops(Pool *pool, Crops *crops, int64_t num_samples) {
    return fs_run(pool, &crops->source, num_samples, make_views, crops);
}

const char *fs_sources(void) { return FASTSSL_SOURCES; }
