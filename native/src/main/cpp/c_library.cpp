// Lets the library run with glibc 2.28 although it is linked with a later one. These functions have newer versions in later
// releases, or are missing in earlier ones. Defined here, hidden, they are found first by everything that is linked in, the
// static C++ library included, and call the oldest version. PackedLibraryTest tells when one is missing. Declared without the C
// library's headers, which differ from release to release; what nothing calls is not linked.

#include <cstddef>
#include <cstdint>

#include <elf.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define LLAMAFU_FIRST "GLIBC_2.2.5"
#define LLAMAFU_AFFINITY "GLIBC_2.3.4"
#define LLAMAFU_STAT 1
#else
#define LLAMAFU_FIRST "GLIBC_2.17"
#define LLAMAFU_AFFINITY "GLIBC_2.17"
#define LLAMAFU_STAT 0
#endif

// Declares old_NAME, the version of a function NAME.
#define LLAMAFU_OLD(result, name, parameters, version)                                                                      \
    result old_##name parameters;                                                                                           \
    __asm__(".symver old_" #name "," #name "@" version);

// A function that calls its old version.
#define LLAMAFU_AS_BEFORE(result, name, parameters, arguments, version)                                                     \
    LLAMAFU_OLD(result, name, parameters, version)                                                                          \
    result name parameters { return old_##name arguments; }

extern "C" {

long syscall(long number, ...);
int getentropy(void * buffer, size_t bytes);

// Errors of a domain are now reported without a hook of System V.
LLAMAFU_AS_BEFORE(double, exp, (double x), (x), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(double, log, (double x), (x), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(double, log2, (double x), (x), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(double, pow, (double x, double y), (x, y), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(double, fmod, (double x, double y), (x, y), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(float, fmodf, (float x, float y), (x, y), LLAMAFU_FIRST)

// Moved into the C library itself.
LLAMAFU_AS_BEFORE(void *, dlopen, (const char * file, int mode), (file, mode), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(void *, dlsym, (void * library, const char * name), (library, name), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, dlclose, (void * library), (library), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(char *, dlerror, (), (), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_create, (void * thread, const void * attributes, void * (*main)(void *), void * argument),
    (thread, attributes, main, argument), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_join, (unsigned long thread, void ** result), (thread, result), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_detach, (unsigned long thread), (thread), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_once, (int * once, void (*function)()), (once, function), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, __pthread_key_create, (unsigned * key, void (*end)(void *)), (key, end), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_attr_setstacksize, (void * attributes, size_t bytes), (attributes, bytes), LLAMAFU_FIRST)
LLAMAFU_AS_BEFORE(int, pthread_getaffinity_np, (unsigned long thread, size_t bytes, void * cpus), (thread, bytes, cpus),
    LLAMAFU_AFFINITY)
LLAMAFU_AS_BEFORE(int, pthread_setaffinity_np, (unsigned long thread, size_t bytes, const void * cpus), (thread, bytes, cpus),
    LLAMAFU_AFFINITY)

// Were functions of the header.
LLAMAFU_OLD(int, __xstat, (int version, const char * path, void * result), LLAMAFU_FIRST)
LLAMAFU_OLD(int, __fxstat, (int version, int file, void * result), LLAMAFU_FIRST)
LLAMAFU_OLD(int, __lxstat, (int version, const char * path, void * result), LLAMAFU_FIRST)
int stat(const char * path, void * result) { return old___xstat(LLAMAFU_STAT, path, result); }
int fstat(int file, void * result) { return old___fxstat(LLAMAFU_STAT, file, result); }
int lstat(const char * path, void * result) { return old___lxstat(LLAMAFU_STAT, path, result); }

// Have another name for C23, which accepts binary numbers.
LLAMAFU_OLD(long, strtol, (const char * text, char ** end, int base), LLAMAFU_FIRST)
LLAMAFU_OLD(long long, strtoll, (const char * text, char ** end, int base), LLAMAFU_FIRST)
LLAMAFU_OLD(unsigned long, strtoul, (const char * text, char ** end, int base), LLAMAFU_FIRST)
LLAMAFU_OLD(unsigned long long, strtoull, (const char * text, char ** end, int base), LLAMAFU_FIRST)
long __isoc23_strtol(const char * text, char ** end, int base) { return old_strtol(text, end, base); }
long long __isoc23_strtoll(const char * text, char ** end, int base) { return old_strtoll(text, end, base); }
unsigned long __isoc23_strtoul(const char * text, char ** end, int base) { return old_strtoul(text, end, base); }
unsigned long long __isoc23_strtoull(const char * text, char ** end, int base) { return old_strtoull(text, end, base); }

// Did not exist.
char __libc_single_threaded = 0; // the JVM has threads

int getcpu(unsigned * cpu, unsigned * node) {
    return static_cast<int>(syscall(SYS_getcpu, cpu, node, nullptr));
}

uint32_t arc4random() {
    uint32_t bits = 0;
    if (getentropy(&bits, sizeof(bits)) != 0) {
        __builtin_trap(); // the kernel always has four bytes
    }
    return bits;
}

/// The beginning of dl_phdr_info.
struct LoadedObject {
    Elf64_Addr base;
    const char * name;
    const Elf64_Phdr * segments;
    Elf64_Half count;
};

/// dl_find_object, by which the unwinder finds the code that an address belongs to.
struct FoundObject {
    unsigned long long flags;
    void * start;
    void * end;
    void * link_map;
    void * eh_frame;
    unsigned long long reserved[7];
};

int dl_iterate_phdr(int (*visit)(LoadedObject *, size_t, void *), void * data);

int _dl_find_object(void * address, FoundObject * result) {
    struct Search {
        uintptr_t address;
        FoundObject * result;
    } search { reinterpret_cast<uintptr_t>(address), result };
    const auto visit = [](LoadedObject * object, size_t, void * data) {
        const Search & search = *static_cast<const Search *>(data);
        bool found = false;
        void * eh_frame = nullptr;
        for (int i = 0; i < object->count; ++i) {
            const Elf64_Phdr & segment = object->segments[i];
            const uintptr_t start = object->base + segment.p_vaddr;
            if (segment.p_type == PT_GNU_EH_FRAME) {
                eh_frame = reinterpret_cast<void *>(start);
            } else if (segment.p_type == PT_LOAD && search.address - start < segment.p_memsz) {
                found = true;
                *search.result = { 0, reinterpret_cast<void *>(start), reinterpret_cast<void *>(start + segment.p_memsz), nullptr, nullptr, {} };
            }
        }
        if (!found || eh_frame == nullptr) {
            return 0;
        }
        search.result->eh_frame = eh_frame;
        return 1;
    };
    return dl_iterate_phdr(visit, &search) == 1 ? 0 : -1;
}

} // extern "C"
