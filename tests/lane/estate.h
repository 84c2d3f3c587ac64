/* One thing of every kind that ids name, for tests of what calls answer to which ids. */
#ifndef WEFT_TESTS_LANE_ESTATE_H
#define WEFT_TESTS_LANE_ESTATE_H

#include <weft/file.h>

#include "lane/world.h"
#include "net/cases.h"

/* By enum weft_id_kind; kinds that nothing makes have WEFT_NOID. The other end of the socket is `peer`. */
typedef struct estate {
    weft_id id[WEFT_ID_MONITOR + 1];
    weft_id peer, lane, self;
} estate;

static inline int estate_parks(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    return 0;
}

/* For the calling fiber's lane; all but the fiber and the lane, which parks detached, goes with it. */
static inline void estate_make(estate *e)
{
    weft_block block;
    weft_slice slice;
    weft_rope rope;

    memset(e, 0, sizeof *e);
    e->lane = weft_lane_self();
    e->self = weft_self();
    CHECK_OK(weft_spawn(&e->id[WEFT_ID_FIBER], estate_parks, NULL));
    CHECK_OK(weft_lane_spawn_with(&e->id[WEFT_ID_LANE], estate_parks, NULL, .name = "the child"));
    connect_pair(&e->id[WEFT_ID_SOCKET], &e->peer);
    CHECK_OK(weft_listen(&e->id[WEFT_ID_LISTENER], test_address(), NULL));
    CHECK_OK(weft_open(&e->id[WEFT_ID_FILE], "/proc/self/status", WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_open(&e->id[WEFT_ID_DIR], "/proc/self", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_OK(weft_timer_open(&e->id[WEFT_ID_TIMER]));
    CHECK_OK(weft_block_make(&block, 100, NULL));
    e->id[WEFT_ID_BLOCK] = block.id;
    CHECK_OK(weft_slice_copy(&slice, "shared", 6));
    e->id[WEFT_ID_SLICE] = slice.id;
    CHECK_OK(weft_rope_make(&rope));
    CHECK_OK(weft_rope_add_copy(rope, "roped", 5));
    e->id[WEFT_ID_ROPE] = rope.id;
    CHECK_OK(weft_alias_open(&e->id[WEFT_ID_ALIAS], 0));
    CHECK_OK(weft_monitor(e->id[WEFT_ID_LANE], &e->id[WEFT_ID_MONITOR]));
}

static inline int estate_has(unsigned kind)
{
    return kind && kind <= WEFT_ID_MONITOR && kind != WEFT_ID_WATCH && kind != WEFT_ID_POOL && kind != WEFT_ID_REMOTE_LANE;
}

#endif
