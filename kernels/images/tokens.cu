// The first states of a vision transformer.
#include "common/portable.cuh"

// y [images, tokens, channels] = position [tokens, channels] + what is there: up to two learned tokens [channels], the
// same in every image, then the tokens of the patches [images, tokens − extra, channels].
// Launch: one thread a value of y. CPU twins: src/vit/deit/train.rs and src/vit/compact/train.rs.
KERNEL(images_tokens)(const float* patches, const float* first, const float* second, const float* position, int extra,
                      int tokens, int channels, float* y, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int channel = (int)(i % channels), token = (int)(i / channels % tokens);
    u64 image = i / channels / tokens;
    float own = token >= extra  ? patches[(image * (tokens - extra) + (token - extra)) * channels + channel]
                : token == 0 ? first[channel]
                             : second[channel];
    y[i] = own + position[(long long)token * channels + channel];
}
EXPORT(images_tokens)
