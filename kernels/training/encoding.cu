// Position encoding of samples. Compiled without fast mathematics: the highest octaves reach 2·10⁴ rad, where fast sines
// are wrong.
//
// out: [T, channels]. Launch: one thread a value. CPU twin: src/gnt/encoding.rs.
#include "common/portable.cuh"

// Value `at` of [x, sin(2⁰x), cos(2⁰x), …] of a vector of n components.
__device__ __forceinline__ float frequency(const float* x, int n, int at) {
    if (at < n) return x[at];
    int octave = (at - n) / (2 * n), rest = (at - n) % (2 * n);
    float angle = x[rest % n] * (float)(1u << octave);
    return rest < n ? sinf(angle) : cosf(angle);
}

// World point, then unit direction. rays: [R, 6]; depths: [T].
KERNEL(encoding_world)(const float* rays, const float* depths, float* out, int samples, int octaves, int count) {
    int channels = 2 * (3 + 6 * octaves);
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)count * channels) return;
    int sample = (int)(i / channels), at = (int)(i % channels);
    const float* ray = rays + (size_t)(sample / samples) * 6;
    const float* d = ray + 3;
    float x[3];
    if (at < channels / 2) {
        // Rounded after each operation, as on the CPU: the highest octave multiplies a difference by 512.
        for (int c = 0; c < 3; c++) x[c] = __fadd_rn(__fmul_rn(depths[sample], d[c]), ray[c]);
    } else {
        at -= channels / 2;
        float square = __fadd_rn(__fadd_rn(__fmul_rn(d[0], d[0]), __fmul_rn(d[1], d[1])), __fmul_rn(d[2], d[2]));
        float scale = 1.0f / sqrtf(square);
        for (int c = 0; c < 3; c++) x[c] = d[c] * scale;
    }
    out[i] = frequency(x, 3, at);
}
EXPORT(encoding_world)

// Normalised inverse depth times π.
KERNEL(encoding_ray)(const float* depths, float* out, int octaves, float near, float far, int count) {
    int channels = 1 + 2 * octaves;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)count * channels) return;
    float nearness = (1.0f / depths[i / channels] - 1.0f / far) / (1.0f / near - 1.0f / far);
    float angle = 3.14159265358979f * nearness;
    out[i] = frequency(&angle, 1, (int)(i % channels));
}
EXPORT(encoding_ray)
