/* Bad use is told (DESIGN rule 13): a table with empty needed slots is refused, and each of them is named. */
#include <stddef.h>

#include "lane/world.h"

static const struct {
    const char *name;
    size_t offset, size;
} env_slots[] = {
#define SLOT(s) {#s, offsetof(weft_env, s), sizeof ((weft_env *)0)->s}
    SLOT(now), SLOT(entropy), SLOT(page_size), SLOT(map), SLOT(unmap), SLOT(park), SLOT(unpark),
#undef SLOT
}, driver_slots[] = {
#define SLOT(s) {#s, offsetof(weft_port_driver, s), sizeof ((weft_port_driver *)0)->s}
    SLOT(open), SLOT(close), SLOT(submit), SLOT(cancel), SLOT(enter), SLOT(wake), SLOT(path),
#undef SLOT
};

static void refused(spy *s, const weft_options *opt, const char *slot)
{
    weft_runtime *rt = NULL;
    char quoted[64];

    snprintf(quoted, sizeof quoted, "`%s`", slot);
    CHECK_EQ(weft_start(&rt, opt), -EINVAL);
    CHECK(rt == NULL);
    SPY_SAYS(s, quoted);
    SPY_SAYS(s, "empty");
    CHECK_EQ(weft_init(opt), -EINVAL);
    CHECK(weft_current() == NULL);
    spy_close(s);
}

int main(void)
{
    static spy s;

    for (size_t i = 0; i < sizeof env_slots / sizeof *env_slots; i++) {
        weft_options opt = {.workers = 1, .env = spy_open(&s)};
        memset((char *)&s.env + env_slots[i].offset, 0, env_slots[i].size);
        refused(&s, &opt, env_slots[i].name);
    }
    for (size_t i = 0; i < sizeof driver_slots / sizeof *driver_slots; i++) {
        weft_port_driver driver = *weft_driver_epoll();
        weft_options opt = {.workers = 1, .env = spy_open(&s), .driver = &driver};
        memset((char *)&driver + driver_slots[i].offset, 0, driver_slots[i].size);
        refused(&s, &opt, driver_slots[i].name);
    }

    /* All of them at once, each is named. */
    weft_options opt = {.workers = 1, .env = spy_open(&s)};
    weft_runtime *rt = NULL;
    for (size_t i = 0; i < sizeof env_slots / sizeof *env_slots; i++)
        memset((char *)&s.env + env_slots[i].offset, 0, env_slots[i].size);
    CHECK_EQ(weft_start(&rt, &opt), -EINVAL);
    for (size_t i = 0; i < sizeof env_slots / sizeof *env_slots; i++)
        SPY_SAYS(&s, env_slots[i].name);
    spy_close(&s);

    /* Threads are needed for workers only. */
    opt.env = spy_open(&s);
    s.env.thread_start = NULL;
    CHECK_EQ(weft_start(&rt, &opt), -EINVAL);
    SPY_SAYS(&s, "thread_start");
    spy_close(&s);
    opt.env = spy_open(&s);
    opt.mode = WEFT_SHARED;
    s.env.thread_start = NULL;
    CHECK_OK(weft_init(&opt));
    CHECK_OK(weft_fini(WEFT_NEVER));
    spy_close(&s);

    opt.env = spy_open(&s);
    opt.port = "carrier pigeon";
    CHECK_EQ(weft_start(&rt, &opt), -ENOSYS);
    SPY_SAYS(&s, "carrier pigeon");
    spy_close(&s);
    return 0;
}
