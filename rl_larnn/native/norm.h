// Layer normalisation of one row of H numbers (Ba et al., 2016, arXiv 1607.06450), without its weight and bias.
#pragma once

#include <cmath>

#include "vector.h"

// normed = (x - mean) * scale; returns the scale, 1 / standard deviation, and the mean to whoever asks.
template <class S>
inline S normalise(const S* x, S* normed, long H, S* mean_out = nullptr) {
    S total = 0, squares = 0;
#pragma omp simd reduction(+ : total)
    for (long j = 0; j < H; j++) total += x[j];
    const S mean = total / H;
    if (mean_out) *mean_out = mean;
#pragma omp simd reduction(+ : squares)
    for (long j = 0; j < H; j++) {
        normed[j] = x[j] - mean;
        squares += normed[j] * normed[j];
    }
    const S scale = S(1) / std::sqrt(squares / H + S(1e-5));  // epsilon of torch.nn.LayerNorm
    for (long j = 0; j < H; j++) normed[j] *= scale;
    return scale;
}

// grad: of normed * weight on entry, of x on return.
template <class S>
inline void normalise_backward(S* grad, const S* normed, const S* weight, S scale, long H) {
    S total = 0, along = 0;
#pragma omp simd reduction(+ : total, along)
    for (long j = 0; j < H; j++) {
        grad[j] *= weight[j];
        total += grad[j];
        along += grad[j] * normed[j];
    }
    total /= H;
    along /= H;
#pragma omp simd
    for (long j = 0; j < H; j++) grad[j] = (grad[j] - total - normed[j] * along) * scale;
}
