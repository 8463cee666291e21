// The LARNN recurrence over time and its backward pass; rl_larnn/memories/larnn.py has the equations.
//
// Letters: T time, B rows, H hidden, W window, A heads, D = H / A; N = W + T slots; P = H padded to whole vectors.
//
// The cells of a row stand along one axis of N slots: the window carried in takes 0 ... W - 1, and step t appends slot
// W + t. So step t sees slots t ... t + W - 1, of which t + W - 1 is the newest. A start at step t turns the newest
// slot into the zero cell; the older ones are no longer `filled`, and nothing looks at what stood there.
// Each cell is projected to a key and a value once. Both are kept in two orders, by slot and by feature, because one
// half of the products runs along features and the other along slots.
#pragma once

#include <cmath>
#include <limits>

#include "matmul.h"
#include "norm.h"
#include "parallel.h"
#include "width.h"

template <class S>
struct Norm {
    const S *weight, *bias;  // (H,), or null for no norm
    long H;

    // y = normalised x; mean and scale into statistics[0], [1].
    void forward(const S* x, S* y, S* statistics) const {
        statistics[1] = normalise(x, y, H, statistics);
        for (long j = 0; j < H; j++) y[j] = y[j] * weight[j] + bias[j];
    }

    // grad: of y on entry, of x on return. Adds to the gradients of weight and bias, `into` (2, H).
    void backward(S* grad, const S* x, const S* statistics, S* into, Buffer<S>& normed) const {
        for (long j = 0; j < H; j++) {
            normed[j] = (x[j] - statistics[0]) * statistics[1];
            into[j] += grad[j] * normed[j];
            into[H + j] += grad[j];
        }
        normalise_backward(grad, normed.data(), weight, statistics[1], H);
    }
};

// Whether a slot of the last window still holds what it did: a start empties those that are older than it.
template <class S>
inline bool kept(const uint8_t* starts, S filled, long age, long row, long T, long B) {
    if (S(age) < filled) return true;
    for (long t = 0; t < T; t++)
        if (starts[t * B + row]) return false;
    return true;
}

