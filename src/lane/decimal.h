/* The decimal digits of a double, exactly: it is m * 2^e with integers, and is written out in base 10^9 by long
 * multiplication or division. So the digits are those of the number itself, and so is what it is rounded to. Pure; any
 * thread. */
#ifndef WEFT_LANE_DECIMAL_H
#define WEFT_LANE_DECIMAL_H

#include <float.h>
#include <stdint.h>

/* Groups of nine digits, most significant first. */
enum {
    /* in front of the point, and behind it at 9 bits a group or more */
    WEFT__DECIMAL_GROUPS = (DBL_MAX_10_EXP + 9) / 9 + (DBL_MANT_DIG - DBL_MIN_EXP) / 9 + 4,
    WEFT__DECIMAL_POINT = (DBL_MAX_10_EXP + 9) / 9 + 2 /* the first group behind the point */
};

typedef struct weft__decimal {
    uint32_t group[WEFT__DECIMAL_GROUPS + 40]; /* [POINT - 1] holds the units */
    int top, end;                              /* groups [top, end) are not all zero */
} weft__decimal;

/* Of a finite number; its sign is left out. */
void weft__decimal_make(weft__decimal *d, double v);
/* The digit whose weight is 10^place. */
unsigned weft__decimal_digit(const weft__decimal *d, int place);
/* The place of the first digit that is not zero; 0 for zero. */
int weft__decimal_first(const weft__decimal *d);
/* To nearest at 10^place, ties to even: everything behind it is gone. */
void weft__decimal_round(weft__decimal *d, int place);

#endif
