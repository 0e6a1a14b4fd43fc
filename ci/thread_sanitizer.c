// Reports the operations of the precompiled standard library to the thread sanitizer.
//
// The sanitizer sees only the operations of code that was compiled with it. The standard library was not compiled with it. The fast
// paths of its locks are inlined into the code that uses them, so the sanitizer sees these, but it does not see the slow paths.
// Each function here replaces a slow path (with the linker's `--wrap`), calls the slow path, and reports its effect. This hides no
// race of the project, because a function reports only the synchronization that the slow path guarantees to its callers.
//
// With a standard library that was compiled with the sanitizer (the target x86_64-unknown-linux-gnutsan), none of this is needed.

#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define JOINED(one, other) one##other
#define JOIN(one, other) JOINED(one, other)
// The names contain a hash of the compiler, so `ci/sanitize` defines them.
#define REAL(name) JOIN(__real_, name)
#define WRAP(name) JOIN(__wrap_, name)

// Each of these acquires a contended lock. The release of the lock is inlined, so the sanitizer sees it.

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

// Waiting for a condition releases the mutex and acquires it again.

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

// The effects of a `Once` are visible to all later callers. If the `Once` is completed, a caller notices this in inlined code, which
// loads from the address of the `Once`. Otherwise the caller runs the closure, or waits for it, in `Once::call`. The closure is a
// `&mut dyn FnMut(&OnceState)`, which is two pointers: its data and its vtable. Every vtable begins with three words. `call_mut` is
// the second function after these.

enum { CALL_MUT = 4, VTABLE_LENGTH = 5 };

struct once_closure {
    void *once;
    void *data;
    void (*call_mut)(void *data, void *state);
};

static void call_once_closure(struct once_closure *closure, void *state) {
    closure->call_mut(closure->data, state);
    __tsan_release(closure->once);
}

void REAL(ONCE_CALL)(void *once, bool ignore_poison, void *data, void *const *vtable, void *location);
void WRAP(ONCE_CALL)(void *once, bool ignore_poison, void *data, void *const *vtable, void *location) {
    struct once_closure closure = {once, data, (void (*)(void *, void *))vtable[CALL_MUT]};
    void *const wrapped[VTABLE_LENGTH] = {
        0, (void *)sizeof closure, (void *)_Alignof(struct once_closure), 0, (void *)call_once_closure};
    REAL(ONCE_CALL)(once, ignore_poison, &closure, wrapped, location);
    __tsan_acquire(once);
}

// The sanitizer does not support fences. When an `Arc` is dropped, its count goes down with `fetch_sub(Release)`, and after the last
// drop there is a `fence(Acquire)`. So this function treats the `fetch_sub(Release)` as `fetch_sub(AcqRel)`, which has the same
// effect for the last drop.

enum { RELEASE = 3, ACQUIRE_RELEASE = 4 };

uint64_t __real___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order);
uint64_t __wrap___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order) {
    return __real___tsan_atomic64_fetch_sub(address, value, order == RELEASE ? ACQUIRE_RELEASE : order);
}
