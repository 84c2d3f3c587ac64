/* The table of namespaces. A new kind of id is a row here and a number in id.h;
 * its rights follow from the row. Constant. */
#include "lane/kind.h"

const weft__kind_row weft__kind_rows[WEFT__KINDS] = {
    [WEFT_ID_NONE] = {"none", WEFT__RIGHT_NONE, WEFT__IN_NOWHERE, 1},
    [WEFT_ID_FIBER] = {"fiber", WEFT__RIGHT_ADDRESS, WEFT__IN_FIBERS, 1},
    [WEFT_ID_LANE] = {"lane", WEFT__RIGHT_ADDRESS, WEFT__IN_LANES, 1},
    [WEFT_ID_SOCKET] = {"socket", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_LISTENER] = {"listener", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_FILE] = {"file", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_DIR] = {"directory", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_TIMER] = {"timer", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_WATCH] = {"watch", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_POOL] = {"pool", WEFT__RIGHT_RESOURCE, WEFT__IN_RESOURCES, 1},
    [WEFT_ID_REMOTE_LANE] = {"remote lane", WEFT__RIGHT_ADDRESS, WEFT__IN_NOWHERE, 0},
    [WEFT_ID_BLOCK] = {"block", WEFT__RIGHT_RESOURCE, WEFT__IN_HOLDINGS, 1},
    [WEFT_ID_SLICE] = {"slice", WEFT__RIGHT_RESOURCE, WEFT__IN_HOLDINGS, 1},
    [WEFT_ID_ROPE] = {"rope", WEFT__RIGHT_RESOURCE, WEFT__IN_HOLDINGS, 1},
    [WEFT_ID_ALIAS] = {"alias", WEFT__RIGHT_ADDRESS, WEFT__IN_ALIASES, 1},
    [WEFT_ID_MONITOR] = {"monitor", WEFT__RIGHT_ADDRESS, WEFT__IN_TIES, 1},
};

_Static_assert(WEFT__KINDS <= 1u << WEFT__KIND_BITS, "kinds fit into their bits of an id");

enum weft_id_kind weft_id_kind(weft_id id)
{
    unsigned kind = WEFT__NS_KIND(id.ns);
    return id.gen && kind < WEFT__KINDS ? (enum weft_id_kind)kind : WEFT_ID_NONE;
}

const char *weft_id_kind_name(weft_id id) { return weft__kind_rows[weft_id_kind(id)].name; }
