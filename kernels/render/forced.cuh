// Decisions that another device has made: where FORCED is 1, this one takes them over instead of its own, so that what
// follows can be compared strictly. Where they differ, they are counted. Instances without FORCED know nothing of it.
#pragma once
#include "render/network.cuh"

#if FORCED
__device__ __forceinline__ void count_flips(const Ray& ray, int decision, int flips) {
    if (flips > 0) atomicAdd(ray.job.decisions->flips + decision, u64(flips));
}

// Where the decisions of a sample lie, in block or feed-forward part `layer`.
__device__ __forceinline__ u64 decision_at(const Ray& ray, int layer, int sample) {
    return (u64(layer) * ray.job.num_rays + ray.number) * ray.job.num_samples + sample;
}

// The pixel at which a sample reads the keys of a view; one lane.
__device__ __forceinline__ int forced_pixel(const Ray& ray, int sample, int view, int own) {
    int pixel = ray.job.decisions->pixels[decision_at(ray, 0, sample) * ray.job.num_views + view];
    count_flips(ray, DECISION_PIXEL, pixel != own);
    return pixel;
}

// Query codes of sixteen samples from `first` on: bits of row g, and of row g + 8; all lanes of a row have the same.
__device__ __forceinline__ void force_view_codes(const Ray& ray, int layer, int first, unsigned (&code)[2][kCode]) {
    for (int i = 0; i < 2; i++) {
        int sample = first + lane_id() / 4 + 8 * i;
        if (sample >= ray.job.num_samples) continue;
        const unsigned* codes = ray.job.decisions->view_queries + decision_at(ray, layer, sample) * kCode;
        int flips = 0;
        for (int word = 0; word < kCode; word++) {
            flips += __popc(code[i][word] ^ codes[word]);
            code[i][word] = codes[word];
        }
        if (lane_id() % 4 == 0) count_flips(ray, DECISION_VIEW_QUERY, flips);
    }
}

// Codes of sixteen samples as ±1.
__device__ __forceinline__ void force_signs(const Ray& ray, const unsigned* codes, int decision, int layer, int first,
                                            Tile<C>& x) {
    int g = lane_id() / 4, t = lane_id() % 4, flips = 0;
    for (int n = 0; n < C / 8; n++)
        for (int e = 0; e < 4; e++) {
            int sample = first + g + 8 * (e / 2), channel = 8 * n + 2 * t + e % 2;
            if (sample >= ray.job.num_samples) continue;
            unsigned word = codes[decision_at(ray, layer, sample) * kCode + channel / 32];
            float sign = word >> channel % 32 & 1 ? 1.0f : -1.0f;
            flips += sign != x.v[n][e];
            x.v[n][e] = sign;
        }
    count_flips(ray, decision, flips);
}

// The expert of a sample in a feed-forward part; one lane.
__device__ __forceinline__ int forced_expert(const Ray& ray, int part, int sample, int own) {
    if (sample >= ray.job.num_samples) return own;
    int expert = ray.job.decisions->experts[decision_at(ray, part, sample)];
    count_flips(ray, DECISION_EXPERT, expert != own);
    return expert;
}
#endif
