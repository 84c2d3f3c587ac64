/*
 * A file to a client, however long it takes, as long as the client takes something.
 */
#ifndef SEND_FILE_H
#define SEND_FILE_H

#include <weft/weft.h>

/*
 * send_file sends n bytes of the file from offset on. 0; -ETIMEDOUT when nothing was taken for idle_ns; -ENODATA when
 * the file is shorter than that; else as weft_sendfile.
 */
int send_file(weft_id to, weft_id file, uint64_t offset, uint64_t n, int64_t idle_ns);

#endif
