// The running softmax average over time and its backward pass; rl_larnn/scan.py has the equations and the shapes.
//
// Letters: T time, B rows, A heads, D head width. Time and memory grow linearly with T.
#pragma once

#include <cmath>
#include <limits>

#include "parallel.h"
#include "vector.h"
#include "width.h"

// Turns the pairs of features of a head, (d, d + D / 2), by an angle whose cosines and sines (D / 2,) are given, from
// the second to the first; `way` -1: back.
template <class S>
inline void turn(const S* from, S* to, const S* cosine, const S* sine, long D, S way) {
    for (long d = 0; d < D / 2; d++) {
        const S first = from[d], second = from[d + D / 2], s = way * sine[d];
        to[d] = first * cosine[d] + second * s;
        to[d + D / 2] = second * cosine[d] - first * s;
    }
}

// decay (A,), zeros for none; or, with every_step, (T, B, A). turns (2, A, D / 2): cosines and sines of the phases,
// null for none. maximum, denominator (B, A), numerator (B, A, D): the state, replaced by the last one. keeps, takes,
// denominators (T, B, A): what backward needs; a start has keep 0.
template <class S>
void average_forward(const S* scores, const S* values, const S* decay, const S* turns, const uint8_t* starts,
                     S* maximum, S* denominator, S* numerator, S* outputs, S* keeps, S* takes, S* denominators, long T,
                     long B, long A, long width, long every_step, long threads) {
    const S nothing = -std::numeric_limits<S>::infinity();
    with_width(width, [&](auto fixed) {
        const long D = fixed;
        over_rows(B, threads, 4.0 * T * B * A * D, [&](long first, long rows) {
            const long heads = rows * A;
            Buffer<S> aging(heads);
            for (long h = 0; h < heads; h++) aging[h] = every_step ? S(0) : decay[h % A];
            S *m = maximum + first * A, *u = denominator + first * A, *w = numerator + first * A * D;
            for (long h = 0; h < heads; h++)
                if (!(u[h] > 0)) m[h] = nothing;
            for (long t = 0; t < T; t++) {
                const long at = (t * B + first) * A;
                const S* age = every_step ? decay + at : aging.data();
                for (long r = 0; r < rows; r++)
                    if (starts[t * B + first + r])
                        for (long h = r * A; h < (r + 1) * A; h++) {
                            m[h] = nothing;
                            u[h] = 0;
                            for (long d = 0; d < D; d++) w[h * D + d] = 0;
                        }
                for (long h = 0; h < heads; h += V<S>) {
                    const long n = heads - h;
                    const Vector<S> old = load(m + h, n) - load(age + h, n), score = load(scores + at + h, n);
                    const Vector<S> now = old > score ? old : score;
                    const Vector<S> keep = exponential<S>(old - now), take = exponential<S>(score - now);
                    const Vector<S> total = load(u + h, n) * keep + take;
                    store<S>(m + h, now, n);
                    store<S>(u + h, total, n);
                    store<S>(keeps + at + h, keep, n);
                    store<S>(takes + at + h, take, n);
                    store<S>(denominators + at + h, total, n);
                }
                for (long h = 0; h < heads; h++) {
                    const S keep = keeps[at + h], take = takes[at + h], share = S(1) / u[h];
                    const S* value = values + (at + h) * D;
                    S *to = outputs + (at + h) * D, *sum_of_values = w + h * D;
                    if (turns) {
                        const S* cosine = turns + h % A * (D / 2);
                        turn(sum_of_values, sum_of_values, cosine, cosine + A * (D / 2), D, S(1));
                    }
#pragma omp simd
                    for (long d = 0; d < D; d++) {
                        const S now = sum_of_values[d] * keep + take * value[d];
                        sum_of_values[d] = now;
                        to[d] = now * share;
                    }
                }
            }
        });
    });
}

// first_denominator (B, A), first_numerator (B, A, D): the state carried in.
// grad_denominator, grad_numerator: those of the last state on entry, of the state carried in on return.
// grad_clocks (T, B, A): of the clock, log(denominator / take); null for zeros.
// grad_phases (B, A, D / 2): zeros on entry, null without turns.
// grad_keeps (T, B, A): gradient of log keep, hence of m_{t-1} and of minus the decay of that step.
template <class S>
void average_backward(const S* values, const S* turns, const uint8_t* starts, const S* outputs, const S* keeps,
                      const S* takes, const S* denominators, const S* first_denominator, const S* first_numerator,
                      const S* grad_outputs, const S* grad_clocks, S* grad_denominator, S* grad_numerator,
                      S* grad_scores, S* grad_values, S* grad_keeps, S* grad_phases, long T, long B, long A, long width,
                      long threads) {
    with_width(width, [&](auto fixed) {
        const long D = fixed;
        over_rows(B, threads, 8.0 * T * B * A * D, [&](long first, long rows) {
            Buffer<S> nows(D), turned(D);
            for (long t = T - 1; t >= 0; t--)
                for (long r = 0; r < rows; r++) {
                    const bool start = starts[t * B + first + r];
                    for (long a = 0; a < A; a++) {
                        const long head = (first + r) * A + a, at = t * B * A + head;
                        const S share = S(1) / denominators[at], keep = keeps[at], take = takes[at];
                        const S *output = outputs + at * D, *grad = grad_outputs + at * D, *value = values + at * D;
                        // The numerator before this step, up to a factor.
                        const S* before = t ? outputs + (at - B * A) * D : first_numerator + head * D;
                        const S total = t ? denominators[at - B * A] : first_denominator[head];
                        S *into = grad_numerator + head * D, *to = grad_values + at * D;
                        const S* cosine = turns + a * (D / 2);
                        const S* sine = cosine + A * (D / 2);
                        if (turns) {
                            turn(before, turned.data(), cosine, sine, D, S(1));
                            before = turned.data();
                        }
                        S through_output = 0, through_value = 0, through_before = 0;
#pragma omp simd reduction(+ : through_output, through_value, through_before)
                        for (long d = 0; d < D; d++) {
                            const S now = nows[d] = into[d] + grad[d] * share;
                            through_output += grad[d] * output[d];
                            through_value += now * value[d];
                            through_before += now * before[d];
                            to[d] = take * now;
                            into[d] = start ? S(0) : now * keep;
                        }
                        const S through_clock = grad_clocks ? grad_clocks[at] : S(0);
                        const S into_total = grad_denominator[head] + (through_clock - through_output) * share;
                        grad_scores[at] = take * (through_value + into_total) - through_clock;
                        if (start) {
                            grad_keeps[at] = 0;
                            grad_denominator[head] = 0;
                        } else {
                            grad_keeps[at] =
                                keep * ((t ? through_before * total : through_before) + into_total * total);
                            grad_denominator[head] = into_total * keep;
                            if (!turns) continue;
                            turn(into, into, cosine, sine, D, S(-1));
                            S* grad_phase = grad_phases + head * (D / 2);
                            const S scale = t ? keep * total : keep;
                            for (long d = 0; d < D / 2; d++)
                                grad_phase[d] += scale * (nows[d] * before[d + D / 2] - nows[d + D / 2] * before[d]);
                        }
                    }
                }
        });
    });
}
