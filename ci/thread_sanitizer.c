// Tells the thread sanitizer of what the precompiled standard library does out of its sight.
//
// The sanitizer sees the operations of code that was compiled with it. The standard library was not, so that of its locks it
// sees only what is inlined into the code that uses them: the fast ways. Each function here stands in for one of the slow
// ways (by the linker's `--wrap`), calls it, and says what it has done. No race of the project is hidden by that: what is told
// is what the function promises to whoever calls it.
//
// With a standard library that was compiled with the sanitizer (the target x86_64-unknown-linux-gnutsan) none of this is needed.

#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define JOINED(one, other) one##other
#define JOIN(one, other) JOINED(one, other)
// The names have a hash of the compiler in them, so they are given from outside.
#define REAL(name) JOIN(__real_, name)
#define WRAP(name) JOIN(__wrap_, name)

// A lock that was contended has been taken. That it is given back is inlined.

void REAL(MUTEX_LOCK)(void *mutex);
void WRAP(MUTEX_LOCK)(void *mutex) {
    REAL(MUTEX_LOCK)(mutex);
    __tsan_acquire(mutex);
}

void REAL(RWLOCK_READ)(void *lock);
void WRAP(RWLOCK_READ)(void *lock) {
    REAL(RWLOCK_READ)(lock);
    __tsan_acquire(lock);
}

void REAL(RWLOCK_WRITE)(void *lock);
void WRAP(RWLOCK_WRITE)(void *lock) {
    REAL(RWLOCK_WRITE)(lock);
    __tsan_acquire(lock);
}

// Who waits for a condition gives the mutex back, and takes it again.

void REAL(CONDVAR_WAIT)(void *condvar, void *mutex);
void WRAP(CONDVAR_WAIT)(void *condvar, void *mutex) {
    __tsan_release(mutex);
    REAL(CONDVAR_WAIT)(condvar, mutex);
    __tsan_acquire(mutex);
}

bool REAL(CONDVAR_WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds);
bool WRAP(CONDVAR_WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds) {
    __tsan_release(mutex);
    bool in_time = REAL(CONDVAR_WAIT_TIMEOUT)(condvar, mutex, seconds, nanoseconds);
    __tsan_acquire(mutex);
    return in_time;
}

// What runs once is seen by all that come after: those who find it done look at it inlined, which is a load from the address of
// the `Once`; those who wait for it do that in `Once::call`. The closure is a `&mut dyn FnMut(&OnceState)`: two pointers, and
// `call_mut` is the second function in its table, after the three words that any table begins with.

enum { CALL_MUT = 4, TABLE = 5 };

struct once_closure {
    void *once;
    void *data;
    void (*call_mut)(void *data, void *state);
};

static void call_once_closure(struct once_closure *closure, void *state) {
    closure->call_mut(closure->data, state);
    __tsan_release(closure->once);
}

void REAL(ONCE_CALL)(void *once, bool ignore_poison, void *data, void *const *table, void *location);
void WRAP(ONCE_CALL)(void *once, bool ignore_poison, void *data, void *const *table, void *location) {
    struct once_closure closure = {once, data, (void (*)(void *, void *))table[CALL_MUT]};
    void *const told[TABLE] = {0, (void *)sizeof closure, (void *)_Alignof(struct once_closure), 0, (void *)call_once_closure};
    REAL(ONCE_CALL)(once, ignore_poison, &closure, told, location);
    __tsan_acquire(once);
}

// The sanitizer knows no fences. `Arc` drops a count by `fetch_sub(Release)`, and the last one has `fence(Acquire)` follow: so
// that is taken for `fetch_sub(AcqRel)`, which says the same to the last one.

enum { RELEASE = 3, ACQUIRE_RELEASE = 4 };

uint64_t __real___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order);
uint64_t __wrap___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order) {
    return __real___tsan_atomic64_fetch_sub(address, value, order == RELEASE ? ACQUIRE_RELEASE : order);
}
