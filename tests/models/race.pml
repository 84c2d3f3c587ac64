/* Select with a case of I/O beside cases of objects (src/sync/select.c, select_home.c, src/fiber/race.c). One fiber
 * selects among a receive from a channel, an auto event and a POLL op, which lies in its frame. A sender puts an item,
 * a setter sets the event, the port completes the op whenever it likes and heeds the request for its end whenever it
 * likes; deadline, cancellation and a kill may come at any suspension. Names are those of the C code.
 *
 * Objects claim the waiter under their own lock; the end of an op is told at home only: the fiber is nudged, looks, and
 * claims itself. The home worker is one thread: the fiber, completions that have arrived, kills. Where the fiber is
 * suspended, those may happen; nowhere else.
 *
 * Checked: nobody ever holds two locks; who is through or dead stands in no queue, with no op under way and no request
 * (its frame may go); item and event are had once, by the select that says so, or are still there for others; a select
 * that was killed leaves what it was given to the next; one that was served says so. And it ends: whatever comes,
 * nothing is left waiting while something is there for it.
 *
 *     -DKILLS          the fiber may be killed while it is suspended
 *     -DDEADLINES      the wait may end by itself
 *     -DNO_END         the frame is left without waiting for the op's end
 *     -DNO_LOOK        the fiber is nudged by the op and does not look at it
 *     -DNO_CLAIM       what it finds at a look it takes without claiming itself
 *     -DNO_UNWAIT      killed while the op ends, it keeps what it was given
 *     -DNO_DETAIN      killed while the op is under way, it is laid out at once
 *     -DNO_UNLINK      losers stay in their queues
 *     -DTWO_LOCKS      the losers are unlinked with the winner's lock held */

#if defined(NO_UNWAIT) || defined(NO_DETAIN)
#define KILLS /* that is what they are about */
#endif

#define CHANNEL 0
#define EVENT 1
#define OP 2
#define NONE 9
#define GONE 8

bool lock[2];
byte held;               /* locks that the fiber holds */
bool queued[2];          /* nodes */
byte claim;              /* wt->claim: 0, 1 + case, GONE */
bool told;               /* wt->done */
bool item, set;          /* in the channel's buffer; the event is up */
byte sent, got, raised, passed, dead_got;
bool started, finished, requested, asked; /* the racer: an op, and a request for its end at its port */
bool suspended, ready_to_run, dead, framed; /* framed: the frame is there */
bool killed, unwait;     /* f->unwait: give_up, while set */
bool over, ended;        /* ended: the op has, by itself */
byte result;

#define LOCK(c) atomic { !lock[c] -> lock[c] = true }
#define UNLOCK(c) lock[c] = false
#define MINE(c) atomic { !lock[c] -> lock[c] = true; held++; assert(held == 1) }
#define YOURS(c) atomic { lock[c] = false; held-- }
#define BUSY (started && (!finished || requested))

/* ---- others ---- */

/* An item for whoever waits, or for the buffer. */
inline put(won)
{
    won = false;
    LOCK(CHANNEL);
    if
    :: queued[CHANNEL] ->
        queued[CHANNEL] = false; /* weft__node_claim */
        atomic { won = (claim == 0); if :: won -> claim = 1 + CHANNEL; assert(framed) :: else fi }
    :: else
    fi;
    if
    :: won -> got++
    :: else -> item = true
    fi;
    UNLOCK(CHANNEL)
}

inline raise(won)
{
    won = false;
    LOCK(EVENT);
    if
    :: queued[EVENT] ->
        queued[EVENT] = false;
        atomic { won = (claim == 0); if :: won -> claim = 1 + EVENT; assert(framed) :: else fi }
    :: else
    fi;
    if
    :: won -> passed++
    :: else -> set = true
    fi;
    UNLOCK(EVENT)
}

/* weft__news_tell: done, and a nudge that ends a suspension. */
#define TELL atomic { assert(framed); told = true; ready_to_run = true }

proctype sender()
{
    bool won;
    if
    :: true ->
        sent++;
        put(won);
        if
        :: won -> TELL
        :: else
        fi
    :: true /* none comes */
    fi
}

proctype setter()
{
    bool won;
    if
    :: true ->
        raised++;
        raise(won);
        if
        :: won -> TELL
        :: else
        fi
    :: true
    fi
}

/* The port's side of the op, and home's turn with what came of it: it writes into the frame. */
proctype port()
{
    bool quiet;
    if
    :: quiet = true /* nothing ever comes; it ends because it is asked to */
    :: quiet = false
    fi;
    do
    :: atomic { started && !finished && (asked || !quiet) -> assert(framed); finished = true; ended = ended || !asked; ready_to_run = true }
    /* Found, not found, already running: all the same. */
    :: atomic { requested -> assert(framed); requested = false; ready_to_run = true }
    :: over && !started && !requested -> break
    od
}

/* ---- the fiber ---- */

