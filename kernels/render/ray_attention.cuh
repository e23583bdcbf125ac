// Attention along the ray: that of the network's kind. A kind has
// - store_keys(ray, weights, layer, x, first): puts keys and values of sixteen samples from `first` on where all warps find
//   them
// - clear_last_keys(ray): the same for samples that no tile has; all threads of the block
// - nearest_attention(ray, weights, layer, x, to): the nearest sample's weights on all samples, averaged over heads; `x` is
//   the first tile, one warp
// - ray_attention_tile(ray, weights, layer, x, first): x += attention of sixteen samples from `first` on
#pragma once
#include "render/ray_attention/hamming.cuh"
#include "render/ray_attention/linear_angular.cuh"
#include "render/ray_attention/softmax.cuh"
// After the kinds that it completes.
#include "render/ray_attention/scored.cuh"
