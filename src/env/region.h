/* One mapping for the small pieces of a runtime: src/env/region.c. */
#ifndef WEFT_ENV_REGION_H
#define WEFT_ENV_REGION_H

#include <weft/env.h>

/* Gives a copy of the POSIX table a region out of which it serves small pieces;
 * where there is no room for one, the copy stays as it is. */
void weft__region_open(weft_env *env);
/* What is unmapped from now on goes when the region is closed. For this one and the next:
 * a table without a region is left alone. */
void weft__region_ending(const weft_env *env);
/* All pieces are gone with it. */
void weft__region_close(const weft_env *env);

#endif
