// Attention over source views: that of the network's kind. A kind has
// - remember_look(ray, sample, view, look, at): keeps what it needs of a look-up, the `at`-th of the ray; one lane
// - view_attention_tile(ray, weights, layer, x, first): x += attention of sixteen samples from `first` on, in block `layer`
#pragma once
#include "render/view_attention/hamming.cuh"
#include "render/view_attention/subtraction.cuh"
