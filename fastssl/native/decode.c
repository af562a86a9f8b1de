/* Rows above the box are parsed but not transformed, rows below it are not touched; columns outside it are parsed only.
 *
 * What lies below the box is not checked except for the end marker, so a file that is cut off is an error wherever it
 * is cut. libjpeg warns of damaged data and goes on with gray: here every warning is an error.
 */
#include "decode.h"
#include "guard.h"

#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#ifndef LIBJPEG_TURBO_VERSION_NUMBER
#error "this jpeglib.h is not libjpeg-turbo's"
#endif

enum {
    MOST_SCANS = 200, /* of a progressive file; encoders write about ten, and a hostile file could hold millions */
    MARGIN = 4,       /* pixels at the box's edges: smooth upsampling of chroma looks one chroma sample further */
};

typedef struct {
    struct jpeg_error_mgr base;
    Guard guard; /* its jump serves libjpeg's errors as well */
    char *message;
} Errors;

static void give_up(j_common_ptr info) {
    Errors *errors = (Errors *)info->err;
    char line[JMSG_LENGTH_MAX];
    info->err->format_message(info, line);
    snprintf(errors->message, MESSAGE_BYTES, "damaged JPEG: %s", line);
    siglongjmp(errors->guard.jump, 1);
}

static void refuse_warning(j_common_ptr info, int level) {
    if (level < 0) give_up(info);
}

static void refuse(j_decompress_ptr info, const char *line) {
    Errors *errors = (Errors *)info->err;
    snprintf(errors->message, MESSAGE_BYTES, "%s", line);
    siglongjmp(errors->guard.jump, 1);
}

static void watch_scans(j_common_ptr info) {
    j_decompress_ptr decoder = (j_decompress_ptr)info;
    if (decoder->input_scan_number > MOST_SCANS) refuse(decoder, "damaged JPEG: too many scans");
}

/* The end marker cannot occur inside compressed data, so the last one after the header ends the image. */
static int has_end_marker(const uint8_t *from, size_t bytes) {
    for (size_t i = bytes; i >= 2; i--)
        if (from[i - 2] == 0xFF && from[i - 1] == 0xD9) return 1;
    return 0;
}

static void read_header(j_decompress_ptr info, int32_t height, int32_t width) {
    jpeg_read_header(info, TRUE);
    if (info->image_height != (JDIMENSION)height || info->image_width != (JDIMENSION)width) {
        char line[MESSAGE_BYTES];
        snprintf(line, sizeof line, "wrong size: the JPEG is %u x %u, its entry says %d x %d", info->image_height,
                 info->image_width, height, width);
        refuse(info, line);
    }
    if (!has_end_marker(info->src->next_input_byte, info->src->bytes_in_buffer))
        refuse(info, "damaged JPEG: cut off, it has no end marker");
}

/* libjpeg-turbo crops to whole blocks; its cropping is exact for the usual samplings of colour. */
static int may_crop(j_decompress_ptr info) {
    if (info->max_h_samp_factor > 2 || info->max_v_samp_factor > 2) return 0;
    for (int i = 1; i < info->num_components; i++)
        if (info->comp_info[i].h_samp_factor != 1 || info->comp_info[i].v_samp_factor != 1) return 0;
    return 1;
}

/* Grows the box by the margin, in pixels of the scaled image, and cuts it there. */
static Box scaled_box(j_decompress_ptr info, Box box, int shrink) {
    const int height = (int)info->output_height, width = (int)info->output_width;
    Box grown = {box.top / shrink - MARGIN, box.left / shrink - MARGIN, (box.bottom + shrink - 1) / shrink,
                 (box.right + shrink - 1) / shrink + MARGIN};
    if (grown.right > width) grown.right = width;
    if (grown.bottom > height) grown.bottom = height;
    if (grown.top < 0) grown.top = 0;
    if (grown.left < 0) grown.left = 0;
    if (!may_crop(info)) grown = (Box){0, 0, grown.bottom, width};
    return grown;
}

static void read_rows(j_decompress_ptr info, uint8_t *pixels, const Region *region) {
    for (int y = 0; y < region->height;) {
        JSAMPROW some[8];
        const int most = region->height - y < 8 ? region->height - y : 8;
        for (int i = 0; i < most; i++) some[i] = pixels + (y + i) * region->stride;
        const int got = (int)jpeg_read_scanlines(info, some, (JDIMENSION)most);
        if (got == 0) refuse(info, "damaged JPEG: it ends early");
        y += got;
    }
}

/* Where the region, which begins at (`top`, `left`), is decoded to; NULL when there is no memory. */
static uint8_t *place_region(Decoding *decoding, size_t rows, size_t columns) {
    size_t stride = 3 * columns;
    uint8_t *pixels;
    if (decoding->image) {
        stride = (size_t)decoding->stride;
        pixels = decoding->image + (size_t)decoding->top * stride + 3 * (size_t)decoding->left;
    } else {
        pixels = reserve(decoding->scratch, stride * rows + 64);
    }
    decoding->region = (Region){pixels, pixels + stride * rows, (ptrdiff_t)stride, (int32_t)rows, (int32_t)columns};
    return pixels;
}

static void decode(j_decompress_ptr info, Decoding *decoding) {
    info->scale_num = 1;
    info->scale_denom = (unsigned)decoding->shrink;
    info->out_color_space = JCS_RGB;
    info->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(info);
    const Box grown = scaled_box(info, decoding->box, decoding->shrink);
    JDIMENSION first = (JDIMENSION)grown.left, columns = (JDIMENSION)(grown.right - grown.left);
    if (columns < info->output_width) jpeg_crop_scanline(info, &first, &columns);
    decoding->top = grown.top;
    decoding->left = (int32_t)first;
    uint8_t *pixels = place_region(decoding, (size_t)(grown.bottom - grown.top), columns);
    if (!pixels) refuse(info, "no memory for its pixels");
    if (grown.top > 0) jpeg_skip_scanlines(info, (JDIMENSION)grown.top);
    read_rows(info, pixels, &decoding->region);
    if (info->output_scanline == info->output_height) jpeg_finish_decompress(info); /* sees what is amiss at the end */
}

/* A fresh decoder for each image: tables of one image must not serve another that lacks its own. */
static void read_jpeg(j_decompress_ptr info, struct jpeg_progress_mgr *progress, Decoding *decoding) {
    jpeg_create_decompress(info);
    info->progress = progress;
    jpeg_mem_src(info, decoding->bytes, (unsigned long)decoding->size);
    read_header(info, decoding->height, decoding->width);
    decode(info, decoding);
}

int fs_decode(Decoding *decoding) {
    struct jpeg_decompress_struct info;
    struct jpeg_progress_mgr progress = {.progress_monitor = watch_scans};
    Errors errors = {.guard = {.bytes = decoding->bytes, .size = decoding->size}, .message = decoding->message};
    volatile int status = -1;
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = give_up;
    errors.base.emit_message = refuse_warning;
    switch (sigsetjmp(errors.guard.jump, 0)) {
        case 0:
            fs_guard_begin(&errors.guard);
            read_jpeg(&info, &progress, decoding);
            status = 0;
            break;
        case UNREADABLE_BYTES:
            snprintf(decoding->message, MESSAGE_BYTES, UNREADABLE);
    }
    fs_guard_end();
    jpeg_destroy_decompress(&info);
    return status;
}
