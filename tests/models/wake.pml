/* Who is awake: src/sched/idle.c, the searching, sleeping and waking of workers. Names are those of the C code; each
 * step between two semicolons that touches a shared variable is one atomic operation there, and all of those are
 * sequentially consistent, as Promela is.
 *
 * What may move lies in `injected` (the shared queue) or in `deque[i]`; what a worker runs may queue
 * something more. Checked: `searching` never exceeds 1 (no herd), and nobody sleeps for ever while
 * something is queued (no lost wake-up).
 *
 *     -DNO_RECHECK     who goes to sleep does not look at the queues after setting its bit: work is lost
 *     -DHERD           a searcher is counted without compare-and-swap: two search at once */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TASKS
#define TASKS 2 /* in all; the first comes from outside */
#endif
#if WORKERS > 2 /* too many states: the look at all queues is one step then */
#define LOOK d_step
#else
#define LOOK
#endif

byte idle;                /* rt->idle: bit i: worker i sleeps and may be claimed */
byte searching;           /* rt->searching */
byte injected;            /* rt->injected */
byte deque[WORKERS];      /* bottom - top of each */
bool token[WORKERS];      /* the parker, or the port's wake */
byte left = TASKS;        /* that may yet be queued */
byte ran;

#define BIT(i) (1 << (i))

/* weft__any_work: one queue after the other */
inline any_work(yes, k)
{
    LOOK {
    yes = false;
    if
    :: injected > 0 -> yes = true
    :: else
    fi;
    k = 0;
    do
    :: !yes && k < WORKERS ->
        if
        :: deque[k] > 0 -> yes = true
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
    }
}

/* weft__notify */
inline notify(yes, seen, k)
{
    do
    :: seen = idle;
        if
        :: seen == 0 -> break
        :: else
        fi;
        if
        :: searching > 0 -> break
        :: else
        fi;
#ifdef HERD
        searching++; /* seen to be 0 a moment ago */
        assert(searching <= 1);
#else
        atomic { /* weft__cas_seq(&rt->searching, 0, 1) */
            if
            :: searching == 0 -> searching = 1; yes = true
            :: else -> yes = false
            fi
        };
        if
        :: !yes -> break
        :: else
        fi;
#endif
        yes = false;
        k = 0;
        do
        :: !yes && k < WORKERS ->
            if
            :: seen & BIT(k) ->
                atomic { /* weft__and_seq(&rt->idle, ~bit) & bit */
                    if
                    :: idle & BIT(k) -> idle = idle & ~BIT(k); yes = true
                    :: else
                    fi
                };
                if
                :: yes -> token[k] = true /* weft__worker_wake: wakes as the searcher we counted */
                :: else
                fi
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0;
        if
        :: yes -> yes = false; break
        :: else
        fi;
        searching--; /* all of them woke by themselves */
        any_work(yes, k);
        if
        :: !yes -> break
        :: else -> yes = false
        fi
    od;
    seen = 0;
    yes = false
}

/* weft__search_over: it found something and looks again for others, who may have relied on its count */
inline search_over(mine, yes, seen, k)
{
    mine = false;
    atomic { searching--; yes = (searching == 0) };
    if
    :: yes ->
        any_work(yes, k);
        if
        :: yes -> notify(yes, seen, k)
        :: else
        fi
    :: else
    fi;
    yes = false
}

/* A task runs: it may queue one more here (weft__worker_offer), or in the shared queue (weft__inject). */
inline execute(w, yes, seen, k)
{
    atomic { ran++; yes = left > 0; if :: yes -> left-- :: else fi };
    if
    :: yes ->
        yes = false;
        if
        :: atomic { yes = deque[w] == 0; deque[w]++ }; /* the first of an empty queue is not announced */
            if
            :: !yes -> notify(yes, seen, k)
            :: else -> yes = false
            fi
        :: injected++;
            notify(yes, seen, k)
        fi
    :: else
    fi
}

/* take_injected, then sweep: from the shared queue, or another's deque, onto the private FIFO (`got`) */
inline find(w, got, k)
{
    atomic { if :: injected > 0 -> injected--; got = true :: else fi };
    k = 0;
    do
    :: !got && k < WORKERS ->
        atomic { if :: k != w && deque[k] > 0 -> deque[k]--; got = true :: else fi };
        k++
    :: else -> break
    od;
    k = 0
}

/* weft__search */
inline search(w, mine, got, yes, seen, k)
{
    if
    :: !mine -> atomic { if :: searching == 0 -> searching = 1; mine = true :: else fi }
    :: else
    fi;
    if
    :: mine ->
        find(w, got, k);
        if
        :: got -> search_over(mine, yes, seen, k)
        :: else
        fi
    :: else
    fi
}

/* awake: takes back our bit. If somebody has claimed us meanwhile, we are the searcher it counted. */
inline awake(w, mine)
{
    atomic {
        if
        :: idle & BIT(w) -> idle = idle & ~BIT(w)
        :: else -> mine = true
        fi
    }
}

active [WORKERS] proctype worker()
{
    byte w = _pid, k, seen;
    bool mine, got, yes; /* mine: w->searching; got: something on the private FIFO */

tick:
    if
    :: mine && (got || deque[w] > 0) -> search_over(mine, yes, seen, k)
    :: else
    fi;
    do
    :: got -> got = false; execute(w, yes, seen, k)
    :: !got -> /* weft__deque_pop */
        atomic { if :: deque[w] > 0 -> deque[w]--; got = true :: else fi };
        if
        :: got
        :: else -> break
        fi
    od;
    search(w, mine, got, yes, seen, k);
    if
    :: got -> goto tick
    :: else
    fi;

    /* lie_down */
    idle = idle | BIT(w);
    if
    :: mine -> mine = false; searching--
    :: else
    fi;
#ifdef NO_RECHECK
    yes = false;
#else
    any_work(yes, k);
#endif
    if
    :: !yes -> /* sleep_now */
        atomic { token[w] -> token[w] = false };
        awake(w, mine)
    :: else ->
        yes = false;
        awake(w, mine);
        search(w, mine, got, yes, seen, k);
        if
        :: !got && mine -> /* claimed, or first, and yet others were quicker */
            mine = false;
            atomic { searching--; yes = (searching == 0) };
            if
            :: yes ->
                any_work(yes, k);
                if
                :: yes -> notify(yes, seen, k)
                :: else
                fi
            :: else
            fi;
            yes = false
        :: else
        fi
    fi;
    goto tick
}

/* weft__inject from a thread outside */
active proctype outside()
{
    byte k, seen;
    bool yes;

    left--;
    injected++;
    notify(yes, seen, k)
}

active proctype judge()
{
    timeout; /* nobody can move any more */
    assert(injected == 0);
    assert(deque[0] == 0 && deque[1] == 0 && deque[WORKERS - 1] == 0);
    assert(searching == 0 && ran == TASKS - left)
}
