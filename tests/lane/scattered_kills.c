/* The storm of kills, with every lane on the move all the time, whatever it does. */
#include "kill_storm.c"

__attribute__((constructor)) static void set_in_motion(void) { setenv("WEFT_SCATTER", "3", 1); }
