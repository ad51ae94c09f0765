// Lets a container runtime ask for more open files than this machine may give: the wish is cut to
// what is allowed. podman asks for 1,048,576, and without CAP_SYS_RESOURCE that is an error.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>

static int clamped(int (*set)(__rlimit_resource_t, const struct rlimit *),
                   __rlimit_resource_t resource, const struct rlimit *wish) {
  struct rlimit now;
  struct rlimit cut = *wish;
  if (getrlimit(resource, &now) == 0) {
    if (cut.rlim_max > now.rlim_max) cut.rlim_max = now.rlim_max;
    if (cut.rlim_cur > cut.rlim_max) cut.rlim_cur = cut.rlim_max;
  }
  return set(resource, &cut);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *wish) {
  return clamped(dlsym(RTLD_NEXT, "setrlimit"), resource, wish);
}

// On this machine's ABI both structures are the same.
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *wish) {
  return clamped(dlsym(RTLD_NEXT, "setrlimit"), resource, (const struct rlimit *)wish);
}
