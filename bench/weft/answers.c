/* See answers.h. */
#include "answers.h"
#include <weft/weft.h>

int answers(void *arg)
{
    (void)arg;
    for (;;) {
        weft_message *m;
        int r = weft_receive(&m, WEFT_NEVER);
        if (r < 0)
            return r;
        if (m->tag == 1)
            return weft_msg_free(m);
        r = weft_send_msg(m->from, m, NULL);
        if (r < 0)
            return r;
    }
}
