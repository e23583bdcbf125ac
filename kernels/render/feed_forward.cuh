// Feed-forward parts: that of the network's kind. A kind has
// - kByRay: whether it needs all samples of a ray at once, in memory that attention along the ray uses too
// - feed_forward_tile(ray, weights, part, x, first): x += the part of sixteen samples from `first` on; where kByRay, only
//   the beginning of it. Parts of the network are counted: view and ray part of block 0, of block 1, and so on
// - feed_forward_ray(ray, weights, part): the rest of it, for all samples; all threads of the block, after a barrier; ends
//   with a barrier
#pragma once
#include "render/feed_forward/experts.cuh"
#include "render/feed_forward/mlp.cuh"
