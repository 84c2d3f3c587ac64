/* An intrusive heap: what has the least key comes first. Everything is O(log n) at worst, looking at the first O(1),
 * and adding what becomes the first, or taking the first out while it has no more than one child, touches two nodes.
 * Not thread-safe.
 *
 * It is leftist (Crane; Knuth, volume 3, 5.2.3): of a node's two children the one from which fewer steps lead to where
 * a child is missing is the right one, so right edges make short paths, and what has to be joined is joined along
 * them. */
#ifndef WEFT_BASE_HEAP_H
#define WEFT_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct weft__heap_node {
    struct weft__heap_node *left, *right, *up;
    int64_t key;
    uint32_t rank; /* 1 + the right child's; one that is missing has 0 */
} weft__heap_node;

typedef struct weft__heap {
    weft__heap_node *first; /* all zero is empty */
} weft__heap;

/* Of a heap that is not empty. */
void weft__heap_join(weft__heap *h, weft__heap_node *n);
void weft__heap_cut(weft__heap *h, weft__heap_node *n);

/* n is in no heap. Of several with the same key none is sure to come before another. */
static inline void weft__heap_add(weft__heap *h, weft__heap_node *n, int64_t key)
{
    n->left = n->right = n->up = NULL;
    n->key = key;
    n->rank = 1;
    if (h->first)
        weft__heap_join(h, n);
    else
        h->first = n;
}

/* n is in h. */
static inline void weft__heap_remove(weft__heap *h, weft__heap_node *n)
{
    if (h->first == n && !n->left)
        h->first = NULL;
    else
        weft__heap_cut(h, n);
}

/* Takes the heap apart, whatever the order, for at most *budget steps of a few instructions each: a node that is not in
 * it any more, or NULL, when it is empty or the budget is used up. There are less than two steps a node. Once begun,
 * nothing else may be done with the heap before it is empty. */
weft__heap_node *weft__heap_drain(weft__heap *h, unsigned *budget);

#endif
