// Patches of images as rows: a convolution with a border of zeros is their product with its weights.
#include "common/portable.cuh"

// y [images · rows · columns, kernel · kernel · channels] from x [images, height, width, channels], channels last.
// Launch: one thread a value of y. CPU twin: copy_patches in src/layers/patch_conv/mod.rs.
KERNEL(images_patches)(const float* x, int height, int width, int channels, int kernel, int stride, int pad, int rows,
                       int columns, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int channel = (int)(i % channels);
    u64 rest = i / channels;
    int tap = (int)(rest % (kernel * kernel));
    rest /= kernel * kernel;
    int column = (int)(rest % columns), row = (int)(rest / columns % rows);
    u64 image = rest / columns / rows;
    int at_y = row * stride + tap / kernel - pad, at_x = column * stride + tap % kernel - pad;
    bool inside = at_y >= 0 && at_y < height && at_x >= 0 && at_x < width;
    y[i] = inside ? x[((image * height + at_y) * width + at_x) * channels + channel] : 0.f;
}
EXPORT(images_patches)
