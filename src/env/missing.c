/* Owns the list of slots that an environment must fill. Pure; any thread. */
#include <string.h>
#include <weft/env.h>

static const struct needed {
    const char *name;
    size_t offset;
} needed[] = {
    {"now", offsetof(weft_env, now)},
    {"entropy", offsetof(weft_env, entropy)},
    {"page_size", offsetof(weft_env, page_size)},
    {"map", offsetof(weft_env, map)},
    {"unmap", offsetof(weft_env, unmap)},
    {"park", offsetof(weft_env, park)},
    {"unpark", offsetof(weft_env, unpark)},
};

static int slot_empty(const weft_env *env, size_t offset)
{
    static const unsigned char zero[sizeof(void (*)(void))];

    if (offset == offsetof(weft_env, page_size))
        return env->page_size == 0;
    return memcmp((const char *)env + offset, zero, sizeof zero) == 0;
}

/* thread_start and thread_join are not listed: only runtimes of more than one worker need them,
 * and who starts one looks. */
WEFT_API const char *weft_env_missing(const weft_env *env, const char *after)
{
    size_t i = 0;

    if (after) {
        while (i < sizeof needed / sizeof *needed && strcmp(needed[i].name, after) != 0)
            i++;
        i++;
    }
    for (; i < sizeof needed / sizeof *needed; i++) {
        if (slot_empty(env, needed[i].offset))
            return needed[i].name;
    }
    return NULL;
}
