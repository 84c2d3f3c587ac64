/* How fibers end that do not return: stopped, laid out, cleaned up after, buried (DESIGN rule 5). Home-worker code.
 *
 * A killed fiber is stopped where it waits and never runs again. Its stack stays until the lane has cleaned up,
 * because clean-ups and child lanes may point into it (crew->graves). If it deferred clean-ups or has fiber-local
 * values with destructors its record stays too, DEAD, and rises once more: with its own identity, on another stack,
 * to run those. */
#ifndef WEFT_FIBER_DEATH_H
#define WEFT_FIBER_DEATH_H

#include "fiber/fiber.h"

/* A deferred clean-up; from a slab. */
typedef struct weft__defer {
    weft__slab_head head;
    struct weft__defer *below;
    void (*fn)(void *arg);
    void *arg;
} weft__defer;

/* ---- defer.c ---- */
/* Runs them all, newest first; who calls has shielded the fiber. */
void weft__defers_run(weft__fiber *f);
/* The same for a fiber that has returned, shielded for a grace. */
void weft__defers_on_return(weft__fiber *f);

/* ---- death.c ---- */
/* Kill: at its next suspension, or now if it is suspended; a fiber that runs its clean-ups may do so until its grace is
 * over. */
void weft__fiber_kill(weft__fiber *f);
/* The same without regard to clean-ups. */
void weft__fiber_stop(weft__fiber *f);
/* Ends a fiber that was stopped and whose last op has ended, from the worker's own context. */
void weft__fiber_die(weft__fiber *f);
/* It was killed, and returned before it could be stopped: whether clean-ups are left for it to rise for. */
int weft__fiber_has_rites(const weft__fiber *f);
/* Lays such a fiber out; nothing stands on its stack any more. */
void weft__fiber_lay_out(weft__fiber *f);
/* Keeps the stack of a fiber of a killed crew. */
void weft__grave_add(weft__crew *crew, weft__stack *stack);

#endif
