// The doors through which Python calls the kernels: plain C functions that take an array of pointers and an array of
// sizes, so that neither Python's nor PyTorch's headers are needed to compile.
#include <tuple>
#include <type_traits>
#include <utility>

#include "aaren.h"
#include "adam.h"
#include "average.h"
#include "gru.h"
#include "larnn.h"
#include "lstm.h"

// How many pointers a parameter stands for.
template <class Parameter>
constexpr long places = sizeof(Parameter) / sizeof(void*);

// Hands the pointers and the sizes to a kernel's parameters, each in its order. A structure takes as many pointers as
// it has members.
template <class... Parameters>
void call(void (*kernel)(Parameters...), void* const* pointers, const long* sizes) {
    auto take = [&](auto* parameter) {
        using Parameter = std::remove_pointer_t<decltype(parameter)>;
        if constexpr (std::is_pointer_v<Parameter>)
            return static_cast<Parameter>(*pointers++);
        else if constexpr (std::is_class_v<Parameter>)
            return *reinterpret_cast<const Parameter*>(std::exchange(pointers, pointers + places<Parameter>));
        else
            return static_cast<Parameter>(*sizes++);
    };
    // Braces, unlike a call, fix the order of evaluation.
    std::apply(kernel, std::tuple<Parameters...>{take(static_cast<Parameters*>(nullptr))...});
}

// How many pointers and sizes a kernel takes, so that Python can refuse to call it with others.
template <class... Parameters>
constexpr long count_pointers(void (*)(Parameters...)) {
    return ((std::is_integral_v<Parameters> ? 0 : places<Parameters>)+...);
}
template <class... Parameters>
constexpr long count_sizes(void (*)(Parameters...)) {
    return (std::is_integral_v<Parameters> + ...);
}

// One precision per library: SCALAR comes from the compiler's command line.
#define DOOR(name)                                                                                                \
    extern "C" void run_##name(void* const* pointers, const long* sizes) { call(name<SCALAR>, pointers, sizes); } \
    extern "C" long pointers_##name() { return count_pointers(name<SCALAR>); }                                    \
    extern "C" long sizes_##name() { return count_sizes(name<SCALAR>); }

DOOR(lstm_forward)
DOOR(lstm_backward)
DOOR(gru_forward)
DOOR(gru_backward)
DOOR(larnn_forward)
DOOR(larnn_backward)
DOOR(aaren_forward)
DOOR(aaren_backward)
DOOR(average_forward)
DOOR(average_backward)
DOOR(adam_step)
DOOR(clip_gradients)

// Numbers that aaren_forward writes for aaren_backward; sizes N, E, A and 0 or 1 for each of forget, clock, gate.
extern "C" long length_aaren_tape(const long* sizes) {
    return AarenTape<SCALAR>(nullptr, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]).length;
}
