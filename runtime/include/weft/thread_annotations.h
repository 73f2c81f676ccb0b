// Annotations that tell clang which lock guards what. Clang checks them under -Wthread-safety; for other compilers the
// macros are empty.
//
//   class Counters {
//    public:
//     void add(int n) {
//       const weft::LockGuard lock(mutex_);
//       add_locked(n);
//     }
//
//    private:
//     void add_locked(int n) WEFT_REQUIRES(mutex_) { sum_ += n; }
//
//     weft::Mutex mutex_;
//     int sum_ WEFT_GUARDED_BY(mutex_) = 0;                // an access without the mutex is a warning
//   };
//
// Mutex and RWMutex are annotated. std::lock_guard, std::unique_lock and std::shared_lock of libstdc++ are not: under
// them clang believes that the lock is not held. weft/lock_guard.h has guards that clang understands.
#pragma once

#if defined(__clang__)
#define WEFT_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define WEFT_THREAD_ANNOTATION(x)
#endif

// Marks a class as a lock. `kind` is the word that warnings use: "mutex".
#define WEFT_CAPABILITY(kind) WEFT_THREAD_ANNOTATION(capability(kind))

// Marks a class whose constructor takes a lock and whose destructor releases the lock.
#define WEFT_SCOPED_CAPABILITY WEFT_THREAD_ANNOTATION(scoped_lockable)

// The member may be written only while the lock is held, and read only while the lock is held or shared.
#define WEFT_GUARDED_BY(lock) WEFT_THREAD_ANNOTATION(guarded_by(lock))

// The caller of the function holds the locks before the call and after the call.
#define WEFT_REQUIRES(...) WEFT_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))

// The function takes the locks, or shares them, and returns with them. Without an argument the lock is the object
// itself.
#define WEFT_ACQUIRE(...) WEFT_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define WEFT_ACQUIRE_SHARED(...) WEFT_THREAD_ANNOTATION(acquire_shared_capability(__VA_ARGS__))

// The function takes the locks, or shares them, if it returns the first argument: `true`.
#define WEFT_TRY_ACQUIRE(...) WEFT_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define WEFT_TRY_ACQUIRE_SHARED(...) WEFT_THREAD_ANNOTATION(try_acquire_shared_capability(__VA_ARGS__))

// The function releases the locks that its caller holds. WEFT_RELEASE_SHARED is for locks that the caller shares.
#define WEFT_RELEASE(...) WEFT_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define WEFT_RELEASE_SHARED(...) WEFT_THREAD_ANNOTATION(release_shared_capability(__VA_ARGS__))

// Clang does not check the body of the function. A comment at the function says why the body is right.
#define WEFT_NO_THREAD_SAFETY_ANALYSIS WEFT_THREAD_ANNOTATION(no_thread_safety_analysis)
