/*
 * The built-in page, made from page.html when weft is built.
 */
#ifndef WEFT_PROGRAM_PAGE_H
#define WEFT_PROGRAM_PAGE_H

#include <stddef.h>

extern const char page_html[];
extern const size_t page_html_len;

#endif
