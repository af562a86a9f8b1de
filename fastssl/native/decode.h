/* One JPEG, as far as the crops of one image need it. */
#ifndef FASTSSL_DECODE_H
#define FASTSSL_DECODE_H
#include "resize.h"

enum { MESSAGE_BYTES = 256 };

/* Pixels of the whole image at full scale: rows top to bottom - 1, columns left to right - 1. */
typedef struct {
    int32_t top, left, bottom, right;
} Box;

/* Decodes at least `box` of a JPEG that must be height x width, at 1/shrink (1, 2, 4, 8) of its size. `region` then
 * begins at pixel (`top`, `left`) of the image at that scale; inside the box its pixels equal those of a whole decode.
 * The pixels lie in `scratch`. -1, with a line in `message`, where anything is damaged in what is read. */
int fs_decode(const uint8_t *bytes, size_t size, int32_t height, int32_t width, Box box, int shrink, Region *region,
              int32_t *top, int32_t *left, Scratch *scratch, char *message);
#endif
