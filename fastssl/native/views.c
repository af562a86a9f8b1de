/* A batch: each image is read and decoded once, and all its views are cut from what was decoded. */
#include "decode.h"
#include "pool.h"

#include <stdio.h>
#include <string.h>

/* The structures below are laid out as __init__.py gives them. */
typedef struct {
    uint64_t offset, bytes; /* where its payload lies in the source */
    int32_t height, width;
    int32_t jpeg; /* else height * width * 3 bytes of RGB */
    int32_t unused;
} Sample;

typedef struct {
    const int32_t *crops; /* a row per sample: top, left, height, width, flip, and what else the caller keeps there */
    int64_t words;        /* of a row */
    uint8_t *out;         /* (samples, size, size, 3) */
    int32_t size, cubic;
} View;

typedef struct {
    const uint8_t *source;
    uint64_t source_bytes;
    const Sample *samples;
    const View *views;
    char (*messages)[MESSAGE_BYTES]; /* a line per sample, empty where all went well */
    int32_t num_views, scaled;
} Batch;

static const int32_t *crop_of(const View *view, int64_t item) { return view->crops + item * view->words; }

static int check_sample(const Batch *batch, const Sample *sample, char *message) {
    const uint64_t raw = 3 * (uint64_t)sample->height * (uint64_t)sample->width;
    if (sample->bytes == 0)
        snprintf(message, MESSAGE_BYTES, "empty: it holds no bytes");
    else if (sample->offset > batch->source_bytes || sample->bytes > batch->source_bytes - sample->offset)
        snprintf(message, MESSAGE_BYTES, "outside the file: %llu bytes from %llu on, of %llu",
                 (unsigned long long)sample->bytes, (unsigned long long)sample->offset,
                 (unsigned long long)batch->source_bytes);
    else if (sample->height < 1 || sample->width < 1 || sample->height > 65535 || sample->width > 65535)
        snprintf(message, MESSAGE_BYTES, "wrong size: %d x %d pixels", sample->height, sample->width);
    else if (!sample->jpeg && sample->bytes != raw)
        snprintf(message, MESSAGE_BYTES, "wrong size: %llu bytes, but %d x %d pixels take %llu",
                 (unsigned long long)sample->bytes, sample->height, sample->width, (unsigned long long)raw);
    else
        return 0;
    return -1;
}

static int check_crops(const Batch *batch, int64_t item, char *message) {
    const Sample *sample = &batch->samples[item];
    for (int v = 0; v < batch->num_views; v++) {
        const int32_t *c = crop_of(&batch->views[v], item);
        const int rows = c[0] >= 0 && c[2] > 0 && c[2] <= sample->height - c[0];
        const int columns = c[1] >= 0 && c[3] > 0 && c[3] <= sample->width - c[1];
        if (rows && columns) continue;
        snprintf(message, MESSAGE_BYTES, "crop outside the image: view %d takes %d x %d at (%d, %d) of %d x %d", v,
                 c[2], c[3], c[0], c[1], sample->height, sample->width);
        return -1;
    }
    return 0;
}

static Box union_of(const Batch *batch, int64_t item) {
    Box box = {65535, 65535, 0, 0};
    for (int v = 0; v < batch->num_views; v++) {
        const int32_t *c = crop_of(&batch->views[v], item);
        if (c[0] < box.top) box.top = c[0];
        if (c[1] < box.left) box.left = c[1];
        if (c[0] + c[2] > box.bottom) box.bottom = c[0] + c[2];
        if (c[1] + c[3] > box.right) box.right = c[1] + c[3];
    }
    return box;
}

/* The smallest scale at which no crop has to grow again. */
static int shrink_of(const Batch *batch, int64_t item) {
    int shrink = batch->scaled ? 8 : 1;
    for (int v = 0; v < batch->num_views; v++) {
        const int32_t *c = crop_of(&batch->views[v], item);
        const int32_t shorter = c[2] < c[3] ? c[2] : c[3];
        while (shrink > 1 && shorter / shrink < batch->views[v].size) shrink /= 2;
    }
    return shrink;
}

static void make_views(void *task, int64_t item, Memory *memory) {
    const Batch *batch = task;
    const Sample *sample = &batch->samples[item];
    char *message = batch->messages[item];
    message[0] = 0;
    if (check_sample(batch, sample, message) || check_crops(batch, item, message)) return;
    const uint8_t *bytes = batch->source + sample->offset;
    const ptrdiff_t stride = 3 * (ptrdiff_t)sample->width;
    Region region = {bytes, bytes + sample->bytes, stride, sample->height, sample->width};
    int32_t top = 0, left = 0;
    const int shrink = sample->jpeg ? shrink_of(batch, item) : 1;
    if (sample->jpeg && fs_decode(bytes, sample->bytes, sample->height, sample->width, union_of(batch, item), shrink,
                                  &region, &top, &left, &memory->pixels, message))
        return;
    for (int v = 0; v < batch->num_views; v++) {
        const View *view = &batch->views[v];
        const int32_t *c = crop_of(view, item);
        const double part = 1.0 / shrink;
        const Crop crop = {.top = c[0] * part - top, .left = c[1] * part - left, .height = c[2] * part,
                           .width = c[3] * part, .size = view->size, .cubic = view->cubic, .flip = c[4] != 0};
        uint8_t *out = view->out + (size_t)item * 3 * (size_t)view->size * (size_t)view->size;
        if (fs_resize(&region, &crop, out, &memory->rows))
            snprintf(message, MESSAGE_BYTES, "no memory to resize it");
    }
}

/* Number of samples that failed. */
int64_t fs_make_crops(Pool *pool, Batch *batch, int64_t num_samples) {
    Job job = {.work = make_views, .task = batch, .items = num_samples};
    fs_pool_run(pool, &job);
    int64_t failures = 0;
    for (int64_t i = 0; i < num_samples; i++) failures += batch->messages[i][0] != 0;
    return failures;
}

const char *fs_sources(void) { return FASTSSL_SOURCES; }
