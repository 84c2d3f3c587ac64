/* Selects over I/O, with every lane on the move wherever it waits for anything else. */
#include "selects.c"

__attribute__((constructor)) static void set_in_motion(void) { setenv("WEFT_SCATTER", "3", 1); }
