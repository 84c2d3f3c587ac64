/* The same, in a build whose threads may lose the processor before any named atomic operation. */
#include "bursts.c"
