/* Latencies, kept so that slices can be pooled later: below 64 ns exactly, above to 1/64. */
#include "load.h"
#include <string.h>

static unsigned bucket_of(uint64_t ns)
{
    if (ns < 64)
        return (unsigned)ns;
    unsigned magnitude = 63u - (unsigned)__builtin_clzll(ns) - 6; /* ns >> magnitude is 64..127 */
    unsigned b = 64 * magnitude + (unsigned)(ns >> magnitude);
    return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < 128)
        return bucket + (bucket >= 64);
    unsigned magnitude = bucket / 64 - 1;
    return ((uint64_t)(bucket % 64 + 64) + 1) << magnitude;
}

void histogram_clear(histogram *h) { memset(h, 0, sizeof *h); }
void histogram_add(histogram *h, int64_t ns) { h->count[bucket_of(ns > 0 ? (uint64_t)ns : 0)]++; }

void histogram_print(const histogram *h, FILE *out)
{
    const char *comma = "";
    fputc('[', out);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        if (h->count[b]) {
            fprintf(out, "%s[%llu,%llu]", comma, (unsigned long long)upper_edge(b), (unsigned long long)h->count[b]);
            comma = ",";
        }
    fputc(']', out);
}
