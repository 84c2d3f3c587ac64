/* Ties between lanes: links, monitors, grants, names. */
#include "lane/estate.h"

void weft__names_bury(weft__lane *lane) { (void)lane; }

int weft__ties_watched(weft__lane *lane)
{
    (void)lane;
    return 0;
}

void weft__ties_end(weft__lane *lane, const weft_exit *why) { (void)lane, (void)why; }