// cells (B, N, H): the first W slots on entry, all on return; last_cells (B, W, H): the window after the last step.
// filled (B,): cells so far, on entry and on return.
// keys, values (B, N, H) and keys_by_feature, values_by_feature (B, H, N); activated (B, N, 2, H) and
// kv_statistics (B, N, 2, 2): keys and values before their norm, and its mean and scale.
// opened (T, B, H): elu(c), or tanh(c) if bounded, which a later start does not overwrite. seen (T, B): slots before the
// newest that each step saw. attention (T, B, A, W): 0 where nothing is filled.
template <class S>
void larnn_forward(const S* from_inputs, const S* hidden_weight, const S* attention_weight, const S* output_weight,
                   const S* output_bias, const S* kv_weight, const S* kv_bias, const S* position_bias,
                   const S* attention_norm_weight, const S* attention_norm_bias, const S* kv_norm_weight,
                   const S* kv_norm_bias, const S* hidden, S* filled, const uint8_t* starts, S* cells, S* keys,
                   S* values, S* keys_by_feature, S* values_by_feature, S* activated, S* kv_statistics, S* before,
                   S* hiddens, S* queries, S* contexts, S* reads, S* attended, S* read_statistics, S* gates, S* opened,
                   S* attention, S* seen, S* last_cells, long T, long B, long H, long A, long W, long kv_activation,
                   long bounded, long threads) {
    const Weight<S> recurrent(hidden_weight, H, 5, H, 1, H), to_gates(attention_weight, H, 4, H, 1, H);
    const Weight<S> to_output(output_weight, H, 1, H, 1, H), to_kv(kv_weight, H, 2, H, 1, H);
    const Norm<S> read_norm{attention_norm_weight, attention_norm_bias, H}, kv_norm{kv_norm_weight, kv_norm_bias, H};
    const long P = padded<S>(H), N = W + T;
    const S scale = S(1) / std::sqrt(S(H / A));

    with_width(H / A, [&](auto fixed) {
        const long D = fixed;
        over_rows(B, threads, 12.0 * T * B * H * H, [&](long first, long rows) {
            Buffer<S> mixed(rows * recurrent.columns()), output(rows * to_output.columns());
            Buffer<S> projected(rows * to_kv.columns()), nothing(rows * H, S(0));

            // Keys and values of one row's cell, from its projection, into a slot.
            auto enter = [&](long row, long slot, const S* projection) {
                for (long which = 0; which < 2; which++) {
                    const long at = row * N + slot;
                    S* by_slot = (which ? values : keys) + at * H;
                    S* by_feature = (which ? values_by_feature : keys_by_feature) + row * H * N + slot;
                    S* active = activated + (2 * at + which) * H;
                    for (long j = 0; j < H; j += V<S>) {
                        const Vector<S> x = load(projection + which * P + j) + load(kv_bias + which * H + j, H - j);
                        store<S>(active + j, kv_activation ? elu<S>(x) : x, H - j);
                    }
                    if (kv_activation && kv_norm.weight)
                        kv_norm.forward(active, by_slot, kv_statistics + 2 * (2 * at + which));
                    else
                        std::memcpy(by_slot, active, H * sizeof(S));
                    for (long j = 0; j < H; j++) by_feature[j * N] = by_slot[j];
                }
            };
            auto project = [&](const S* from, long stride, long slot) {
                to_kv.multiply(from, stride, projected.data(), rows);
                for (long r = 0; r < rows; r++) enter(first + r, slot, projected.data() + r * to_kv.columns());
            };
            auto attend = [&](long t, long row) {
                const long from = W - 1 - long(seen[t * B + row]);
                const S* query = queries + (t * B + row) * H;
                S *weights = attention + (t * B + row) * A * W, *context = contexts + (t * B + row) * H;
                for (long a = 0; a < A; a++, weights += W) {
                    for (long w = 0; w < from; w++) weights[w] = 0;
                    for (long w = from; w < W; w++) weights[w] = 0;
                    for (long d = a * D; d < (a + 1) * D; d++) {
                        const S q = query[d] * scale, *key = keys_by_feature + (row * H + d) * N + t;
#pragma omp simd
                        for (long w = from; w < W; w++) weights[w] += q * key[w];
                    }
                    S highest = -std::numeric_limits<S>::infinity(), total = 0;
                    for (long w = from; w < W; w++) {
                        weights[w] += position_bias[a * W + w];
                        highest = std::max(highest, weights[w]);
                    }
                    for (long w = from; w < W; w += V<S>) {
                        const Vector<S> share = exponential<S>(load(weights + w, W - w) - highest);
                        store<S>(weights + w, share, W - w);
                    }
                    for (long w = from; w < W; w++) total += weights[w];
                    S read[D];  // in registers, where D is known
                    for (long d = 0; d < D; d++) read[d] = 0;
                    for (long w = from; w < W; w++) {
                        weights[w] /= total;
                        const S share = weights[w], *value = values + (row * N + t + w) * H + a * D;
#pragma omp simd
                        for (long d = 0; d < D; d++) read[d] += share * value[d];
                    }
                    for (long d = 0; d < D; d++) context[a * D + d] = read[d];
                }
            };

            project(nothing.data(), H, 0);
            const Buffer<S> zero_cell(projected.begin(), projected.begin() + to_kv.columns());
            for (long row = first; row < first + rows; row++)  // nothing that a start forgets may enter a sum
                if (starts[row]) std::memset(cells + row * N * H, 0, W * H * sizeof(S));
            for (long slot = 0; slot < W; slot++) project(cells + (first * N + slot) * H, N * H, slot);
            for (long t = 0; t < T; t++) {
                const long at = (t * B + first) * H;
                const S* last = t ? hiddens + at - B * H : hidden + first * H;
                for (long r = 0; r < rows; r++) {
                    const long row = first + r;
                    const bool start = starts[t * B + row];
                    if (start) {
                        std::memset(cells + (row * N + W + t - 1) * H, 0, H * sizeof(S));
                        enter(row, W + t - 1, zero_cell.data());
                        filled[row] = 0;
                    }
                    seen[t * B + row] = filled[row] < S(W - 1) ? S(long(filled[row])) : S(W - 1);  // NaN sees all
                    for (long j = 0; j < H; j++) before[at + r * H + j] = start ? S(0) : last[r * H + j];
                }
                recurrent.multiply(before + at, H, mixed.data(), rows);
                for (long r = 0; r < rows; r++) {
                    const S* x = from_inputs + 5 * (at + r * H);
                    S* m = mixed.data() + r * recurrent.columns();
                    for (long block = 0; block < 5; block++)
                        for (long j = 0; j < H; j++) m[block * P + j] += x[block * H + j];
                    for (long j = 0; j < H; j += V<S>) store<S>(queries + at + r * H + j, elu<S>(load(m + j)), H - j);
                    attend(t, first + r);
                }
                to_output.multiply(contexts + at, H, output.data(), rows);
                for (long r = 0; r < rows; r++) {
                    S* read = reads + at + r * H;
                    for (long j = 0; j < H; j += V<S>) {
                        const Vector<S> x = load(output.data() + r * to_output.columns() + j);
                        store<S>(read + j, elu<S>(x + load(output_bias + j, H - j)), H - j);
                    }
                    if (read_norm.weight)
                        read_norm.forward(read, attended + at + r * H, read_statistics + 2 * (t * B + first + r));
                    else
                        std::memcpy(attended + at + r * H, read, H * sizeof(S));
                }
                // The gates' columns follow those of the query.
                to_gates.multiply_add(attended + at, H, mixed.data() + P, rows, recurrent.columns());
                for (long r = 0; r < rows; r++) {
                    const S* m = mixed.data() + r * recurrent.columns() + P;
                    S* gate = gates + 4 * (at + r * H);
                    S* newest = cells + ((first + r) * N + W + t - 1) * H;
                    for (long j = 0; j < H; j += V<S>) {
                        const long n = H - j;
                        const Vector<S> candidate = hyperbolic_tangent<S>(load(m + j));
                        const Vector<S> keep = sigmoid<S>(load(m + P + j)), take = sigmoid<S>(load(m + 2 * P + j));
                        const Vector<S> show = sigmoid<S>(load(m + 3 * P + j));
                        const Vector<S> cell = candidate * take + load<S>(newest + j, n) * keep;
                        store<S>(gate + j, candidate, n);
                        store<S>(gate + H + j, keep, n);
                        store<S>(gate + 2 * H + j, take, n);
                        store<S>(gate + 3 * H + j, show, n);
                        store<S>(newest + H + j, cell, n);
                        const Vector<S> open = bounded ? hyperbolic_tangent<S>(cell) : elu<S>(cell);
                        store<S>(opened + at + r * H + j, open, n);
                        store<S>(hiddens + at + r * H + j, show * open, n);
                    }
                    filled[first + r] = std::min(filled[first + r] + 1, S(W));
                }
                // The last cell is not attended to before the next chunk, which projects it anew.
                if (t + 1 < T) project(cells + (first * N + W + t) * H, N * H, W + t);
            }
            for (long row = first; row < first + rows; row++)
                for (long w = 0; w < W; w++) {
                    const bool keep = kept(starts, filled[row], W - 1 - w, row, T, B);
                    for (long j = 0; j < H; j++)
                        last_cells[(row * W + w) * H + j] = keep ? cells[(row * N + T + w) * H + j] : S(0);
                }
        });
    });
}

