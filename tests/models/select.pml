/* Select: one wait, never two locks (src/sync/select.c, src/sync/wait.h). Two fibers select over two channels without a
 * buffer, each sending on one and receiving on the other, in opposite directions; a third may come with a plain receive
 * or send, or a select may give up at its deadline. Names are those of the C code. The order in a queue does not matter
 * here: whoever stands in it may be served.
 *
 * A node is fiber * 2 + case. Every wait has a word `claim`; who has something for a waiter takes its node out of the
 * queue, under the object's lock, and then must win the word. Nobody ever holds two locks.
 *
 * Checked: what was sent was received, once; a select has one result; who returns stands in no queue; two selects that
 * could meet do (they may have to begin anew, and there is no bound on that; so nothing is said about time).
 *
 *     -DTHIRD=1, 2     a third fiber that receives from the first channel, sends on it
 *     -DDEADLINES      waits may end by themselves
 *     -DNO_SECOND_LOOK a case is queued without another look at its object: both wait for ever
 *     -DNO_SELF_CLAIM  a case that is found ready while queueing is taken without claiming oneself first:
 *                      one fiber does two things
 *     -DNO_UNLINK      losers stay in their queues */

#ifdef THIRD
#define FIBERS 3
#define LAST 4
#else
#define FIBERS 2
#define LAST 3
#endif
#define NODES (2 * FIBERS)
#define GONE 3

bool lock[2];            /* of the channels */
bool queued[NODES];      /* node->queue */
byte claim[FIBERS];      /* wt->claim: 0, 1 + the case, GONE */
bool done[FIBERS];       /* wt->done */
byte sent[2], received[2];
byte results[FIBERS];
byte ended;

#define LOCK(c) atomic { !lock[c] -> lock[c] = true }
#define UNLOCK(c) lock[c] = false
/* Fiber 0 sends on 0 and receives from 1, fiber 1 the other way round; fiber 2 has one case, on channel 0. */
#define CHANNEL(f, i) (((f) < 2) * (i))
#ifdef THIRD
#define SENDS(f, i) (((f) == 2 && THIRD == 2) || ((f) < 2 && (f) == (i)))
#else
#define SENDS(f, i) ((f) == (i))
#endif
#define CASES(f) ((f) == 2 -> 1 : 2)
#define NODE(f, i) ((f) * 2 + (i))
/* Whether node k stands on the other side of case i of fiber f. */
#define MEETS(k, f, i) (queued[k] && (k) / 2 != (f) && CHANNEL((k) / 2, (k) % 2) == CHANNEL(f, i) && SENDS((k) / 2, (k) % 2) != SENDS(f, i))

inline count(f, i)
{
    d_step {
        if
        :: SENDS(f, i) -> sent[CHANNEL(f, i)]++
        :: else -> received[CHANNEL(f, i)]++
        fi
    }
}

/* kind->ready: somebody stands on the other side */
inline ready(f, i, yes)
{
    d_step { yes = MEETS(0, f, i) || MEETS(1, f, i) || MEETS(2, f, i) || MEETS(3, f, i) || MEETS(LAST, f, i) }
}

/* kind->take: serves those on the other side in turn until one could be claimed.
 * A plain wait (one node) is claimed by being taken out. */
inline take(f, i, yes, other)
{
    yes = false;
    do
    :: yes -> break
    :: else ->
        if
        :: MEETS(0, f, i) -> other = 0
        :: MEETS(1, f, i) -> other = 1
        :: MEETS(2, f, i) -> other = 2
        :: MEETS(3, f, i) -> other = 3
#ifdef THIRD
        :: MEETS(4, f, i) -> other = 4
#endif
        :: else -> break
        fi;
        /* weft__node_claim */
        queued[other] = false;
        atomic { yes = (claim[other / 2] == 0); if :: yes -> claim[other / 2] = other % 2 + 1 :: else fi };
        if
        :: yes ->
            count(other / 2, other % 2); /* the item is copied */
            count(f, i)
        :: else
        fi
    od
}