inline take_out(c, there)
{
    MINE(c);
    there = queued[c];
    queued[c] = false;
    YOURS(c)
}

/* weft__waiter_unlink */
inline unlink(but)
{
#ifndef NO_UNLINK
#ifdef TWO_LOCKS
    if
    :: but == CHANNEL -> MINE(CHANNEL)
    :: else
    fi;
#endif
    if
    :: but != CHANNEL -> take_out(CHANNEL, yes)
    :: else
    fi;
    if
    :: but != EVENT -> take_out(EVENT, yes)
    :: else
    fi
#else
    skip
#endif
}

/* What it was given goes to others: refuse. Nobody else waits in this model, so it is there again. */
inline refuse(c)
{
    MINE(c);
    if
    :: c == CHANNEL -> got--; item = true
    :: else -> passed--; set = true
    fi;
    YOURS(c)
}

/* weft__waiter_give_up of a killed fiber */
inline give_up_dead()
{
    atomic { yes = (claim == 0); if :: yes -> claim = GONE :: else fi };
    if
    :: yes -> unlink(NONE)
    :: else ->
        if
        :: claim == 1 + CHANNEL -> told; unlink(CHANNEL); refuse(CHANNEL)
        :: claim == 1 + EVENT -> told; unlink(EVENT); refuse(EVENT)
        :: else
        fi
    fi
}

/* weft__race_ask */
inline ask()
{
    if
    :: started && !finished && !asked -> asked = true; requested = true
    :: else
    fi
}

/* Suspended until something has made it ready, or it is killed. */
inline suspend()
{
    suspended = true;
    if
    :: ready_to_run -> ready_to_run = false
#ifdef KILLS
    :: killed = true; goto dying
#endif
    fi;
    suspended = false
}

/* queue_case */
inline queue_case(c, there)
{
    MINE(c);
    if
    :: there ->
        atomic { yes = (claim == 0); if :: yes -> claim = 1 + c :: else fi };
        if
        :: yes ->
            if
            :: c == CHANNEL -> item = false; got++
            :: else -> set = false; passed++
            fi;
            won = c
        :: else -> served = true /* -EALREADY */
        fi
    :: else -> queued[c] = true
    fi;
    YOURS(c)
}

proctype fiber()
{
    bool yes, served;
    byte won = NONE;
    /* queue_all */
    if
    :: queue_case(CHANNEL, item);
       if
       :: won == NONE && !served -> queue_case(EVENT, set)
       :: else
       fi
    :: queue_case(EVENT, set);
       if
       :: won == NONE && !served -> queue_case(CHANNEL, item)
       :: else
       fi
    fi;
    if
    :: won != NONE -> unlink(won); goto left
    :: else
    fi;
    if
    :: !served -> started = true /* weft__homes_start */
    :: else
    fi;
    /* weft__fiber_waits */
    unwait = true;
    do
    :: told -> break
    :: !told ->
#ifndef NO_LOOK
        if
        :: started && finished -> /* look: weft__waiter_claim_self */
#ifndef NO_CLAIM
            atomic { yes = (claim == 0); if :: yes -> claim = 1 + OP :: else fi };
#else
            yes = true;
            claim = 1 + OP;
#endif
            if
            :: yes -> won = OP; break
            :: else
            fi
        :: else
        fi;
#endif
        suspend()
#ifdef DEADLINES
    :: !told -> /* weft__waiter_withdraw */
        atomic { yes = (claim == 0); if :: yes -> claim = GONE :: else fi };
        if
        :: yes -> unlink(NONE); unwait = false; goto left
        :: else -> told
        fi
#endif
    od;
    unwait = false;
    if
    :: won == NONE -> won = claim - 1
    :: else
    fi;
    unlink(won);
left:
    /* weft__homes_leave, weft__race_end */
#ifndef NO_UNWAIT
    unwait = told;
#endif
#ifndef NO_END
    ask();
    do
    :: BUSY -> suspend()
    :: else -> break
    od;
#endif
    unwait = false;
    result = won;
    if
    :: won == CHANNEL -> assert(got == 1)
    :: won == EVENT -> assert(passed == 1)
    :: else -> assert(got == 0 && passed == 0)
    fi;
    goto gone;

dying: /* weft__fiber_die */
    if
    :: unwait -> unwait = false; give_up_dead()
    :: else
    fi;
    dead = true;
#ifndef NO_DETAIN
    ask();
    !BUSY;
#endif
    assert(got == 0 && passed == 0);

gone:
    atomic {
        assert(!queued[CHANNEL] && !queued[EVENT]);
        assert(!BUSY);
        framed = false;
        started = false;
        over = true
    }
}

init {
    atomic { framed = true; run fiber(); run sender(); run setter(); run port() };
    timeout;
    assert(over || (!sent && !raised && !ended));
    assert(sent == got + item);
    assert(raised == passed + set);
    assert(got + passed <= 1)
}
