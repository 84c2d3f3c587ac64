/* Calls into the environment for the layers above. Through the table in ordinary builds; with -Dbind=direct the
 * hot slots go straight to the POSIX functions, and `env` is not looked at: such a build serves no other
 * environment, the simulator included. */
#ifndef WEFT_ENV_BIND_H
#define WEFT_ENV_BIND_H

#include <weft/env.h>

#ifdef WEFT_BIND_DIRECT

#include "env/posix.h"

static inline int64_t weft__env_now(const weft_env *env)
{
    (void)env;
    return weft__posix_now(NULL);
}

static inline int weft__env_park(const weft_env *env, weft_parker *p, int64_t deadline_ns)
{
    (void)env;
    return weft__posix_park(NULL, p, deadline_ns);
}

static inline void weft__env_unpark(const weft_env *env, weft_parker *p)
{
    (void)env;
    weft__posix_unpark(NULL, p);
}

static inline void weft__env_relax(const weft_env *env)
{
    (void)env;
    weft__posix_relax(NULL);
}

#else

static inline int64_t weft__env_now(const weft_env *env) { return env->now(env->self); }

static inline int weft__env_park(const weft_env *env, weft_parker *p, int64_t deadline_ns)
{
    return env->park(env->self, p, deadline_ns);
}

static inline void weft__env_unpark(const weft_env *env, weft_parker *p) { env->unpark(env->self, p); }

static inline void weft__env_relax(const weft_env *env)
{
    if (env->relax)
        env->relax(env->self);
}

#endif

/* Slots off the hot paths: always through the table; what is NULL there does nothing. */
static inline void *weft__env_map(const weft_env *env, size_t bytes, size_t align) { return env->map(env->self, bytes, align); }
static inline void weft__env_unmap(const weft_env *env, void *p, size_t bytes) { env->unmap(env->self, p, bytes); }
static inline void weft__env_entropy(const weft_env *env, void *buf, size_t n) { env->entropy(env->self, buf, n); }

static inline void weft__env_discard(const weft_env *env, void *p, size_t bytes)
{
    if (env->discard)
        env->discard(env->self, p, bytes);
}

static inline void weft__env_log(const weft_env *env, enum weft_log_level level, const char *text, size_t n)
{
    if (env->log)
        env->log(env->self, level, text, n);
}

#endif
