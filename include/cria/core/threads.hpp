#pragma once
/// Threads of the host. Never nested: inside a parallel region (run_on_threads, a user's own) what asks for
/// threads runs on the calling one alone. Groups of threads (run_on_groups) are no region: regions inside of
/// a group run on its threads.

#include <algorithm>
#include <exception>
#include <type_traits>

#ifdef _OPENMP
#include <omp.h>

#include <thread>
#include <vector>
#endif

namespace cria {

/// Threads that a parallel region started here gets, inside of FixedThreads.
inline int available_threads() {
#ifdef _OPENMP
  return omp_in_parallel() ? 1 : std::min(omp_get_max_threads(), omp_get_thread_limit());
#else
  return 1;
#endif
}

/// From now on parallel regions that this thread starts get so many threads, unless they ask for others.
inline void use_threads([[maybe_unused]] int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
}

/// While one of these lives, parallel regions that this thread starts, here or in a library, get the threads
/// that they ask for: OpenMP promises no more than its limit (OMP_THREAD_LIMIT) and takes none away for the
/// machine's load (OMP_DYNAMIC).
class FixedThreads {
#ifdef _OPENMP
 public:
  FixedThreads() : threads_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
    if (threads_ > omp_get_thread_limit()) omp_set_num_threads(omp_get_thread_limit());
    if (dynamic_) omp_set_dynamic(0);
  }
  ~FixedThreads() {
    if (dynamic_) omp_set_dynamic(dynamic_);
    if (threads_ > omp_get_thread_limit()) omp_set_num_threads(threads_);
  }
  FixedThreads(const FixedThreads&) = delete;
  FixedThreads& operator=(const FixedThreads&) = delete;

 private:
  int threads_, dynamic_;
#endif
};

/// A reference to a function of X..., which lives where it is called: what takes it is compiled once, and not
/// for every loop.
template <class... X>
class FunctionReference {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionReference>) FunctionReference(F&& f)
      : f_(&f), call_([](const void* body, X... x) {
          (*static_cast<std::remove_reference_t<F>*>(const_cast<void*>(body)))(x...);
        }) {}
  void operator()(X... x) const { call_(f_, x...); }

 private:
  const void* f_;
  void (*call_)(const void*, X...);
};

/// Calls body(thread) for each thread in [0, threads), at once as far as OpenMP gives so many: under a limit
/// or inside a parallel region a thread calls it for several of them, one after the other. Throws again what
/// the first of the bodies threw, once all have ended.
inline void run_on_threads(int threads, FunctionReference<int> body) {
#ifdef _OPENMP
  std::exception_ptr error;
  int failed = threads;  // the first whose body threw
  const FixedThreads guard;
#pragma omp parallel num_threads(threads)
  for (int thread = omp_get_thread_num(); thread < threads; thread += omp_get_num_threads()) {
    try {
      body(thread);
    } catch (...) {  // none may leave the region
#pragma omp critical(cria_run_on_threads)
      if (thread < failed) {
        failed = thread;
        error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
#else
  for (int thread = 0; thread < threads; ++thread) body(thread);
#endif
}

/// Calls body(group) for each group in [0, groups), at once, and what it calls has parallel regions of
/// `threads` threads: with one thread each on those of one region (run_on_threads), otherwise each on a
/// thread that is started for it, for work of seconds. Throws again what the first of the bodies threw, once
/// all have ended.
inline void run_on_groups(int groups, [[maybe_unused]] int threads, FunctionReference<int> body) {
#ifdef _OPENMP
  if (threads > 1) {
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(groups));
    const auto run = [&](int group) {
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);  // for this thread
      try {
        body(group);
      } catch (...) {  // none may leave the thread
        errors[static_cast<std::size_t>(group)] = std::current_exception();
      }
      omp_set_num_threads(before);
    };
    {
      std::vector<std::jthread> others;  // which are waited for at the end
      for (int group = 1; group < groups; ++group) others.emplace_back(run, group);
      run(0);
    }
    for (const auto& error : errors) {
      if (error) std::rethrow_exception(error);
    }
    return;
  }
#endif
  run_on_threads(groups, body);
}

}  // namespace cria