// grad_cells_out (B, W, H): of last_cells. filled (B,): as forward left it. grad_hidden (B, H), zero on entry: of the
// one carried in on return; grad_cells (B, W, H) likewise, or null if nobody asks. grad_keys, grad_values (B, N, H) and
// the norms' and the position's gradients per row, (B, 2, H) and (B, A, W): zero on entry. grad_mixed (T, B, 5H): of
// query and gates before activation. grad_kv (B, N, 2, H): of keys and values likewise.
template <class S>
void larnn_backward(const S* hidden_weight, const S* attention_weight, const S* output_weight, const S* kv_weight,
                    const S* attention_norm_weight, const S* kv_norm_weight, const uint8_t* starts, const S* cells,
                    const S* keys, const S* keys_by_feature, const S* values_by_feature, const S* activated,
                    const S* kv_statistics, const S* queries, const S* reads, const S* read_statistics, const S* gates,
                    const S* opened, const S* attention, const S* seen, const S* filled, const S* grad_hiddens,
                    const S* grad_cells_out, S* grad_hidden, S* grad_cells, S* grad_mixed, S* grad_reads, S* grad_keys,
                    S* grad_values, S* grad_kv, S* grad_read_norm, S* grad_kv_norm, S* grad_position, long T, long B,
                    long H, long A, long W, long kv_activation, long bounded, long threads) {
    const Weight<S> from_mixed(hidden_weight, 5 * H, 1, H, H, 1), from_gates(attention_weight, 4 * H, 1, H, H, 1);
    const Weight<S> from_output(output_weight, H, 1, H, H, 1), from_kv(kv_weight, 2 * H, 1, H, H, 1);
    const Norm<S> read_norm{attention_norm_weight, nullptr, H}, kv_norm{kv_norm_weight, nullptr, H};
    const long N = W + T, columns = from_mixed.columns();  // of all four
    const S scale = S(1) / std::sqrt(S(H / A));

    with_width(H / A, [&](auto fixed) {
        const long D = fixed;
        over_rows(B, threads, 12.0 * T * B * H * H, [&](long first, long rows) {
            Buffer<S> mixed(rows * columns), grad_next(rows * H, S(0)), weights(W), normed(H);

            // mixed = the gradient of cells in a slot through their keys and values; fills that slot of grad_kv.
            auto into_cells = [&](long slot, bool needed) {
                for (long row = first; row < first + rows; row++)
                    for (long which = 0; which < 2; which++) {
                        const long at = row * N + slot;
                        const S* active = activated + (2 * at + which) * H;
                        S* grad = grad_kv + (2 * at + which) * H;
                        std::memcpy(grad, (which ? grad_values : grad_keys) + at * H, H * sizeof(S));
                        if (!kv_activation) continue;
                        if (kv_norm.weight)
                            kv_norm.backward(grad, active, kv_statistics + 2 * (2 * at + which),
                                             grad_kv_norm + row * 2 * H, normed);
                        for (long j = 0; j < H; j++) grad[j] *= active[j] < 0 ? active[j] + S(1) : S(1);
                    }
                std::fill(mixed.begin(), mixed.end(), S(0));
                if (needed) from_kv.multiply_add(grad_kv + 2 * (first * N + slot) * H, 2 * N * H, mixed.data(), rows);
            };
            // From the gradient of what one row read, to those of its query, of keys and of values.
            auto attend = [&](long t, long row, const S* grad_context, S* grad_query) {
                const long from = W - 1 - long(seen[t * B + row]);
                const S* query = queries + (t * B + row) * H;
                for (long a = 0; a < A; a++) {
                    const S* shares = attention + ((t * B + row) * A + a) * W;
                    S* position = grad_position + (row * A + a) * W;
                    for (long w = from; w < W; w++) weights[w] = 0;
                    for (long d = a * D; d < (a + 1) * D; d++) {
                        const S grad = grad_context[d], *value = values_by_feature + (row * H + d) * N + t;
#pragma omp simd
                        for (long w = from; w < W; w++) weights[w] += grad * value[w];
                    }
                    S mean = 0;
                    for (long w = from; w < W; w++) mean += weights[w] * shares[w];
                    S into_query[D];
                    for (long d = 0; d < D; d++) into_query[d] = 0;
                    for (long w = from; w < W; w++) {
                        const S share = shares[w], score = share * (weights[w] - mean), scaled = score * scale;
                        const long at = (row * N + t + w) * H + a * D;
                        position[w] += score;
#pragma omp simd
                        for (long d = 0; d < D; d++) {
                            grad_values[at + d] += share * grad_context[a * D + d];
                            grad_keys[at + d] += scaled * query[a * D + d];
                            into_query[d] += scaled * keys[at + d];
                        }
                    }
                    for (long d = 0; d < D; d++) {
                        const S q = query[a * D + d];
                        grad_query[a * D + d] = into_query[d] * (q < 0 ? q + S(1) : S(1));
                    }
                }
            };

            for (long t = T - 1; t >= 0; t--) {
                const long at = (t * B + first) * H;
                if (t + 1 < T) {
                    into_cells(W + t, true);
                } else {  // nothing has looked at the last cell's key and value
                    std::fill(mixed.begin(), mixed.end(), S(0));
                    for (long row = first; row < first + rows; row++)
                        std::memset(grad_kv + 2 * (row * N + W + t) * H, 0, 2 * H * sizeof(S));
                }
                for (long r = 0; r < rows; r++) {
                    const long row = first + r;
                    const bool start = starts[t * B + row], ended = t + 1 < T && starts[(t + 1) * B + row];
                    const S *gate = gates + 4 * (at + r * H), *newest = cells + (row * N + W + t - 1) * H;
                    const bool last = W + t >= T && kept(starts, filled[row], T - 1 - t, row, T, B);
                    const S* given = last ? grad_cells_out + (row * W + W + t - T) * H : nullptr;
                    S *into_gate = grad_mixed + 5 * (at + r * H) + H, *next = grad_next.data() + r * H;
                    for (long j = 0; j < H; j += V<S>) {
                        const long n = H - j, place = at + r * H + j;
                        const Vector<S> candidate = load(gate + j, n), keep = load(gate + H + j, n);
                        const Vector<S> take = load(gate + 2 * H + j, n), show = load(gate + 3 * H + j, n);
                        const Vector<S> open = load(opened + place, n);
                        const Vector<S> into_hidden =
                            load<S>(grad_hidden + row * H + j, n) + load(grad_hiddens + place, n);
                        // From the next step on, the slot of a row that starts there is the zero cell.
                        Vector<S> into_cell =
                            ended ? Vector<S>{} : load<S>(mixed.data() + r * columns + j) + load<S>(next + j, n);
                        if (given) into_cell += load(given + j, n);
                        into_cell += into_hidden * show * (bounded ? S(1) - open * open : elu_slope<S>(open));
                        store<S>(into_gate + j, into_cell * take * (S(1) - candidate * candidate), n);
                        store<S>(into_gate + H + j, into_cell * load(newest + j, n) * keep * (S(1) - keep), n);
                        store<S>(into_gate + 2 * H + j, into_cell * candidate * take * (S(1) - take), n);
                        store<S>(into_gate + 3 * H + j, into_hidden * open * show * (S(1) - show), n);
                        store<S>(next + j, start ? Vector<S>{} : into_cell * keep, n);
                    }
                }
                from_gates.multiply(grad_mixed + 5 * at + H, 5 * H, mixed.data(), rows);
                for (long r = 0; r < rows; r++) {
                    const S* read = reads + at + r * H;
                    S *grad = grad_reads + at + r * H, *m = mixed.data() + r * columns;
                    if (read_norm.weight)
                        read_norm.backward(m, read, read_statistics + 2 * (t * B + first + r),
                                           grad_read_norm + (first + r) * 2 * H, normed);
                    for (long j = 0; j < H; j++) grad[j] = m[j] * (read[j] < 0 ? read[j] + S(1) : S(1));
                }
                from_output.multiply(grad_reads + at, H, mixed.data(), rows);
                for (long r = 0; r < rows; r++)
                    attend(t, first + r, mixed.data() + r * columns, grad_mixed + 5 * (at + r * H));
                from_mixed.multiply(grad_mixed + 5 * at, 5 * H, mixed.data(), rows);
                for (long r = 0; r < rows; r++) {
                    const bool start = starts[t * B + first + r];
                    for (long j = 0; j < H; j++)
                        grad_hidden[(first + r) * H + j] = start ? S(0) : mixed[r * columns + j];
                }
            }
            for (long slot = 0; slot < W; slot++) {
                into_cells(slot, grad_cells != nullptr);
                for (long r = 0; grad_cells && r < rows; r++) {
                    const long row = first + r;
                    S* into = grad_cells + (row * W + slot) * H;
                    const bool newest = slot == W - 1, ended = newest && starts[row];
                    const bool last = slot >= T && kept(starts, filled[row], W - 1 - (slot - T), row, T, B);
                    for (long j = 0; j < H; j++) {
                        into[j] = ended ? S(0) : mixed[r * columns + j] + (newest ? grad_next[r * H + j] : S(0));
                        if (last) into[j] += grad_cells_out[(row * W + slot - T) * H + j];
                    }
                }
            }
        });
    });
}
