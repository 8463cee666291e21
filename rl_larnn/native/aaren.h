// One Aaren block over time and its backward pass; rl_larnn/memories/aaren.py has the equations.
//
// Letters: T time, B rows, N = T B tokens, E features, A heads, D = E / A. Only the average in the middle looks from
// one token to another; what comes before and after it is done for a few tokens at a time, which stay in cache.
#pragma once

#include "average.h"
#include "matmul.h"
#include "norm.h"

// The tanh form of GELU (Hendrycks and Gimpel, 2016, arXiv 1606.08415), and its derivative.
template <class S>
struct Gelu {
    static constexpr S slope = S(0.7978845608028654), cubic = S(0.044715);  // sqrt(2 / pi)

    static Vector<S> value(Vector<S> x) {
        return S(0.5) * x * (S(1) + hyperbolic_tangent<S>(slope * (x + cubic * x * x * x)));
    }
    static Vector<S> derivative(Vector<S> x) {
        const Vector<S> t = hyperbolic_tangent<S>(slope * (x + cubic * x * x * x));
        return S(0.5) * (S(1) + t) + S(0.5) * x * (S(1) - t * t) * slope * (S(1) + 3 * cubic * x * x);
    }
};

// The decay at which the scale of `aging` changes from linear to logarithmic; as in rl_larnn/memories/aaren.py.
template <class S>
constexpr S SLOWEST = S(0.005);

// A block's parameters, or their gradients, in the order of BlockWeights in aaren_native.py.
template <class Pointer>
struct AarenWeights {
    Pointer norm, norm_bias, query, query_bias, key, key_bias, value, value_bias, output, output_bias, forward_norm,
        forward_norm_bias, wide, wide_bias, narrow, narrow_bias, query_token;
    Pointer aging;            // (A,), null: no decay
    Pointer forget;           // (A, E), null: the same decay at every step
    Pointer phase;            // (A, D / 2), null: no turning
    Pointer gate, gate_bias;  // (E, E), (E,), null: no output gate
};

// Which numbers a block computes from a token at once, and where each of them stands in a row.
struct AarenRows {
    long forgets, values, gates, all;  // scores stand first; `all` is the length of a row

    AarenRows(long E, long A, bool forget, bool gate)
        : forgets(A), values(forget ? 2 * A : A), gates(values + E), all(gate ? gates + E : gates) {}
};

// Cuts one piece of memory into consecutive arrays.
template <class S>
struct Cutter {
    S* at;
    S* take(long length) { return std::exchange(at, at + length); }
};

// What forward leaves for backward. I = E, or E + A with a clock: what the output projection reads.
template <class S>
struct AarenTape {
    S *read, *read_bias, *query;      // (rows, E), (rows,): see AarenRows; (E,): the projected query
    S *decay, *turns;                 // (A,) or, with `forget`, (N, A); (2, A, D / 2): cosines and sines of the phases
    S *normed_1, *normed_2;           // (N, E): inputs of the two sub-layers, before the norm's weight and bias
    S *scale_1, *scale_2;             // (N,): what they were multiplied by
    S *values, *averages;             // (N, E)
    S *keeps, *takes, *denominators;  // (N, A): see average.h
    S* joined;                        // (N, I): averages and clocks; without a clock the averages themselves
    S *gates, *projected;             // (N, E): the output gate, and what it was multiplied by
    S *wide, *activated;              // (N, 4 E)
    long length;

    AarenTape(S* memory, long N, long E, long A, bool forget, bool clock, bool gate) {
        const long rows = AarenRows(E, A, forget, gate).all;
        Cutter<S> cut{memory};
        read = cut.take(rows * E), read_bias = cut.take(rows), query = cut.take(E);
        decay = cut.take(forget ? N * A : A), turns = cut.take(E);
        normed_1 = cut.take(N * E), normed_2 = cut.take(N * E), scale_1 = cut.take(N), scale_2 = cut.take(N);
        values = cut.take(N * E), averages = cut.take(N * E);
        keeps = cut.take(N * A), takes = cut.take(N * A), denominators = cut.take(N * A);
        joined = clock ? cut.take(N * (E + A)) : averages;
        gates = cut.take(gate ? N * E : 0), projected = cut.take(gate ? N * E : 0);
        wide = cut.take(N * 4 * E), activated = cut.take(N * 4 * E);
        length = cut.at - memory;
    }
};

