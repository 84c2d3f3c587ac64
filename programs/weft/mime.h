/*
 * Content types by the ending of a file's name.
 */
#ifndef WEFT_PROGRAM_MIME_H
#define WEFT_PROGRAM_MIME_H

/* mime_type returns the content type for a path, never NULL; what is not known is "application/octet-stream". */
const char *mime_type(const char *path);

#endif
