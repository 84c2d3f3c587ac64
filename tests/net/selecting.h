/* What the tests of selects share: a word that goes over, and a fiber's answer. */
#ifndef WEFT_TESTS_NET_SELECTING_H
#define WEFT_TESTS_NET_SELECTING_H

#include "cases.h"

static inline void joined(weft_id fiber, int expected)
{
    int r = 1;
    CHECK_OK(weft_join(fiber, &r, SOON));
    CHECK_EQ(r, expected);
}

static inline void say(weft_id sock, const char *text) { CHECK_OK(weft_write_all(sock, text, strlen(text), NULL, SOON)); }

static inline void hear(weft_id sock, const char *text)
{
    char buf[64];
    CHECK_OK(weft_read_all(sock, buf, strlen(text), NULL, SOON));
    CHECK(memcmp(buf, text, strlen(text)) == 0);
}

#endif
