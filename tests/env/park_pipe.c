/* The same for systems without futexes: the other half of posix_park.c, compiled here in place of the library's. */
#include "park.c"
