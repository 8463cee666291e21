// Head widths known at compile time.
#pragma once

#include <type_traits>

// Calls work with the head width as a constant where it is a usual one, so that the loops over it unroll.
template <class Work>
void with_width(long D, Work work) {
    switch (D) {
        case 8: work(std::integral_constant<long, 8>()); break;
        case 16: work(std::integral_constant<long, 16>()); break;
        case 32: work(std::integral_constant<long, 32>()); break;
        default: work(D);
    }
}
