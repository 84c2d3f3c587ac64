/* The mutex and its hand-over: src/sync/mutex.c with the waiting of src/sync/wait.c. Names are those of the C code.
 * Each fiber is on a worker of its own. What is under the object's lock is one step where nobody can look at it without
 * the lock; `word` alone is changed by compare-and-swap without it, as long as SLOW is not set.
 *
 * Fibers lock, and unlock; a wait may end by a deadline (`withdraw`), and one fiber may be killed as it waits, whatever
 * it was given meanwhile. Checked: one owner at a time, who is the one that `word` names; everybody who neither gave up
 * nor died gets the mutex as often as he wants it; and in the end it is free.
 *
 *     -DFAIR           always handed over
 *     -DNO_SLOW        who queues does not send others through the lock first: an unlock without company passes him by
 *     -DNO_REFUSE      who is killed after he was served passes nothing on
 *     -DNO_SEEK        a killed competitor (RETRY) does not wake the next although the mutex is free
 *     -DSTEAL          the one that was woken to compete takes the mutex without a look */

#ifndef FIBERS
#define FIBERS 3
#endif
#ifndef TIMES
#define TIMES 1
#endif

#define SLOW 16
#define OWNER(w) ((w) & 15) /* fiber i is i + 1 */

mtype = { NONE, SERVED, RETRY };

byte word;                 /* m->word */
bool spin;                 /* m->lock */
byte queue[FIBERS], n;     /* m->queue, first at [0]; fiber i is i + 1 */
bool demands[FIBERS];      /* node->flags */
mtype answer[FIBERS] = NONE;
bool done[FIBERS];         /* wt->done */
byte inside;               /* who has it */
bool killed[FIBERS];
byte ended, taken;

#define LOCK(l) atomic { !l -> l = true }
#define UNLOCK(l) l = false

/* weft__queue_remove */
inline out(f, k, there)
{
    d_step {
        k = 0; there = false;
        do
        :: k < n && !there && queue[k] != f + 1 -> k++
        :: k < n && !there && queue[k] == f + 1 -> there = true
        :: k + 1 < n && there -> queue[k] = queue[k + 1]; k++
        :: else -> break
        od;
        if :: there -> n--; queue[n] = 0 :: else fi;
        k = 0
    }
}

inline push(f, k)
{
    d_step {
        if
        :: demands[f] -> /* weft__queue_push_front */
            k = n;
            do
            :: k > 0 -> queue[k] = queue[k - 1]; k--
            :: else -> break
            od;
            queue[0] = f + 1
        :: else -> queue[n] = f + 1
        fi;
        n++; k = 0
    }
}

/* slow_down: from here on every change is made under the lock, which we have */
inline slow_down()
{
#ifdef NO_SLOW
    skip
#else
    atomic { if :: !(word & SLOW) -> word = word | SLOW :: else fi } /* the loop of compare-and-swaps */
#endif
}

/* set_word */
inline set_word(owner)
{
    d_step { if :: n > 0 -> word = (owner) | SLOW :: else -> word = owner fi }
}

/* pass: `told` is to be told after the lock is released, with its answer */
inline pass(told)
{
    told = queue[0];
    if
    :: told > 0 ->
        d_step { /* weft__node_claim: out of the queue */
            n--;
            queue[0] = queue[1]; queue[1] = (FIBERS > 2 -> queue[2] : 0); queue[FIBERS - 1] = 0
        };
        if
#ifdef FAIR
        :: true -> answer[told - 1] = SERVED; set_word(told)
#else
        :: demands[told - 1] -> answer[told - 1] = SERVED; set_word(told)
        :: !demands[told - 1] -> answer[told - 1] = RETRY; set_word(0)
#endif
        fi
    :: else -> set_word(0)
    fi
}

/* weft__news_tell */
inline tell(told)
{
    if
    :: told > 0 -> done[told - 1] = true
    :: else
    fi;
    told = 0
}

/* refuse: it was killed after it had been served */
inline refuse(f, told)
{
#ifndef NO_REFUSE
    LOCK(spin);
    if
    :: answer[f] == SERVED -> pass(told)
    :: answer[f] == RETRY ->
#ifndef NO_SEEK
        slow_down();
        if
        :: OWNER(word) == 0 -> pass(told)
        :: else
        fi
#else
        skip
#endif
    fi;
    UNLOCK(spin);
    tell(told)
#else
    skip
#endif
}

inline unlock(f, told, swapped)
{
    atomic { swapped = (word == f + 1); if :: swapped -> word = 0 :: else fi };
    if
    :: swapped -> swapped = false
    :: else ->
        LOCK(spin);
        pass(told);
        UNLOCK(spin);
        tell(told)
    fi
}

proctype fiber(byte f)
{
    byte times, k, told;
    bool swapped, there, got;

    do
    :: times == TIMES -> break
    :: else ->
        times++;
        got = false;
        demands[f] = false;
        /* lock_fast */
        atomic { swapped = (word == 0); if :: swapped -> word = f + 1 :: else fi };
        if
        :: swapped -> swapped = false; got = true
        :: else
        fi;
        /* lock_slowly */
        do
        :: got -> break
        :: else ->
            LOCK(spin);
            slow_down();
            if
            :: OWNER(word) == 0 -> set_word(f + 1); got = true /* ready, take */
            :: else -> answer[f] = NONE; done[f] = false; push(f, k)
            fi;
            UNLOCK(spin);
            if
            :: got -> break
            :: else
            fi;
            /* weft__fiber_waits */
            if
            :: done[f]
            :: true -> /* the deadline, or a kill (fiber 0 only): weft__waiter_give_up */
                if
                :: f == 0 -> killed[f] = true
                :: true
                fi;
                LOCK(spin);
                out(f, k, there);
                UNLOCK(spin);
                if
                :: there -> there = false; break /* it stands in no queue any more, and has nothing */
                :: else -> done[f] /* it was claimed before: it goes on, or passes on what it has */
                fi;
                if
                :: killed[f] -> refuse(f, told); break
                :: else
                fi
            fi;
            if
            :: answer[f] == SERVED -> got = true
            :: answer[f] == RETRY ->
                demands[f] = true;
#ifdef STEAL
                word = f + 1; got = true
#endif
            fi
        od;
        if
        :: got ->
            assert(inside == 0);
            inside = f + 1;
            assert(OWNER(word) == f + 1);
            taken++;
            inside = 0;
            unlock(f, told, swapped)
        :: else
        fi;
        if
        :: killed[f] -> break
        :: else
        fi
    od;
    ended++
}

init {
    byte i;
    atomic { for (i : 0 .. FIBERS - 1) { run fiber(i) } }
    timeout;
    assert(ended == FIBERS); /* nobody waits for what nobody has */
    assert(word == 0 && n == 0)
}