// The clock stops here; as in rl_larnn/scan.py.
template <class S>
constexpr S LATEST = S(20);

// Averages (tokens, E) with the clock of each head behind its features, (tokens, E + A).
template <class S>
void join_clocks(const AarenTape<S>& tape, long first, long tokens, long E, long A) {
    const long D = E / A;
    for (long head = first * A; head < (first + tokens) * A; head++) {
        S* to = tape.joined + head * (D + 1);
        std::memcpy(to, tape.averages + head * D, D * sizeof(S));
        to[D] = std::min(LATEST<S>, std::log(tape.denominators[head]) - std::log(tape.takes[head]));
    }
}

// The reverse of join_clocks, for gradients.
template <class S>
void part_clocks(const S* joined, const AarenTape<S>& tape, S* grad_averages, S* grad_clocks, long first, long tokens,
                 long E, long A) {
    const long D = E / A;
    for (long head = first * A; head < (first + tokens) * A; head++) {
        const S* from = joined + (head - first * A) * (D + 1);
        std::memcpy(grad_averages + head * D, from, D * sizeof(S));
        grad_clocks[head] = tape.joined[head * (D + 1) + D] < LATEST<S> ? from[D] : S(0);
    }
}

// The query, which is the same for every token, folded into the keys.
template <class S>
void fold_query(const AarenWeights<const S*>& weights, const AarenTape<S>& tape, long E, long A) {
    const long D = E / A;
    std::fill(tape.read, tape.read + A * E, S(0));
    std::fill(tape.read_bias, tape.read_bias + A, S(0));
    for (long i = 0; i < E; i++) {
        S total = weights.query_bias[i];
#pragma omp simd reduction(+ : total)
        for (long j = 0; j < E; j++) total += weights.query[i * E + j] * weights.query_token[j];
        const S query = tape.query[i] = total / std::sqrt(S(D));
        S* row = tape.read + i / D * E;
#pragma omp simd
        for (long j = 0; j < E; j++) row[j] += query * weights.key[i * E + j];
        tape.read_bias[i / D] += query * weights.key_bias[i];
    }
    const AarenRows rows(E, A, weights.forget, weights.gate);
    if (weights.forget) {
        std::memcpy(tape.read + rows.forgets * E, weights.forget, A * E * sizeof(S));
        std::memcpy(tape.read_bias + rows.forgets, weights.aging, A * sizeof(S));
    }
    std::memcpy(tape.read + rows.values * E, weights.value, E * E * sizeof(S));
    std::memcpy(tape.read_bias + rows.values, weights.value_bias, E * sizeof(S));
    if (weights.gate) {
        std::memcpy(tape.read + rows.gates * E, weights.gate, E * E * sizeof(S));
        std::memcpy(tape.read_bias + rows.gates, weights.gate_bias, E * sizeof(S));
    }
}

// grad_read (A, E), grad_read_bias (A,): of the scores' rows only.
template <class S>
void fold_query_backward(const AarenWeights<const S*>& weights, const AarenTape<S>& tape, const S* grad_read,
                         const S* grad_read_bias, const AarenWeights<S*>& grads, long E, long A) {
    const long D = E / A;
    std::fill(grads.query_token, grads.query_token + E, S(0));
    for (long i = 0; i < E; i++) {
        const S *grad = grad_read + i / D * E, query = tape.query[i];
        S total = weights.key_bias[i] * grad_read_bias[i / D];
#pragma omp simd reduction(+ : total)
        for (long j = 0; j < E; j++) total += weights.key[i * E + j] * grad[j];
        total /= std::sqrt(S(D));
#pragma omp simd
        for (long j = 0; j < E; j++) {
            grads.key[i * E + j] = query * grad[j];
            grads.query[i * E + j] = total * weights.query_token[j];
            grads.query_token[j] += total * weights.query[i * E + j];
        }
        grads.key_bias[i] = query * grad_read_bias[i / D];
        grads.query_bias[i] = total;
    }
}

