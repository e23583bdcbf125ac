// What is made once of a source view: its image in pixels of sixteen bytes, its feature map after the first token layer,
// and the codes of the keys at every pixel of the map. CPU twin: `prepare` in src/gnt/engine/mod.rs.
// Compiled for f32: codes hang on signs, which rounding could turn.
#include "render/gather.cuh"

// pixels[i] = (image[3i], image[3i + 1], image[3i + 2], 0). Launch: one thread a pixel.
KERNEL(prepare_image)(const float* image, float4* pixels, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) pixels[i] = make_float4(image[3 * i], image[3 * i + 1], image[3 * i + 2], 0);
}
EXPORT(prepare_image)

// y [pixels, C] = x [pixels, inputs] · weights [inputs, C]. Launch: one thread a value.
KERNEL(prepare_map)(const float* x, const float* weights, float* y, int pixels, int inputs) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels * C) return;
    const float* row = x + u64(i / C) * inputs;
    float sum = 0;
    for (int k = 0; k < inputs; k++) sum += __ldg(row + k) * __ldg(weights + k * C + i % C);
    y[i] = sum;
}
EXPORT(prepare_map)

// The same numbers as bf16. Launch: one thread for two values.
KERNEL(prepare_round)(const float2* x, unsigned* y, int pairs) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < pairs) y[i] = pack_bf16(x[i].x, x[i].y);
}
EXPORT(prepare_round)

#if VIEW == VIEW_HAMMING
// Codes of the keys of all blocks at the pixels of a map, [pixels, depth, kCode]. Launch: one warp for sixteen pixels.
KERNEL(prepare_keys)(const RaySource* source, NetworkWeights net, unsigned* keys) {
    const RaySource view = *source;
    int lane = lane_id(), g = lane / 4, t = lane % 4, depth = int(net.depth);
    int pixels = view.map_width * view.map_height;
    int first = 16 * (blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp);
    LookUp items[2];
    for (int i = 0; i < 2; i++) {
        int pixel = min(first + g + 8 * i, pixels - 1);
        LookUp& item = items[i];
        float x = pixel % view.map_width / (view.map_width - 1.0f) * (view.width - 1.0f);
        float y = pixel / view.map_width / (view.map_height - 1.0f) * (view.height - 1.0f);
        taps(x, y, view.width, view.height, item.index, item.weight);
        item.colour[0] = item.colour[1] = item.colour[2] = 0;
        for (int k = 0; k < 4; k++) {
            float4 c = __ldg(view.image + item.index[k]);
            item.colour[0] += item.weight[k] * c.x;
            item.colour[1] += item.weight[k] * c.y;
            item.colour[2] += item.weight[k] * c.z;
        }
        for (int k = 0; k < 4; k++) item.index[k] = pixel, item.weight[k] = k == 0;
    }
    float values[2][C / 4];
    first_layer(values, view, items[0], items[1], net.colour);
    Tile<C> token = bias_tile<C>(net.token_bias);
    product<C, C>(token, operand_of_rows<C>(values[0], values[1]), net.token);
    Operand<C> tokens = operand(token);
    for (int layer = 0; layer < depth; layer++) {
        const HammingViewWeights& weights = net.blocks[layer].view;
        Tile<C> key = bias_tile<C>(weights.key_bias);
        product<C, C>(key, tokens, weights.key);
        unsigned code[2][kCode];
        codes_of(code, key);
        for (int i = 0; i < 2; i++) {
            int pixel = first + g + 8 * i;
            if (t != 0 || pixel >= pixels) continue;
            for (int word = 0; word < kCode; word++) keys[(u64(pixel) * depth + layer) * kCode + word] = code[i][word];
        }
    }
}
EXPORT(prepare_keys)
#endif
