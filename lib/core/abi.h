/*
 * abi.h - hakmem_abi.h for C. The shared header itself carries no guard and no
 * include, since cffi reads it as it is. No state.
 */
#ifndef HAK_CORE_ABI_H
#define HAK_CORE_ABI_H

#include <stdint.h>

#pragma GCC visibility push(default)
#include "hakmem_abi.h"
#pragma GCC visibility pop

#endif