// maximum, denominator, numerator: the state, replaced by the last one.
template <class S>
void aaren_forward(const S* xs, AarenWeights<const S*> weights, const uint8_t* starts, S* maximum, S* denominator,
                   S* numerator, S* tape_memory, S* outputs, long T, long B, long E, long A, long clock, long threads) {
    const AarenTape<S> tape(tape_memory, T * B, E, A, weights.forget, clock, weights.gate);
    const AarenRows rows(E, A, weights.forget, weights.gate);
    fold_query(weights, tape, E, A);
    for (long a = 0; a < (weights.forget ? 0 : A); a++)
        tape.decay[a] = weights.aging ? SLOWEST<S> * std::sinh(weights.aging[a]) : S(0);
    for (long j = 0; j < (weights.phase ? E / 2 : 0); j++) {
        tape.turns[j] = std::cos(weights.phase[j]);
        tape.turns[E / 2 + j] = std::sin(weights.phase[j]);
    }
    const long I = clock ? E + A : E;
    const Weight<S> to_read(tape.read, E, 1, rows.all, 1, E), to_output(weights.output, I, 1, E, 1, I);
    const Weight<S> to_wide(weights.wide, E, 1, 4 * E, 1, E), to_narrow(weights.narrow, 4 * E, 1, E, 1, 4 * E);
    Buffer<S> scores(T * B * A);
    over_rows(T * B, threads, 1.0 * T * B * E * E, [&](long first, long tokens) {
        Buffer<S> input(tokens * E), read(tokens * to_read.columns());
        for (long n = 0; n < tokens; n++) {
            const long at = (first + n) * E;
            tape.scale_1[first + n] = normalise(xs + at, tape.normed_1 + at, E);
            for (long j = 0; j < E; j++)
                input[n * E + j] = tape.normed_1[at + j] * weights.norm[j] + weights.norm_bias[j];
        }
        to_read.multiply(input.data(), E, read.data(), tokens);
        for (long n = 0; n < tokens; n++) {
            S* row = read.data() + n * to_read.columns();
            const long at = first + n;
            for (long j = 0; j < rows.all; j++) row[j] += tape.read_bias[j];
            std::memcpy(scores.data() + at * A, row, A * sizeof(S));
            std::memcpy(tape.values + at * E, row + rows.values, E * sizeof(S));
            for (long a = 0; a < (weights.forget ? A : 0); a++)
                tape.decay[at * A + a] = SLOWEST<S> * std::sinh(row[rows.forgets + a]);
            for (long j = 0; j < (weights.gate ? E : 0); j += V<S>)
                store<S>(tape.gates + at * E + j, sigmoid<S>(load(row + rows.gates + j, E - j)), E - j);
        }
    });
    average_forward(static_cast<const S*>(scores.data()), static_cast<const S*>(tape.values),
                    static_cast<const S*>(tape.decay), weights.phase ? static_cast<const S*>(tape.turns) : nullptr,
                    starts, maximum, denominator, numerator, tape.averages, tape.keeps, tape.takes, tape.denominators,
                    T, B, A, E / A, weights.forget ? 1 : 0, threads);
    over_rows(T * B, threads, 9.0 * T * B * E * E, [&](long first, long tokens) {
        Buffer<S> input(tokens * E), narrow(tokens * to_output.columns()), broad(tokens * to_wide.columns());
        const long columns = to_output.columns();  // of to_narrow, too
        if (clock) join_clocks(tape, first, tokens, E, A);
        to_output.multiply(tape.joined + first * I, I, narrow.data(), tokens);
        for (long n = 0; n < tokens; n++) {
            const long at = (first + n) * E;
            S* row = narrow.data() + n * columns;
            for (long j = 0; j < E; j++) row[j] += weights.output_bias[j];
            if (weights.gate) {
                std::memcpy(tape.projected + at, row, E * sizeof(S));
                for (long j = 0; j < E; j++) row[j] *= tape.gates[at + j];
            }
            for (long j = 0; j < E; j++) row[j] += xs[at + j];
            tape.scale_2[first + n] = normalise(row, tape.normed_2 + at, E);
            for (long j = 0; j < E; j++)
                input[n * E + j] = tape.normed_2[at + j] * weights.forward_norm[j] + weights.forward_norm_bias[j];
        }
        to_wide.multiply(input.data(), E, broad.data(), tokens);
        for (long n = 0; n < tokens; n++)
            for (long j = 0; j < 4 * E; j += V<S>) {
                const long at = (first + n) * 4 * E + j, left = 4 * E - j;
                const Vector<S> x = load(broad.data() + n * to_wide.columns() + j) + load(weights.wide_bias + j, left);
                store<S>(tape.wide + at, x, left);
                store<S>(tape.activated + at, Gelu<S>::value(x), left);
            }
        // The residual: `narrow` still holds what the second norm read.
        to_narrow.multiply_add(tape.activated + first * 4 * E, 4 * E, narrow.data(), tokens);
        for (long n = 0; n < tokens; n++)
            for (long j = 0; j < E; j++)
                outputs[(first + n) * E + j] = narrow[n * columns + j] + weights.narrow_bias[j];
    });
}

