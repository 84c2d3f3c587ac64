/* Limits: what a lane has, and may have. Home-worker code. */
#include "lane/estate.h"

void weft__account_bury(weft__lane *lane) { (void)lane; }
