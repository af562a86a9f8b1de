/* What no loader can do without: bare libjpeg-turbo on a list of JPEGs in memory, and copies of raw pixels. */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

struct Failure {
    struct jpeg_error_mgr manager;
    jmp_buf back;
};

static void give_up(j_common_ptr info) { longjmp(((struct Failure *)info->err)->back, 1); }

static void decode_rows(struct jpeg_decompress_struct *info, uint8_t *pixels) {
    info->out_color_space = JCS_RGB;
    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = pixels + (size_t)info->output_scanline * info->output_width * 3;
        jpeg_read_scanlines(info, &row, 1);
    }
}

/* Decodes `count` JPEGs one after the other into `pixels`, which holds the largest of them; with `huffman_only`, their
 * coefficients and no more. Returns how many were decoded: fewer than `count` means that the next one failed. */
int64_t decode_jpegs(const uint8_t *content, const int64_t *offsets, const int64_t *sizes, int64_t count,
                     uint8_t *pixels, int32_t huffman_only) {
    struct jpeg_decompress_struct info;
    struct Failure failure;
    volatile int64_t done = 0;
    info.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = give_up;
    if (!setjmp(failure.back)) {
        jpeg_create_decompress(&info);
        for (; done < count; done++) {
            jpeg_mem_src(&info, content + offsets[done], (unsigned long)sizes[done]);
            jpeg_read_header(&info, TRUE);
            if (huffman_only) {
                jpeg_read_coefficients(&info);
            } else {
                decode_rows(&info, pixels);
            }
            jpeg_finish_decompress(&info);
        }
    }
    jpeg_destroy_decompress(&info);
    return done;
}

/* Per image: reads `share` of its pixels once, and writes `view_bytes` once. */
void copy_pixels(const uint8_t *content, const int64_t *offsets, const int64_t *sizes, int64_t count, double share,
                 uint8_t *scratch, uint8_t *views, int64_t view_bytes) {
    for (int64_t i = 0; i < count; i++) {
        int64_t read = (int64_t)(share * (double)sizes[i]);
        memcpy(scratch, content + offsets[i], (size_t)read);
        for (int64_t written = 0; written < view_bytes;) {
            int64_t part = view_bytes - written < read ? view_bytes - written : read;
            memcpy(views + i * view_bytes + written, scratch, (size_t)part);
            written += part;
        }
    }
}