/* weft__waiter_unlink */
inline unlink(f, but, j)
{
#ifndef NO_UNLINK
    j = 0;
    do
    :: j < CASES(f) ->
        if
        :: j != but -> LOCK(CHANNEL(f, j)); queued[NODE(f, j)] = false; UNLOCK(CHANNEL(f, j))
        :: else
        fi;
        j++
    :: else -> break
    od;
    j = 0
#else
    skip
#endif
}

inline finish(f, i)
{
    results[f]++;
    won = i;
    goto over
}

proctype fiber(byte f)
{
    byte i, j, k, other, won = 9;
    bool yes, turned;

again: /* round_of: the order is drawn */
    claim[f] = 0;
    done[f] = false;
    if
    :: turned = false
    :: turned = true
    fi;
    /* Each case is tried, with no node queued. */
    k = 0;
    do
    :: k < CASES(f) ->
        i = (turned && CASES(f) == 2 -> 1 - k : k);
        LOCK(CHANNEL(f, i));
        ready(f, i, yes);
        if
        :: yes -> take(f, i, yes, other)
        :: else
        fi;
        UNLOCK(CHANNEL(f, i));
        if
        :: yes -> done[other / 2] = true; finish(f, i)
        :: else
        fi;
        k++
    :: else -> break
    od;
    /* Then each is queued, after another look under the same hold of its lock. */
    k = 0;
    do
    :: k < CASES(f) ->
        i = (turned && CASES(f) == 2 -> 1 - k : k);
        LOCK(CHANNEL(f, i));
        ready(f, i, yes);
#ifdef NO_SECOND_LOOK
        yes = false;
#endif
        if
        :: !yes -> queued[NODE(f, i)] = true; UNLOCK(CHANNEL(f, i))
        :: else ->
#ifndef NO_SELF_CLAIM
            /* weft__waiter_claim_self: another object may have claimed us since our node was queued there */
            atomic { yes = (claim[f] == 0); if :: yes -> claim[f] = i + 1 :: else fi };
#endif
            if
            :: !yes -> UNLOCK(CHANNEL(f, i)); break /* -EALREADY */
            :: else
            fi;
            take(f, i, yes, other);
            UNLOCK(CHANNEL(f, i));
            if
            :: yes -> done[other / 2] = true; unlink(f, i, j); finish(f, i)
            :: else -> unlink(f, i, j); goto again /* who stood there was claimed by a third */
            fi
        fi;
        k++
    :: else -> break
    od;
    /* weft__waiter_wait */
    if
    :: done[f]
#ifdef DEADLINES
    :: true -> /* weft__waiter_withdraw */
        if
        :: CASES(f) == 1 -> /* one node is claimed by being taken out */
            LOCK(CHANNEL(f, 0));
            yes = queued[NODE(f, 0)];
            queued[NODE(f, 0)] = false;
            UNLOCK(CHANNEL(f, 0))
        :: else ->
            atomic { yes = (claim[f] == 0); if :: yes -> claim[f] = GONE :: else fi };
            if
            :: yes -> unlink(f, 9, j)
            :: else
            fi
        fi;
        if
        :: yes -> goto over
        :: else -> done[f]
        fi
#endif
    fi;
    results[f]++;
    won = claim[f] - 1;
    unlink(f, won, j);
over:
    assert(!queued[NODE(f, 0)] && !queued[NODE(f, 1)]);
    assert(results[f] <= 1);
    ended++
}

init {
    byte i;
    atomic { for (i : 0 .. FIBERS - 1) { run fiber(i) } }
    timeout;
    assert(sent[0] == received[0] && sent[1] == received[1]);
    assert(sent[0] + sent[1] + received[0] + received[1] == results[0] + results[1] + (FIBERS > 2 -> results[FIBERS - 1] : 0));
#ifndef DEADLINES
    assert(ended >= 2); /* two have met; of three, one is left over */
    assert(FIBERS > 2 || ended == 2)
#endif
}
