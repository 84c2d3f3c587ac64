/* The leftist heap; see heap.h. Invariants: no child's key is less than its parent's; a left child's rank is at least
 * the right one's, so along right children there are at most log2(n + 1) nodes; the first has no `up`. */
#include "base/heap.h"

static uint32_t rank_of(const weft__heap_node *n) { return n ? n->rank : 0; }

/* Puts the children in their order. Whether the rank has changed: else all is well above, too. */
static int settle(weft__heap_node *n)
{
    if (rank_of(n->left) < rank_of(n->right)) {
        weft__heap_node *left = n->left;
        n->left = n->right;
        n->right = left;
    }
    uint32_t rank = rank_of(n->right) + 1;
    int changed = rank != n->rank;
    n->rank = rank;
    return changed;
}

/* One heap of two, by their first ones; NULL: empty. Down along the right children of both, and up again. */
static weft__heap_node *meld(weft__heap_node *a, weft__heap_node *b)
{
    weft__heap_node *first = NULL, *up = NULL, **at = &first;
    while (a && b) {
        weft__heap_node *n = b->key < a->key ? b : a;
        if (n == a)
            a = a->right;
        else
            b = b->right;
        *at = n;
        n->up = up;
        up = n;
        at = &n->right;
    }
    *at = a ? a : b;
    if (*at)
        (*at)->up = up;
    for (; up; up = up->up)
        settle(up); /* all of them: each has another right child than before */
    return first;
}

void weft__heap_join(weft__heap *h, weft__heap_node *n) { h->first = meld(h->first, n); }

void weft__heap_cut(weft__heap *h, weft__heap_node *n)
{
    weft__heap_node *up = n->up, *rest = meld(n->left, n->right);
    if (rest)
        rest->up = up;
    if (!up)
        h->first = rest;
    else if (up->left == n)
        up->left = rest;
    else
        up->right = rest;
    while (up && settle(up))
        up = up->up;
}

weft__heap_node *weft__heap_drain(weft__heap *h, unsigned *budget)
{
    weft__heap_node *n;
    for (; (n = h->first) && *budget; --*budget) {
        weft__heap_node *left = n->left;
        if (!left) {
            h->first = n->right;
            --*budget;
            return n;
        }
        n->left = left->right; /* a turn to the right: each node becomes a right child once, and stays one */
        left->right = n;
        h->first = left;
    }
    return NULL;
}
