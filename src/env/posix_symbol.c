/* Owns the naming of code addresses for reports: "function+0x12 (file)". Any thread.
 *
 * dladdr finds the file and exported names; static functions are in the file's symbol table only, so that is mapped and
 * searched when it is there. Nothing is allocated from the heap. Not for signal handlers: dladdr takes the loader's
 * lock. Reports gather addresses in handlers and name them outside. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/posix.h"

#if defined(__ELF__)

#include <elf.h>
#include <link.h>

struct image {
    const char *base;
    size_t size;
};

static int map_file(const char *path, struct image *out)
{
    struct stat st;
    void *p = MAP_FAILED;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return 0;
    *out = (struct image){.base = p, .size = (size_t)st.st_size};
    return 1;
}

/* n records of `each` bytes at an offset, or NULL if the file does not hold them. */
static const void *part(const struct image *f, uint64_t offset, uint64_t n, size_t each)
{
    if (offset > f->size || n > (f->size - offset) / each || offset % 8 != 0)
        return NULL;
    return f->base + offset;
}

/* The function of the table that covers the address; its name is copied. Returns 1 and the offset into it. */
static int search_table(const struct image *f, const ElfW(Shdr) *symbols, const ElfW(Shdr) *strings, uintptr_t address, char *name,
                        size_t size, uintptr_t *into)
{
    const size_t n = symbols->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *s = part(f, symbols->sh_offset, n, sizeof *s);

    if (!s || strings->sh_offset > f->size || strings->sh_size > f->size - strings->sh_offset)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const size_t room = s[i].st_name < strings->sh_size ? strings->sh_size - s[i].st_name : 0;

        if ((s[i].st_info & 0xf) != STT_FUNC || address < s[i].st_value || address - s[i].st_value >= s[i].st_size || room == 0)
            continue;
        snprintf(name, size, "%.*s", (int)(room < size ? room : size), f->base + strings->sh_offset + s[i].st_name);
        *into = address - s[i].st_value;
        return 1;
    }
    return 0;
}

static int search_file(const struct image *f, uintptr_t address, char *name, size_t size, uintptr_t *into)
{
    const ElfW(Ehdr) *header = part(f, 0, 1, sizeof *header);
    const ElfW(Shdr) *section;

    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_shentsize != sizeof *section)
        return 0;
    section = part(f, header->e_shoff, header->e_shnum, sizeof *section);
    for (unsigned i = 0; section && i < header->e_shnum; i++)
        if (section[i].sh_type == SHT_SYMTAB && section[i].sh_link < header->e_shnum &&
            search_table(f, &section[i], &section[section[i].sh_link], address, name, size, into))
            return 1;
    return 0;
}

/* Addresses in the file are relative to where it was loaded, unless it is an executable of the fixed kind. */
static int in_symbol_table(const Dl_info *info, uintptr_t pc, char *name, size_t size, uintptr_t *into)
{
    const ElfW(Ehdr) *loaded = info->dli_fbase;
    struct image f;
    int found;

    if (!map_file(info->dli_fname, &f) && !map_file("/proc/self/exe", &f))
        return 0;
    found = search_file(&f, loaded->e_type == ET_EXEC ? pc : pc - (uintptr_t)info->dli_fbase, name, size, into);
    munmap((void *)(uintptr_t)f.base, f.size);
    return found;
}

#else

static int in_symbol_table(const Dl_info *info, uintptr_t pc, char *name, size_t size, uintptr_t *into)
{
    (void)info, (void)pc, (void)name, (void)size, (void)into;
    return 0;
}

#endif

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

size_t weft__posix_symbol(void *self, uintptr_t pc, char *buf, size_t size)
{
    char name[128];
    Dl_info info;
    uintptr_t into = 0;
    int n;

    (void)self;
    if (size == 0)
        return 0;
    if (dladdr((void *)pc, &info) == 0 || !info.dli_fname) {
        n = snprintf(buf, size, "0x%lx", (unsigned long)pc);
    } else {
        const char *file = last_part(info.dli_fname);

        if (in_symbol_table(&info, pc, name, sizeof name, &into)) {
            n = snprintf(buf, size, "%s+0x%lx (%s)", name, (unsigned long)into, file);
        } else if (info.dli_sname) {
            n = snprintf(buf, size, "%s+0x%lx (%s)", info.dli_sname, (unsigned long)(pc - (uintptr_t)info.dli_saddr), file);
        } else {
            n = snprintf(buf, size, "0x%lx (%s)", (unsigned long)(pc - (uintptr_t)info.dli_fbase), file);
        }
    }
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
