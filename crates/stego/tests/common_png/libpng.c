/* Writes raw samples as a PNG with the defaults of libpng: width height channels raw png [icc]. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

static unsigned char *contents(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(3);
    *len = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*len + 1);
    if (!bytes || fread(bytes, 1, *len, file) != *len) exit(3);
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    unsigned width = (unsigned)atoi(argv[1]), height = (unsigned)atoi(argv[2]);
    int channels = atoi(argv[3]);
    static const int kinds[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGBA};
    size_t len, icc_len;
    unsigned char *samples = contents(argv[4], &len);
    if (len != (size_t)width * height * (size_t)channels * 2) return 4;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png))) return 5;
    FILE *out = fopen(argv[5], "wb");
    png_init_io(png, out);
    png_set_IHDR(png, info, width, height, 16, kinds[channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (argc > 6) {
        unsigned char *icc = contents(argv[6], &icc_len);
        png_set_iCCP(png, info, "ICC Profile", PNG_COMPRESSION_TYPE_BASE, icc, (png_uint_32)icc_len);
    }
    png_write_info(png, info);
    for (unsigned y = 0; y < height; y++) png_write_row(png, samples + (size_t)y * width * (size_t)channels * 2);
    png_write_end(png, NULL);
    fclose(out);
    printf("libpng %s, zlib %s\n", png_get_libpng_ver(png), ZLIB_VERSION);
    return 0;
}
