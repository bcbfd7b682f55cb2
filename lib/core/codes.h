/*
 * codes.h - the codes table as C enumerators: HAK_STAGE_EMPTY_LIST and so on.
 * Pure; no state.
 */
#ifndef HAK_CODES_H
#define HAK_CODES_H

enum hak_code {
#define HAK_CODE(group, id, value, text, meaning) HAK_##group##_##id = value,
#include "tables/codes.def"
#undef HAK_CODE
};

#endif
