/* One JPEG, as far as the crops of one image need it. */
#ifndef FASTSSL_DECODE_H
#define FASTSSL_DECODE_H
#include "resize.h"

enum { MESSAGE_BYTES = 256 };

/* Pixels of the whole image at full scale: rows top to bottom - 1, columns left to right - 1. */
typedef struct {
    int32_t top, left, bottom, right;
} Box;

typedef struct {
    const uint8_t *bytes;
    size_t size;
    int32_t height, width; /* the JPEG must be of this size */
    Box box;               /* what is needed of it */
    int shrink;            /* decode at 1/1, 1/2, 1/4 or 1/8 */
    uint8_t *image;        /* where the whole image has its place; NULL: what is decoded lies in `scratch` */
    ptrdiff_t stride;      /* of `image` */
    Scratch *scratch;
    char *message;
    /* Filled in: at least the box, beginning at pixel (`top`, `left`) of the image at that scale. */
    Region region;
    int32_t top, left;
} Decoding;

/* Inside the box the pixels equal those of a whole decode. -1, with a line in `message`, where anything is damaged in
 * what is read; `image` may then hold a part. Nothing outside of height x width pixels of `image` is written. */
int fs_decode(Decoding *decoding);
#endif
