/* Owns the event log: a hash over everything that was chosen or happened, and the same as text where a file was asked
 * for. It holds ordinals, numbers and names, never addresses, so that equal runs have equal logs in any process. */
#include <errno.h>
#include <string.h>

#include "sim/sim.h"

int weft__sim_log_open(sim *s)
{
    s->hash = UINT64_C(0x5765667453696d31);
    if (!s->opt.log)
        return 0;
    s->log = fopen(s->opt.log, "we");
    return s->log ? 0 : -errno;
}

void weft__sim_log_close(sim *s)
{
    if (s->log)
        fclose(s->log);
    s->log = NULL;
}

static void mix(sim *s, uint64_t word) { s->hash = sim_random_mix(s->hash ^ word) + UINT64_C(0x9e3779b97f4a7c15); }

static void mix_text(sim *s, const char *text)
{
    uint64_t word = 0;

    for (size_t i = 0; text[i]; i++)
        word = word * 31 + (unsigned char)text[i];
    mix(s, word);
}

void weft__sim_note(sim *s, const char *kind, const char *name, int64_t a, int64_t b)
{
    s->events++;
    mix(s, (uint64_t)s->now_ns);
    mix_text(s, kind);
    mix_text(s, name);
    mix(s, (uint64_t)a);
    mix(s, (uint64_t)b);
    if (s->log)
        fprintf(s->log, "%lld.%09lld t%d %s %s %lld %lld\n", (long long)(s->now_ns / WEFT_SECOND), (long long)(s->now_ns % WEFT_SECOND),
                s->running ? (int)s->running->ordinal : -1, kind, name, (long long)a, (long long)b);
}