// Gradients of a norm's weight and bias, then of the linear layer behind it, which reads normed * scale + shift. All
// four follow from two sums over tokens, those of grad x normed and of grad, which are in grad_weight and grad_bias.
template <class S>
void behind_norm(const S* scale, const S* shift, const S* weight, S* grad_scale, S* grad_shift, S* grad_weight,
                 const S* grad_bias, long outputs, long E) {
    std::fill(grad_scale, grad_scale + E, S(0));
    std::fill(grad_shift, grad_shift + E, S(0));
    for (long o = 0; o < outputs; o++)
#pragma omp simd
        for (long j = 0; j < E; j++) {
            const S product = grad_weight[o * E + j];
            grad_scale[j] += weight[o * E + j] * product;
            grad_shift[j] += weight[o * E + j] * grad_bias[o];
            grad_weight[o * E + j] = product * scale[j] + grad_bias[o] * shift[j];
        }
}

// first_denominator, first_numerator: the state carried in. grad_denominator, grad_numerator: as in average.h.
// grads: as many numbers as there are parameters, in their order. grad_maximum (B, A), grad_xs (N, E).
template <class S>
void aaren_backward(const S* grad_outputs, AarenWeights<const S*> weights, const uint8_t* starts, S* tape_memory,
                    const S* first_denominator, const S* first_numerator, S* grad_denominator, S* grad_numerator,
                    S* grad_maximum, S* grads_memory, S* grad_xs, long T, long B, long E, long A, long clock,
                    long threads) {
    const long N = T * B, I = clock ? E + A : E;
    const AarenTape<S> tape(tape_memory, N, E, A, weights.forget, clock, weights.gate);
    const AarenRows rows(E, A, weights.forget, weights.gate);
    Cutter<S> cut{grads_memory};
    const long W = E * E;
    const AarenWeights<S*> grads{cut.take(E),
                                 cut.take(E),
                                 cut.take(W),
                                 cut.take(E),
                                 cut.take(W),
                                 cut.take(E),
                                 cut.take(W),
                                 cut.take(E),
                                 cut.take(E * I),
                                 cut.take(E),
                                 cut.take(E),
                                 cut.take(E),
                                 cut.take(4 * W),
                                 cut.take(4 * E),
                                 cut.take(4 * W),
                                 cut.take(E),
                                 cut.take(E),
                                 cut.take(weights.aging ? A : 0),
                                 cut.take(weights.forget ? A * E : 0),
                                 cut.take(weights.phase ? E / 2 : 0),
                                 cut.take(weights.gate ? W : 0),
                                 cut.take(weights.gate ? E : 0)};
    const Weight<S> from_read(tape.read, rows.all, 1, E, E, 1), from_output(weights.output, E, 1, I, I, 1);
    const Weight<S> from_wide(weights.wide, 4 * E, 1, E, E, 1), from_narrow(weights.narrow, E, 1, 4 * E, 4 * E, 1);
    const long columns = from_read.columns();  // of from_wide, too
    Buffer<S> grad_wide(N * 4 * E);            // before the activation
    Buffer<S> grad_middle(N * E);              // between the two sub-layers
    Buffer<S> grad_averages(N * E), grad_scores(N * A), grad_values(N * E), grad_keeps(N * A);
    Buffer<S> grad_clocks(clock ? N * A : 0);
    Buffer<S> grad_projected(weights.gate ? N * E : 0);  // before the output gate
    Buffer<S> grad_read(N * rows.all);
    Buffer<S> grad_phases(B * E / 2, S(0));
    over_rows(N, threads, 9.0 * N * E * E, [&](long first, long tokens) {
        Buffer<S> narrow(tokens * columns), broad(tokens * from_narrow.columns());
        from_narrow.multiply(grad_outputs + first * E, E, broad.data(), tokens);
        for (long n = 0; n < tokens; n++)
            for (long j = 0; j < 4 * E; j += V<S>) {
                const long at = (first + n) * 4 * E + j, left = 4 * E - j;
                const Vector<S> grad = load(broad.data() + n * from_narrow.columns() + j);
                store<S>(grad_wide.data() + at, grad * Gelu<S>::derivative(load(tape.wide + at, left)), left);
            }
        from_wide.multiply(grad_wide.data() + first * 4 * E, 4 * E, narrow.data(), tokens);
        for (long n = 0; n < tokens; n++) {
            const long at = (first + n) * E;
            S* row = narrow.data() + n * columns;
            normalise_backward(row, tape.normed_2 + at, weights.forward_norm, tape.scale_2[first + n], E);
            for (long j = 0; j < E; j++) grad_middle[at + j] = row[j] + grad_outputs[at + j];
        }
        const S* grad_output = (weights.gate ? grad_projected : grad_middle).data() + first * E;
        for (long n = 0; n < (weights.gate ? tokens : 0); n++)
            for (long j = 0, at = (first + n) * E; j < E; j++, at++) {
                const S gate = tape.gates[at], grad = grad_middle[at];
                grad_projected[at] = grad * gate;
                grad_read[(first + n) * rows.all + rows.gates + j] = grad * tape.projected[at] * gate * (S(1) - gate);
            }
        Buffer<S> joined(tokens * from_output.columns());
        from_output.multiply(grad_output, E, joined.data(), tokens);
        for (long n = 0; n < tokens; n++) {
            const S* row = joined.data() + n * from_output.columns();
            if (clock)
                part_clocks(row, tape, grad_averages.data(), grad_clocks.data(), first + n, 1, E, A);
            else
                std::memcpy(grad_averages.data() + (first + n) * E, row, E * sizeof(S));
        }
    });
    average_backward(static_cast<const S*>(tape.values), weights.phase ? static_cast<const S*>(tape.turns) : nullptr,
                     starts, static_cast<const S*>(tape.averages), static_cast<const S*>(tape.keeps),
                     static_cast<const S*>(tape.takes), static_cast<const S*>(tape.denominators), first_denominator,
                     first_numerator, static_cast<const S*>(grad_averages.data()),
                     clock ? static_cast<const S*>(grad_clocks.data()) : nullptr, grad_denominator, grad_numerator,
                     grad_scores.data(), grad_values.data(), grad_keeps.data(), grad_phases.data(), T, B, A, E / A,
                     threads);
    over_rows(N, threads, 1.0 * N * E * E, [&](long first, long tokens) {
        Buffer<S> narrow(tokens * columns);
        for (long n = first; n < first + tokens; n++) {
            S* row = grad_read.data() + n * rows.all;
            std::memcpy(row, grad_scores.data() + n * A, A * sizeof(S));
            for (long a = 0; a < (weights.forget ? A : 0); a++) {
                const S decay = tape.decay[n * A + a];  // d sinh = cosh = sqrt(1 + sinh^2)
                row[rows.forgets + a] = -grad_keeps[n * A + a] * std::sqrt(SLOWEST<S> * SLOWEST<S> + decay * decay);
            }
            std::memcpy(row + rows.values, grad_values.data() + n * E, E * sizeof(S));
        }
        from_read.multiply(grad_read.data() + first * rows.all, rows.all, narrow.data(), tokens);
        for (long n = 0; n < tokens; n++) {
            const long at = (first + n) * E;
            S* row = narrow.data() + n * columns;
            normalise_backward(row, tape.normed_1 + at, weights.norm, tape.scale_1[first + n], E);
            for (long j = 0; j < E; j++) grad_xs[at + j] = row[j] + grad_middle[at + j];
        }
    });
    std::memcpy(grad_maximum, grad_keeps.data(), B * A * sizeof(S));
    if (weights.aging && !weights.forget) {
        std::fill(grads.aging, grads.aging + A, S(0));
        for (long n = 0; n < N; n++)
            for (long a = 0; a < A; a++) grads.aging[a] -= grad_keeps[n * A + a];
        for (long a = 0; a < A; a++) grads.aging[a] *= SLOWEST<S> * std::cosh(weights.aging[a]);
    }
    for (long j = 0; j < (weights.phase ? E / 2 : 0); j++) {
        grads.phase[j] = 0;
        for (long b = 0; b < B; b++) grads.phase[j] += grad_phases[b * (E / 2) + j];
    }
    Buffer<S> grad_fold(rows.all * (E + 1));
    S* grad_fold_bias = grad_fold.data() + rows.all * E;
    linear_backward(grad_read.data(), tape.normed_1, grad_fold.data(), grad_fold_bias, N, rows.all, E, threads);
    behind_norm<S>(weights.norm, weights.norm_bias, tape.read, grads.norm, grads.norm_bias, grad_fold.data(),
                   grad_fold_bias, rows.all, E);
    fold_query_backward<S>(weights, tape, grad_fold.data(), grad_fold_bias, grads, E, A);
    if (weights.forget) {
        std::memcpy(grads.forget, grad_fold.data() + rows.forgets * E, A * E * sizeof(S));
        std::memcpy(grads.aging, grad_fold_bias + rows.forgets, A * sizeof(S));
    }
    std::memcpy(grads.value, grad_fold.data() + rows.values * E, E * E * sizeof(S));
    std::memcpy(grads.value_bias, grad_fold_bias + rows.values, E * sizeof(S));
    if (weights.gate) {
        std::memcpy(grads.gate, grad_fold.data() + rows.gates * E, E * E * sizeof(S));
        std::memcpy(grads.gate_bias, grad_fold_bias + rows.gates, E * sizeof(S));
    }
    const S* grad_output = (weights.gate ? grad_projected : grad_middle).data();
    linear_backward(grad_output, static_cast<const S*>(tape.joined), grads.output, grads.output_bias, N, E, I, threads);
    linear_backward(grad_wide.data(), tape.normed_2, grads.wide, grads.wide_bias, N, 4 * E, E, threads);
    behind_norm<S>(weights.forward_norm, weights.forward_norm_bias, weights.wide, grads.forward_norm,
                   grads.forward_norm_bias, grads.wide, grads.wide_bias, 4 * E, E);
    linear_backward(grad_outputs, tape.activated, grads.narrow, grads.narrow_bias, N, E, 4 * E, threads);
}
