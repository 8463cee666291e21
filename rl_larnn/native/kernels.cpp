// The doors through which Python calls the kernels: plain C functions that take an array of pointers and an array of
// sizes, so that neither Python's nor PyTorch's headers are needed to compile.
#include <tuple>
#include <type_traits>

#include "aaren.h"
#include "adam.h"
#include "average.h"
#include "gru.h"
#include "larnn.h"
#include "lstm.h"

// Hands the pointers and the sizes to a kernel's parameters, each in its order.
template <class... Parameters>
void call(void (*kernel)(Parameters...), void* const* pointers, const long* sizes) {
    auto take = [&](auto* parameter) {
        using Parameter = std::remove_pointer_t<decltype(parameter)>;
        if constexpr (std::is_pointer_v<Parameter>)
            return static_cast<Parameter>(*pointers++);
        else
            return static_cast<Parameter>(*sizes++);
    };
    // Braces, unlike a call, fix the order of evaluation.
    std::apply(kernel, std::tuple<Parameters...>{take(static_cast<Parameters*>(nullptr))...});
}

// How many pointers and sizes a kernel takes, so that Python can refuse to call it with others.
template <class... Parameters>
constexpr long count(void (*)(Parameters...), bool pointers) {
    return ((std::is_pointer_v<Parameters> == pointers) + ...);
}

// One precision per library: SCALAR comes from the compiler's command line.
#define DOOR(name)                                                                                                \
    extern "C" void run_##name(void* const* pointers, const long* sizes) { call(name<SCALAR>, pointers, sizes); } \
    extern "C" long pointers_##name() { return count(name<SCALAR>, true); }                                       \
    extern "C" long sizes_##name() { return count(name<SCALAR>, false); }

DOOR(lstm_forward)
DOOR(lstm_backward)
DOOR(gru_forward)
DOOR(gru_backward)
DOOR(larnn_forward)
DOOR(larnn_backward)
DOOR(aaren_fold_forward)
DOOR(aaren_fold_backward)
DOOR(aaren_forward)
DOOR(aaren_backward)
DOOR(average_forward)
DOOR(average_backward)
DOOR(adam_step)
DOOR(clip_gradients)
