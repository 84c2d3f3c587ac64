/* The same for systems without futexes: the other half of posix_park.c, compiled here in place of the library's. */
#include "arch/layout.h"

#if WEFT__TSAN

#include "test.h"

/* Two runs of 27 hung under ThreadSanitizer on a loaded machine: it may keep a signal back (docs/design/open.md). */
int main(void) { SKIP("the pipe form of park may hang under ThreadSanitizer"); }

#else

#include "park.c"

#endif
