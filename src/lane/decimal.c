/* The decimal digits of doubles: decimal.h says how. Pure; any thread. */
#include "lane/decimal.h"

#include <string.h>

enum { BILLION = 1000000000, POINT = WEFT__DECIMAL_POINT };

static void times_two(weft__decimal *d, int shift)
{
    while (shift > 0) {
        int s = shift < 29 ? shift : 29;
        uint32_t carry = 0;
        for (int i = POINT - 1; i >= d->top; i--) {
            uint64_t v = ((uint64_t)d->group[i] << s) + carry;
            d->group[i] = (uint32_t)(v % BILLION);
            carry = (uint32_t)(v / BILLION);
        }
        if (carry)
            d->group[--d->top] = carry;
        shift -= s;
    }
}

/* 10^9 is divisible by 2^9, so each step adds at most one group behind. */
static void half(weft__decimal *d, int shift)
{
    while (shift > 0) {
        int s = shift < 9 ? shift : 9;
        uint32_t carry = 0, mask = (1u << s) - 1;
        for (int i = d->top; i < d->end; i++) {
            uint32_t rest = d->group[i] & mask;
            d->group[i] = (d->group[i] >> s) + carry;
            carry = ((uint32_t)BILLION >> s) * rest;
        }
        if (carry)
            d->group[d->end++] = carry;
        while (d->top < d->end && d->top < POINT - 1 && !d->group[d->top])
            d->top++;
        shift -= s;
    }
}

void weft__decimal_make(weft__decimal *d, double v)
{
    union { double d; uint64_t u; } bits = {v};
    uint64_t mantissa = bits.u & (((uint64_t)1 << 52) - 1);
    int exponent = (int)(bits.u >> 52 & 0x7ff);
    memset(d, 0, sizeof *d);
    if (exponent)
        mantissa |= (uint64_t)1 << 52;
    else
        exponent = 1;
    exponent -= 1075;
    d->top = POINT - 2;
    d->end = POINT;
    d->group[POINT - 1] = (uint32_t)(mantissa % BILLION);
    d->group[POINT - 2] = (uint32_t)(mantissa / BILLION);
    if (exponent > 0)
        times_two(d, exponent);
    else
        half(d, -exponent);
    while (d->top < POINT - 1 && !d->group[d->top])
        d->top++;
}

static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

unsigned weft__decimal_digit(const weft__decimal *d, int place)
{
    int group = place >= 0 ? POINT - 1 - place / 9 : POINT + (-place - 1) / 9;
    int in = place >= 0 ? place % 9 : 8 - (-place - 1) % 9;
    if (group < d->top || group >= d->end)
        return 0;
    return d->group[group] / tens[in] % 10;
}

int weft__decimal_first(const weft__decimal *d)
{
    for (int i = d->top; i < d->end; i++)
        if (d->group[i]) {
            int in = 8;
            while (!(d->group[i] / tens[in]))
                in--;
            return (POINT - 1 - i) * 9 + in;
        }
    return 0;
}

/* Is anything behind this place not zero? */
static int rest_behind(const weft__decimal *d, int place)
{
    int group = place > 0 ? POINT - 1 - (place - 1) / 9 : POINT + -place / 9;
    int in = place > 0 ? (place - 1) % 9 : 8 - -place % 9;
    for (int i = group < d->top ? d->top : group; i < d->end; i++)
        if (i == group ? d->group[i] % tens[in + 1] : d->group[i])
            return 1;
    return 0;
}

void weft__decimal_round(weft__decimal *d, int place)
{
    unsigned next = weft__decimal_digit(d, place - 1);
    int up = next > 5 || (next == 5 && (rest_behind(d, place - 1) || weft__decimal_digit(d, place) % 2));
    int group = place >= 0 ? POINT - 1 - place / 9 : POINT + (-place - 1) / 9;
    int in = place >= 0 ? place % 9 : 8 - (-place - 1) % 9;
    /* Nor is it in front of `top`: nobody rounds in front of the first digit but at 10^0, where `top` ends. */
    if (group >= d->end)
        return;
    uint64_t v = d->group[group] / tens[in] * tens[in] + (up ? tens[in] : 0);
    d->end = group + 1 > POINT ? group + 1 : POINT;
    for (int i = group + 1; i < d->end; i++)
        d->group[i] = 0;
    while (v >= BILLION) {
        d->group[group--] = (uint32_t)(v - BILLION);
        v = (group >= d->top ? d->group[group] : 0) + 1;
        if (group < d->top)
            d->top = group;
    }
    d->group[group] = (uint32_t)v;
}
